# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every PowerShell script that is shipped runs over WinRM, as a play has it run: all actions once, in one Windows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import GATEWAY_TASK, TRANSACTION_TASK
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import identity
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import SCRIPTS

from tests.gateway.site import hurried
from tests.lab import Lab
from tests.lab.play import run
from tests.lab.windows.gateway import DISTRIBUTION, Gateway
from tests.lab.windows.image import USER

pytestmark = pytest.mark.gateway

RUN = "20261124T021500Z-start-3f9a"


@dataclass(frozen=True)
class Played:
    """A gateway on which every action has ended well."""

    gateway: Gateway
    sent: tuple[str, ...]


def every_action(here: Path) -> list[dict[str, Any]]:
    """Tasks that, between them, have every script run."""
    return [
        {"flatnet.ops.gateway_tasks": {"account": USER, "distribution": DISTRIBUTION}},
        {"flatnet.ops.gateway_firewall": {}},
        {"flatnet.ops.gateway": {"state": "restarted"}},
        {"flatnet.ops.gateway_config": {"src": str(here / "conf")}},
        {"flatnet.ops.gateway_config_info": {}},
        # It does everything, and fails at its end because this is no real Windows.
        {
            "flatnet.ops.gateway_acceptance": {"account": USER, "path": str(here / "result.json"), "reboot": True},
            "ignore_errors": True,
        },
        {"flatnet.ops.gateway_info": {}},
        {"flatnet.ops.gateway_logs_info": {}},
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with Lab(f"scripts-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        lab.new_host("wsl1", gateway=gateway, start=False)
        live = gateway.drive / "openresty" / "conf"
        (live / "flatnet").mkdir()
        (live / "flatnet" / "identity.conf").write_text(identity("none").text)
        here = tmp_path_factory.mktemp("scripts")
        shutil.copytree(live, here / "conf", ignore=shutil.ignore_patterns("flatnet"))
        (here / "conf" / "conf.d" / "more.conf").write_text("server {\n    listen 80;\n    server_name more;\n}\n")
        recorded = gateway.settings / "recorded"
        recorded.mkdir()
        play = {
            "hosts": "gateway",
            "gather_facts": False,
            "module_defaults": {"group/flatnet.ops.gateway": {"run": RUN}},
            "tasks": [{"name": "Have scripts run", **task} for task in every_action(here)],
        }
        book = here / "book.yml"
        book.write_text(yaml.safe_dump([play], sort_keys=False))
        with hurried(gateway):
            ended = run(lab, str(book), here)
        assert ended.code == 0, ended.output
        assert (here / "result.json").exists(), ended.output
        yield Played(gateway, tuple(path.read_text("utf-8", "replace") for path in recorded.iterdir()))


def test_every_script_was_sent(played: Played) -> None:
    shipped = {path.name: json.dumps(path.read_text("ascii"))[1:-1] for path in SCRIPTS.glob("*.ps1")}

    assert [name for name, text in sorted(shipped.items()) if not any(text in each for each in played.sent)] == []


def test_what_the_scheduler_runs_has_run(played: Played) -> None:
    assert played.gateway.serves()
    (keeper,) = played.gateway.lab_request("tasks", {"name": GATEWAY_TASK})
    assert "keep_gateway.ps1" in keeper["xml"]
    assert keeper["running"] == 1
    (actor,) = played.gateway.lab_request("tasks", {"name": TRANSACTION_TASK})
    assert "act.ps1" in actor["xml"]
    assert actor["last_result"] == 0
    journals = (played.gateway.drive / "ProgramData" / "flatnet" / "transactions").glob("*/journal")
    assert {b'"outcome":"done"' in journal.read_bytes() for journal in journals} == {True}


def test_what_was_done_is_recorded(played: Played) -> None:
    record = played.gateway.drive / "ProgramData" / "flatnet" / "runs" / f"{RUN}.jsonl"

    assert len(record.read_text("ascii").splitlines()) == 8
