# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site started, stopped, reloaded and looked at by the playbooks: one day of one site, from nothing, in the order of this file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Host, Lab
from tests.lab.host import COMPOSE, DIRECT, STACK
from tests.lab.machine import wait_until
from tests.lab.play import Ended, run
from tests.lab.windows.certificates import Authority
from tests.lab.windows.gateway import Gateway

pytestmark = [pytest.mark.gateway, pytest.mark.long]

TASK = "flatnet-gateway"
LISTENER = """
$listener = New-Object Net.Sockets.TcpListener ([Net.IPAddress]::Any), 80
$listener.Start()
[IO.File]::WriteAllText('C:\\listening', '')
while ([IO.File]::Exists('C:\\listening')) { [Threading.Thread]::Sleep(50) }
"""


@dataclass(frozen=True)
class Played:
    """How a playbook ended, with its report."""

    ended: Ended
    report: dict[str, Any]

    @property
    def code(self) -> int:
        return self.ended.code

    @property
    def message(self) -> str:
        return str(self.report["message"])

    @property
    def changed(self) -> dict[str, int]:
        """By host, how many tasks changed something."""
        recap = self.ended.output.partition("PLAY RECAP")[2]
        return {host: int(count) for host, count in re.findall(r"^(\w+) .*changed=(\d+)", recap, re.MULTILINE)}

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        """Host, step and status, in the order of time."""
        found = [(step["time"], host["host"], step) for host in self.report["hosts"] for step in host["steps"]]
        return [(host, step["step"], step["status"]) for _time, host, step in sorted(found, key=lambda each: each[0])]


