# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What setup installs with systemd: timers that work, a check that notices those that do not, and a hook that is told."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab
from tests.lab.host import Host
from tests.lab.machine import wait_until
from tests.lab.play import Ended, reports, run

pytestmark = pytest.mark.site

UNITS = "/etc/systemd/system"
INVENTORY = "/etc/flatnet-ops/inventory/hosts.json"
TIMERS = ["flatnet-backup.timer", "flatnet-check.timer", "flatnet-drill.timer", "flatnet-generations.timer"]
ABSENT = "flatnet-lab-service"
METRICS = "/var/lib/node-exporter"
PAGE = "/root/page"
# Notes how it was called, and what it was given to read.
HOOK = f'#!/bin/sh\nprintf "%s\\n" "$@" > {PAGE}.new\ncat >> {PAGE}.new\nmv {PAGE}.new {PAGE}\n'
VARIABLES = {
    "flatnet_setup_services_kept_off": ["nginx", ABSENT],
    "flatnet_setup_notify_command": ["/usr/local/bin/page", "--to", "the operator's $HOME"],
    "flatnet_setup_metrics_directory": METRICS,
}


@dataclass(frozen=True)
class Site:
    """A host on which setup was foretold, carried out, and repeated."""

    host: Host
    foretold: Ended
    units_after_foretelling: list[str]
    first: Ended
    second: Ended


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(f"timers-{os.getpid()}") as lab:
        yield lab


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    host = lab.new_host("wsl1")
    host.install_collection()
    host.run(["mkdir", "-p", METRICS, "/etc/flatnet-ops/inventory"])
    variables = {"flatnet_site": "tokyo", "flatnet_backup_sources": ["gateway", "cni"]}
    host.write(INVENTORY, json.dumps({"wsl": {"hosts": {"wsl1": variables}}}).encode(), 0o600)
    host.write("/usr/local/bin/page", HOOK.encode(), 0o755)
    directory = tmp_path_factory.mktemp("reports")
    foretold = run(lab, "setup", directory, "--check", "--diff", **VARIABLES)
    units = units_of(host)
    first, second = (run(lab, "setup", directory, **VARIABLES) for _time in range(2))
    return Site(host, foretold, units, first, second)


@pytest.fixture
def host(site: Site) -> Host:
    assert site.first.code == 0, site.first.output
    return site.host


def units_of(host: Host) -> list[str]:
    """Our units."""
    return host.output("find", UNITS, "-name", "flatnet-*", "-type", "f", "-printf", "%f\\n").split()


def timers(host: Host) -> list[str]:
    """Our timers that wait for their time."""
    return re.findall(r"flatnet-\S+\.timer", host.output("systemctl", "list-timers", "--no-pager"))


def check(host: Host, *options: str) -> tuple[int, list[str]]:
    """How the check ends, and what it says."""
    done = host.run(["flatnet-check", *options], check=False)
    return done.returncode, done.stdout.decode().splitlines()


def late(lines: list[str]) -> list[str]:
    """The sentences about what is late."""
    return [line for line in lines if line.startswith("late: ")]


def report(directory: Path) -> Any:
    """The report of the last setup."""
    return json.loads(reports(directory, "setup")[-1].with_suffix(".json").read_text("utf-8"))


def test_setup_is_foretold(site: Site) -> None:
    assert site.foretold.code == 0, site.foretold.output
    assert "+OnCalendar=*-*-* 02:15" in site.foretold.output
    assert site.units_after_foretelling == []


def test_second_setup_changes_nothing(site: Site) -> None:
    assert site.second.code == 0, site.second.output
    assert re.search(r"^wsl1 .* changed=0 ", site.second.output, re.MULTILINE), site.second.output


def test_timers_wait_for_their_time(host: Host) -> None:
    assert sorted(timers(host)) == TIMERS
    for timer in TIMERS:
        assert host.output("systemctl", "is-enabled", timer) == "enabled"
    shown = host.output("systemctl", "show", "--property", "Persistent,RandomizedDelayUSec", "flatnet-backup.timer")
    assert shown.split() == ["RandomizedDelayUSec=15min", "Persistent=yes"]


