# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acceptance of a real Windows host, run where there is none: it does everything, and nothing of it is verified."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import FAILED, NOT_TRIED
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import CHECKS

from tests.gateway.site import hurried
from tests.lab import Lab
from tests.lab.play import Ended, run
from tests.lab.windows.gateway import DISTRIBUTION, Gateway
from tests.lab.windows.image import VERSION

pytestmark = [pytest.mark.gateway, pytest.mark.long]

# What Wine itself shows not to be so; of rights it keeps what Linux has for them, and this lab has no WSL2 host.
NOT_SO = {"windows", "powershell", "closed", "lua", "wsl", "wsl_kept", "wsl_boot"}


@dataclass(frozen=True)
class Accepted:
    """How the playbook ended, its report, and the file that it has written."""

    ended: Ended
    report: dict[str, Any]
    result: dict[str, Any] | None

    @property
    def verdicts(self) -> dict[str, str]:
        assert self.result is not None, self.ended.output
        return {check["id"]: check["verdict"] for check in self.result["checks"]}

    def check(self, name: str) -> dict[str, Any]:
        assert self.result is not None, self.ended.output
        found: dict[str, Any] = next(each for each in self.result["checks"] if each["id"] == name)
        return found


def accept(gateway: Gateway, reports: Path, *options: str, **variables: object) -> Accepted:
    ended = run(gateway.lab, "windows_acceptance", reports, *options, **variables)
    directory = max(reports.glob("*-windows_acceptance-*"), key=lambda path: path.stat().st_mtime_ns)
    written = directory / "acceptance-gateway1.json"
    result = json.loads(written.read_text("utf-8")) if written.exists() else None
    return Accepted(ended, json.loads((directory / "report.json").read_text("utf-8")), result)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Lab(f"accept-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        ended = run(lab, "setup", tmp_path_factory.mktemp("setup"), "--limit", "gateway")
        assert ended.code == 0, ended.output
        yield gateway


def test_check_mode_looks_and_writes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    before = gateway.lab_request("tasks", {"name": "flatnet-transaction"})[0]["last_run"]
    accepted = accept(gateway, tmp_path, "--check", flatnet_acceptance_reboot=True)

    assert (accepted.ended.code, accepted.result) == (2, None)
    assert gateway.lab_request("tasks", {"name": "flatnet-transaction"})[0]["last_run"] == before


def test_a_lab_cannot_pass_by_itself(gateway: Gateway, tmp_path: Path) -> None:
    with hurried(gateway):
        accepted = accept(
            gateway, tmp_path, flatnet_acceptance_reboot=True, flatnet_acceptance_distribution=DISTRIBUTION
        )

    assert accepted.ended.code == 2, accepted.ended.output
    assert list(accepted.verdicts) == [check.id for check in CHECKS]
    assert {check for check, verdict in accepted.verdicts.items() if verdict == FAILED} == NOT_SO
    assert {check for check, verdict in accepted.verdicts.items() if verdict == NOT_TRIED} == set(
        accepted.verdicts
    ) - NOT_SO

    # What can be done here was done, although it proves nothing.
    for check, found in (
        ("connection", "the certificate is validated"),
        ("text", "it came back as it was sent"),
        ("port_owner", "Windows names nginx"),
        ("rollout", "answers with generation"),
        ("back", "s after its processes were ended, the gateway runs since"),
    ):
        assert found in accepted.check(check)["found"]
        assert "that proves nothing, as the host is not known to be a real Windows" in accepted.check(check)["found"]
    assert VERSION in accepted.check("lua")["found"]
    before, after = accepted.check("boot")["evidence"]["booted"]
    assert before < after
    assert gateway.serves()

    message = accepted.report["message"]
    assert accepted.report["verdict"] == "failed"
    assert f"0 of {len(CHECKS)} checks are verified" in message
    assert (
        "lua has failed (expected: the gateway's program is an OpenResty that has Lua; found: nginx version" in message
    )
    (step,) = accepted.report["hosts"][0]["steps"]
    assert {each["id"]: each["verdict"] for each in step["evidence"]["checks"]} == accepted.verdicts