@dataclass(frozen=True)
class Site:
    """A WSL2 host and its gateway."""

    lab: Lab
    wsl: Host
    gateway: Gateway
    reports: Path

    def play(self, playbook: str, *options: str, **variables: object) -> Played:
        """Run a playbook; its report says how it ended, whatever the exit code does."""
        ended = run(self.lab, playbook, self.reports, *options, **variables)
        made = sorted(self.reports.glob(f"*-{playbook}-*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        report = json.loads(made[-1].read_text("utf-8"))
        assert (report["verdict"] == "failed") == (ended.code != 0), ended.output
        return Played(ended, report)

    @property
    def configuration(self) -> Path:
        return self.gateway.drive / "openresty" / "conf" / "conf.d" / "gateway.conf"

    def edit(self, old: str, new: str) -> None:
        """Somebody edits the gateway's configuration."""
        text = self.configuration.read_text("utf-8")
        assert old in text
        self.configuration.write_text(text.replace(old, new), "utf-8")

    def serves(self) -> str:
        """What the gateway serves to another machine; empty where it serves nothing."""
        try:
            with DIRECT.open(f"{self.gateway.url('http')}/healthz", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    @property
    def stack(self) -> set[str]:
        """The containers of the monitoring stack that run."""
        return set(STACK) & set(self.wsl.output("podman", "ps", "--format", "{{.Names}}").split())

    @property
    def task(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.gateway.lab_request("tasks", {"name": TASK})
        return found[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"daily-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        wsl = lab.new_host("wsl1", gateway=gateway, start=False)
        yield Site(lab, wsl, gateway, tmp_path_factory.mktemp("reports"))


def test_setup_wants_to_know_the_account(site: Site) -> None:
    played = site.play("setup", "--limit", "gateway", flatnet_setup_gateway_account="")

    assert played.code == 2
    assert "flatnet_setup_gateway_account was expected in the inventory, and is not given" in played.message
    assert not (site.gateway.drive / "ProgramData" / "flatnet" / "transactions").exists()


def test_setup_installs_what_keeps_the_gateway(site: Site) -> None:
    played = site.play("setup", "--limit", "gateway")

    tasks, told = played.steps
    assert tasks == ("gateway1", "tasks", "good")
    # The new task may have started the gateway before us.
    assert told in [("gateway1", f"gateway {done}", "good") for done in ("restarted", "reloaded")]
    assert (played.report["verdict"], played.changed["gateway1"]) == ("good", 2)
    assert (site.task["enabled"], site.serves()) == (True, "ok\n")


def test_check_mode_says_what_start_would_do_and_does_nothing(site: Site) -> None:
    site.gateway.lab_request("task-enable", {"name": TASK, "enabled": False})
    site.gateway.end("nginx.exe")
    played = site.play("start", "--check")

    assert played.changed == {"wsl1": 1, "gateway1": 1}
    assert played.report["check_mode"]
    assert (site.stack, site.serves(), site.task["enabled"]) == (set(), "", False)


def test_start_brings_the_stack_up_and_then_the_gateway(site: Site) -> None:
    played = site.play("start")

    assert played.report["verdict"] == "good", played.message
    assert played.steps == [("wsl1", "stack started", "good"), ("gateway1", "gateway started", "good")]
    assert (site.stack, site.serves(), site.task["enabled"]) == (set(STACK), "ok\n", True)
    assert all(site.wsl.ready(service) for service in ("prometheus", "alertmanager", "loki", "grafana"))


def test_a_second_start_changes_nothing(site: Site) -> None:
    assert site.play("start").changed == {"wsl1": 0, "gateway1": 0}


def test_after_a_reboot_the_gateway_is_back_without_a_login(site: Site) -> None:
    site.gateway.reboot()
    wait_until("The gateway after a reboot", site.gateway.serves, 60)
    played = site.play("status")

    assert played.report["verdict"] == "good", played.message
    assert sorted(played.steps) == [("gateway1", "look", "good"), ("wsl1", "stack ready", "good")]
    assert played.changed == {"wsl1": 0, "gateway1": 0}


def test_status_warns_of_a_configuration_that_is_not_in_effect(site: Site) -> None:
    site.edit('"ok\\n"', '"new\\n"')
    played = site.play("status", "--limit", "gateway")

    assert played.report["verdict"] == "warning"
    assert "flatnet.ops.reload puts them into effect" in played.message


def test_reload_proves_that_the_new_configuration_answers(site: Site) -> None:
    played = site.play("reload")

    assert (played.report["verdict"], played.changed["gateway1"]) == ("good", 1)
    assert "answers with generation" in played.report["hosts"][0]["steps"][0]["message"]
    assert site.serves() == "new\n"


def test_a_reload_that_cannot_be_leaves_the_old_configuration_and_fails_by_name(site: Site) -> None:
    site.edit('"new\\n"', '"newer\\n" nonsense')
    played = site.play("reload")
    site.edit('"newer\\n" nonsense', '"new\\n"')

    assert played.code == 2
    assert played.message.startswith("gateway1: gateway reloaded: ")
    assert "nginx was expected to accept the configuration" in played.message
    assert played.steps == [("gateway1", "gateway reloaded", "failed")]
    assert site.serves() == "new\n"


def test_status_names_workers_without_a_master_and_a_task_that_is_gone(site: Site) -> None:
    xml = site.task["xml"]
    site.gateway.lab_request("task-delete", {"name": TASK})
    master = (site.gateway.drive / "openresty" / "logs" / "nginx.pid").read_text().strip()
    site.gateway.powershell(f"[Diagnostics.Process]::GetProcessById({master}).Kill()")
    played = site.play("status", "--limit", "gateway")
    site.gateway.lab_request("task-create", {"name": TASK, "xml": xml, "replace": True})

    assert played.code == 2
    assert "go on serving without one, deaf to reload and stop" in played.message
    assert "task flatnet-gateway was expected, and the scheduler has none: run flatnet.ops.setup" in played.message
    assert "flatnet-transaction" not in played.message


def test_stop_ends_the_gateway_and_then_the_stack(site: Site) -> None:
    played = site.play("stop")

    assert played.steps == [("gateway1", "gateway stopped", "good"), ("wsl1", "stack stopped", "good")]
    assert (site.stack, site.serves(), site.gateway.processes("nginx.exe")) == (set(), "", 0)
    assert not site.task["enabled"]


def test_what_was_stopped_stays_so_and_a_second_stop_changes_nothing(site: Site) -> None:
    site.gateway.pass_time(120)
    assert site.play("stop").changed == {"wsl1": 0, "gateway1": 0}
    assert site.serves() == ""


def test_the_gateway_is_left_where_the_stack_of_its_site_fails(site: Site) -> None:
    site.wsl.run(["mv", COMPOSE, f"{COMPOSE}.away"])
    played = site.play("start")
    site.wsl.run(["mv", f"{COMPOSE}.away", COMPOSE])

    assert played.code == 2
    assert {host["host"]: host["verdict"] for host in played.report["hosts"]} == {
        "wsl1": "failed",
        "gateway1": "failed",
    }
    assert "the monitoring stack on wsl1 was expected to be healthy before the gateway of site" in played.message
    assert "--limit gateway1; the gateway was left as it is" in played.message
    assert (site.serves(), site.task["enabled"]) == ("", False)


def test_status_names_a_foreign_program_on_the_port(site: Site) -> None:
    listening = site.gateway.drive / "listening"
    with ThreadPoolExecutor(1) as pool:
        foreign = pool.submit(site.gateway.powershell, LISTENER, timeout=300)
        try:
            wait_until("The foreign program", listening.exists, 60)
            played = site.play("status", "--limit", "gateway")
        finally:
            listening.unlink(missing_ok=True)
        assert foreign.result().code == 0

    assert played.code == 2
    assert "port 80 was expected to be free for the gateway or in its hands" in played.message


def test_a_site_without_a_gateway_is_looked_at_too(site: Site) -> None:
    played = site.play("status", "--limit", "wsl")

    assert played.code == 2
    assert played.message.startswith("wsl1: stack ready: ")
    assert "every container of /opt/flatnet/monitoring was expected to run, and flatnet-alertmanager" in played.message
    assert [host["host"] for host in played.report["hosts"]] == ["wsl1"]


def test_a_gateway_that_cannot_be_reached_fails_in_one_sentence(site: Site, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    other.ensure("somebody else")
    for given, why in (
        ({"ansible_port": 9}, "Connection refused"),
        ({"ansible_password": "wrong"}, "the specified credentials were rejected by the server"),
        ({"ansible_winrm_ca_trust_path": str(other.certificate)}, "certificate verify failed"),
    ):
        played = site.play("status", "--limit", "gateway", **given)

        assert played.code == 2
        assert "gateway1 was expected to answer, and cannot be reached" in played.message
        assert why in played.message
        assert played.message.endswith("nothing was done there")