def test_systemd_finds_nothing_wrong(host: Host) -> None:
    done = host.run(
        ["sh", "-c", f"systemd-analyze verify {UNITS}/flatnet-*.timer {UNITS}/flatnet-[bcdg]*.service"], check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_service_that_was_not_there_is_kept_off(host: Host) -> None:
    assert host.output("readlink", f"{UNITS}/{ABSENT}.service") == "/dev/null"
    assert host.run(["test", "-e", f"{UNITS}/nginx.service"], check=False).returncode == 1


def test_journal_does_not_show_the_hook(host: Host) -> None:
    logged = host.output("journalctl", "--output", "cat", "--grep", "Invoked with")

    assert "schedule=auto" in logged
    assert "the operator" not in logged
    assert host.output("stat", "--format", "%a %U", "/usr/local/lib/flatnet-ops/notify") == "700 root"


def test_timer_saves_the_site(host: Host) -> None:
    host.run(["systemctl", "start", "flatnet-backup.service"])

    sets = host.output("find", "/backup/flatnet", "-maxdepth", "1", "-name", "2*Z").split()
    assert len(sets) == 1
    assert f"set: {sets[0]}" in host.output("journalctl", "--unit", "flatnet-backup", "--output", "cat")
    assert check(host) == (0, check(host)[1])


def test_timer_keeps_generations(host: Host) -> None:
    host.write("/mnt/c/openresty/conf/conf.d/new.conf", b"# new\n")

    host.run(["systemctl", "start", "flatnet-generations.service"])

    newest = host.output("sh", "-c", "ls -d /backup/flatnet/generations/gateway/* | tail -n 1")
    assert host.read(f"{newest}/gateway/conf.d/new.conf") == b"# new\n"
    assert json.loads(host.read(f"{newest}/manifest.json"))["site"] == host.lab.name


def test_check_needs_the_standard_library_alone(host: Host) -> None:
    assert not host.output("find", "/usr/local/lib/flatnet-ops", "-name", "transport.py")
    assert "-S -m" in host.read("/usr/local/sbin/flatnet-check").decode()


@pytest.mark.parametrize(
    ("command", "undo", "words"),
    [
        ("disable flatnet-drill.timer", "enable flatnet-drill.timer", "is disabled and active"),
        ("stop flatnet-generations.timer", "start flatnet-generations.timer", "is enabled and inactive"),
    ],
)
def test_timer_that_does_not_run_is_noticed(command: str, undo: str, words: str, host: Host) -> None:
    host.run(["systemctl", *command.split()])
    try:
        code, lines = check(host)
    finally:
        host.run(["systemctl", *undo.split()])

    assert code == 1
    (sentence,) = late(lines)
    assert command.split()[1] in sentence
    assert words in sentence
    assert late(check(host)[1]) == []


def test_old_set_is_noticed_and_somebody_is_told(host: Host) -> None:
    manifest = host.output("sh", "-c", "ls /backup/flatnet/2*Z/manifest.json")
    was = host.read(manifest)
    host.write(manifest, json.dumps({**json.loads(was), "finished": 1.0}).encode(), 0o400)
    # Since the first run on this host, there has been time for more.
    host.run(["sh", "-c", "touch --date '3 days ago' /var/lib/flatnet-ops/runs/*-setup-*"])
    try:
        done = host.run(["systemctl", "start", "flatnet-check.service"], check=False)
        wait_until("a call of the hook", lambda: host.run(["test", "-e", PAGE], check=False).returncode == 0, 30)
    finally:
        host.write(manifest, was, 0o400)

    assert done.returncode != 0
    told = host.read(PAGE).decode().splitlines()
    assert told[:3] == ["--to", "the operator's $HOME", "flatnet-check.service"]
    (sentence,) = [line for line in told if "late: " in line]
    assert "a good set in /backup/flatnet was expected at least every 26 h, and the last one was" in sentence
    assert 'flatnet_check_late{check="backup"} 1' in host.read(f"{METRICS}/flatnet_checks.prom").decode()


def test_host_without_an_inventory_has_them_scheduled_elsewhere(host: Host, lab: Lab, tmp_path: Path) -> None:
    refused = run(
        lab, "setup", tmp_path, **VARIABLES, flatnet_setup_inventory="/nowhere", flatnet_setup_schedule="host"
    )
    before = timers(host)
    warned = run(lab, "setup", tmp_path, **VARIABLES, flatnet_setup_inventory="/nowhere")

    assert refused.code != 0
    assert "there is no inventory /nowhere" in refused.output
    assert sorted(before) == TIMERS
    assert warned.code == 0, warned.output
    assert report(tmp_path)["verdict"] == "warning"
    assert "NO SCHEDULE ON THE HOST: there is no inventory /nowhere" in report(tmp_path)["message"]
    assert sorted(timers(host)) == ["flatnet-check.timer", "flatnet-generations.timer"]
    assert not [unit for unit in units_of(host) if "backup" in unit or "drill" in unit]
    assert late(check(host)[1]) == []
