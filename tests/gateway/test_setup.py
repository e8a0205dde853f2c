# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `setup` makes of a gateway's host: layout, tasks, WSL2 at boot, firewall; one host, from nothing, in the order of this file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Host, Lab
from tests.lab.machine import wait_until
from tests.lab.play import Ended, run
from tests.lab.windows.gateway import DISTRIBUTION, LXSS, Gateway
from tests.lab.windows.image import USER

pytestmark = [pytest.mark.gateway, pytest.mark.long]

TASK = "flatnet-wsl"
OTHER_TASKS = {"flatnet-gateway", "flatnet-transaction", "flatnet-log-rotation"}
RULES = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
NAME = "flatnet gateway"
BLOCKS = r"v2.30|Action=Block|Active=TRUE|Dir=In|Protocol=6|Profile=Public|App=C:\openresty\nginx.exe|Name=nginx.exe|"
OTHER = "{aaaaaaaa-9abc-4def-8123-456789abcdef}"
WSL1 = "{bbbbbbbb-9abc-4def-8123-456789abcdef}"
SHOW = {"name": "Show", "ansible.builtin.debug": {"msg": "ANSWER {{ answer | to_json }}"}}


@dataclass(frozen=True)
class Site:
    """A gateway's host and its WSL2."""

    gateway: Gateway
    wsl: Host
    reports: Path

    def setup(self, *options: str, **variables: object) -> tuple[Ended, dict[str, Any]]:
        """Run the playbook on the gateway, and read its report."""
        given = {"flatnet_setup_gateway_distribution": DISTRIBUTION, **variables}
        ended = run(self.gateway.lab, "setup", self.reports, "--limit", "gateway", *options, **given)
        made = sorted(self.reports.glob("*-setup-*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        report: dict[str, Any] = json.loads(made[-1].read_text("utf-8"))
        return ended, report

    def play(self, action: str, *options: str, **arguments: object) -> tuple[Ended, dict[str, Any]]:
        """Run one action, and read its answer."""
        book = self.reports / "book.yml"
        task = {"name": "Do it", f"flatnet.ops.{action}": arguments, "register": "answer"}
        book.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": [task, SHOW]}]))
        ended = run(self.gateway.lab, str(book), self.reports, *options)
        said = re.search(r'"msg": ("ANSWER .*")', ended.output)
        return ended, json.loads(json.loads(said[1]).removeprefix("ANSWER ")) if said else {}

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The scheduler's tasks, by name."""
        return {each["name"].lstrip("\\"): each for each in self.gateway.lab_request("tasks")}

    @property
    def state_directory(self) -> Path:
        return self.gateway.drive / "ProgramData" / "flatnet"

    @property
    def untouched(self) -> bool:
        """Nothing of what setup makes is there; the record of a run that was refused is."""
        return not self.tasks and not self.rules and not (self.state_directory / "transactions").exists()

    def keeps(self) -> str:
        """The distribution that the task keeps and that has answered; empty where it keeps none."""
        task, log = self.tasks.get(TASK), self.state_directory / "wsl.log"
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
        up = [line["event"] for line in lines] == ["begin", "up"]
        return str(lines[0]["distribution"]) if task and task["running"] and up else ""

    @property
    def rules(self) -> dict[str, str]:
        """The firewall's rules as the registry has them, by the names of their values."""
        listed = self.gateway.run(["reg.exe", "query", RULES]).stdout
        return dict(re.findall(r"^ +(\S+) +REG_SZ +(.*?)\r?$", listed, re.MULTILINE))

    def set_rule(self, value: str, text: str) -> None:
        assert self.gateway.run(["reg.exe", "add", RULES, "/v", value, "/d", text, "/f"]).code == 0

    def delete_rule(self, value: str) -> None:
        assert self.gateway.run(["reg.exe", "delete", RULES, "/v", value, "/f"]).code == 0

    def install(self, name: str, key: str, flags: int) -> None:
        """Another distribution of the account, which is the same host."""
        path = rf"{LXSS}\{key}"
        for value, kind, data in (("DistributionName", "REG_SZ", name), ("Flags", "REG_DWORD", str(flags))):
            assert self.gateway.run(["reg.exe", "add", path, "/v", value, "/t", kind, "/d", data, "/f"]).code == 0
        folder = self.gateway.settings / "wsl"
        known = json.loads((folder / "distributions.json").read_text("utf-8"))
        (folder / "distributions.json").write_text(json.dumps({**known, name: known[DISTRIBUTION]}))
        key_of = (folder / "known_hosts").read_text("utf-8")
        (folder / "known_hosts").write_text(key_of + key_of.replace(DISTRIBUTION, name, 1))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"setup-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        wsl = lab.new_host("wsl1", gateway=gateway, start=False)
        yield Site(gateway, wsl, tmp_path_factory.mktemp("reports"))


def test_a_distribution_that_the_account_does_not_own_is_refused_before_anything_is_done(site: Site) -> None:
    ended, report = site.setup(flatnet_setup_gateway_distribution="Ubuntu")

    assert ended.code == 2, ended.output
    assert (
        "account operator was expected to own the WSL2 distribution 'Ubuntu', and it owns Debian" in report["message"]
    )
    assert site.untouched


def test_an_account_that_windows_does_not_know_is_refused(site: Site) -> None:
    ended, _answer = site.play("gateway_tasks", account="nobody-here", distribution=DISTRIBUTION)

    assert ended.code == 2, ended.output
    assert "account 'nobody-here' was expected on the host, and Windows knows none of that name" in ended.error
    assert site.untouched


def test_a_distribution_of_wsl_1_is_refused(site: Site) -> None:
    site.install("Old", WSL1, 7)
    ended, _answer = site.play("gateway_tasks", account=USER, distribution="Old")

    assert ended.code == 2, ended.output
    assert "distribution 'Old' was expected to be of WSL 2, and is of WSL 1" in ended.error
    assert "wsl.exe --set-version Old 2" in ended.error
    assert site.untouched


def test_a_layout_that_is_not_a_gateways_is_named_and_left_alone(site: Site) -> None:
    openresty = site.gateway.drive / "openresty"
    (openresty / "conf" / "nginx.conf").rename(openresty / "nginx.conf.away")
    (openresty / "temp").rmdir()
    (openresty / "temp").write_text("somebody's notes")
    try:
        ended, _answer = site.play("gateway_tasks", account=USER)
    finally:
        (openresty / "nginx.conf.away").rename(openresty / "conf" / "nginx.conf")
        (openresty / "temp").unlink()

    assert ended.code == 2, ended.output
    assert r"C:\openresty\conf\nginx.conf was expected on the host, and is not there" in ended.error
    assert r"C:\openresty\temp was expected to be a folder or not there, and a file" in ended.error
    assert ended.error.endswith("nothing was changed")
    assert site.untouched


def test_check_mode_shows_all_that_setup_would_do_and_does_nothing(site: Site) -> None:
    ended, report = site.setup("--check", "--diff")

    assert ended.code == 0, ended.output
    assert report["check_mode"]
    for shown in (
        "+++ after: C:\\openresty\\temp",
        "+++ after: C:\\ProgramData\\flatnet\\keep_wsl.ps1",
        f"+++ after: task {TASK}",
        f'+netsh advfirewall firewall add rule name="{NAME} (new)" dir=in action=allow protocol=TCP localport=80',
    ):
        assert shown in ended.output, ended.output
    assert site.untouched


def test_setup_makes_the_layout_the_tasks_and_the_rule_and_starts_the_distribution(site: Site) -> None:
    ended, report = site.setup()

    assert ended.code == 0, ended.output
    assert [step["status"] for step in report["hosts"][0]["steps"]] == ["good", "good", "good"]
    assert (site.gateway.drive / "openresty" / "temp").is_dir()
    assert set(site.tasks) == {*OTHER_TASKS, TASK}
    assert site.keeps() == DISTRIBUTION
    assert site.wsl.output("pgrep", "--full", "--exact", "--count", "sleep infinity") == "1"
    (rule,) = site.rules.values()
    assert f"|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name={NAME}|" in rule
    wait_until("The gateway", site.gateway.serves, 60)


def test_a_second_setup_changes_nothing(site: Site) -> None:
    before = site.rules
    ended, report = site.setup()

    assert ended.code == 0, ended.output
    assert (report["verdict"], re.findall(r"changed=(\d+)", ended.output)) == ("good", ["0"])
    assert site.rules == before


def test_after_a_reboot_the_distribution_is_kept_without_a_login(site: Site) -> None:
    site.gateway.reboot()

    wait_until("The distribution after a reboot", lambda: site.keeps() == DISTRIBUTION, 60)
    wait_until("The gateway after a reboot", site.gateway.serves, 60)


def test_a_rule_that_somebody_has_changed_or_doubled_is_made_one_again(site: Site) -> None:
    ((value, rule),) = site.rules.items()
    site.set_rule(value, rule.replace("LPort=80", "LPort=8080"))
    site.set_rule("another", rule)
    ended, answer = site.play("gateway_firewall")

    assert (ended.code, answer.get("changed")) == (0, True), ended.output
    assert list(site.rules.values()) == answer["rules"] == [rule]


def test_a_rule_that_blocks_the_gateway_fails_by_name(site: Site) -> None:
    before = site.rules
    site.set_rule("question", BLOCKS)
    ended, _answer = site.play("gateway_firewall")
    site.delete_rule("question")

    assert ended.code == 2, ended.output
    assert "port 80 was expected to be open to the gateway, and 'nginx.exe' of the firewall blocks it" in ended.error
    assert site.rules == before


def test_the_gateway_can_be_opened_to_some_alone(site: Site) -> None:
    remote = ["10.0.0.0/8", "LocalSubnet"]
    for changed in (True, False):
        ended, answer = site.play("gateway_firewall", remote=remote)
        assert (ended.code, answer.get("changed")) == (0, changed), ended.output

    (rule,) = site.rules.values()
    assert "|RA4=10.0.0.0/8|RA4=LocalSubnet|" in rule


def test_what_netsh_complains_of_is_said_and_the_gateway_stays_reachable(site: Site) -> None:
    before = site.rules
    ended, _answer = site.play("gateway_firewall", remote=["10.0.0.1 to 10.0.0.9"])

    assert ended.code == 2, ended.output
    assert "was expected to succeed, and ended with 1, 'to is not a valid argument for this command." in ended.error
    assert site.rules == before


def test_a_task_that_somebody_has_disabled_stays_so_with_a_warning(site: Site) -> None:
    site.gateway.lab_request("task-enable", {"name": TASK, "enabled": False})
    ended, answer = site.play("gateway_tasks", account=USER, distribution=DISTRIBUTION)
    enabled = site.tasks[TASK]["enabled"]
    site.gateway.lab_request("task-enable", {"name": TASK, "enabled": True})

    assert (ended.code, answer.get("changed"), enabled) == (0, False, False), ended.output
    assert f"task {TASK} is disabled, so that a boot does not start the distribution" in answer["msg"]


def test_another_distribution_takes_the_place_of_the_one_that_is_kept(site: Site) -> None:
    site.install("Other", OTHER, 15)
    ended, answer = site.play("gateway_tasks", account=USER, distribution="Other")

    assert (ended.code, answer.get("made")) == (0, [f"task {TASK}"]), ended.output
    assert site.keeps() == "Other"


def test_a_distribution_that_does_not_come_up_fails_in_the_words_of_wsl(site: Site) -> None:
    path = site.gateway.settings / "wsl" / "distributions.json"
    known = path.read_text("utf-8")
    # An address of the lab's network where nobody is.
    path.write_text(json.dumps({DISTRIBUTION: "127.0.0.9"}))
    ended, _answer = site.play("gateway_tasks", account=USER, distribution=DISTRIBUTION)
    path.write_text(known)

    assert ended.code == 2, ended.output
    assert f"task {TASK} was expected to keep the distribution '{DISTRIBUTION}' running, and does not" in ended.error
    assert "wsl.exe ended with -1, 'The operation timed out because a response was not received" in ended.error


def test_a_host_that_is_to_keep_no_distribution_any_more_has_no_task_for_it(site: Site) -> None:
    ended, answer = site.play("gateway_tasks", account=USER)

    assert (ended.code, answer.get("made")) == (0, [f"task {TASK}"]), ended.output
    assert set(site.tasks) == OTHER_TASKS
    # Nobody holds it any more.
    (site.state_directory / "wsl.log").unlink()


def test_the_rule_is_removed_once(site: Site) -> None:
    for changed in (True, False):
        ended, answer = site.play("gateway_firewall", state="absent")
        assert (ended.code, answer.get("changed"), answer.get("rules")) == (0, changed, []), ended.output
    assert site.rules == {}
