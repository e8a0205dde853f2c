# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible itself would call ok although it is not: each case is a failure with a sentence and a report."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import RECORDS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
INVENTORY = """
[wsl]
wsl1 ansible_connection=local
wsl2 ansible_connection=local
[drill]
elsewhere ansible_connection=local
[dead]
dead1 ansible_host=127.0.0.1 ansible_port=9
[empty]
[all:vars]
ansible_python_interpreter="{{ ansible_playbook_python }}"
"""

pytestmark = [
    pytest.mark.report,
    pytest.mark.skipif(os.geteuid() != 0, reason=f"not root: modules record below {RECORDS}"),
]


@dataclass
class Ended:
    """How a playbook ended."""

    code: int
    output: str
    reports: Path

    @property
    def report(self) -> Any:
        """The only report's JSON; its HTML is there as well."""
        (run,) = self.reports.iterdir()
        assert (run / "report.html").stat().st_size > 1000
        return json.loads((run / "report.json").read_text("utf-8"))


class Site:
    """Hosts that are all this machine, reached without SSH."""

    def __init__(self, directory: Path) -> None:
        self.reports = directory / "reports"
        self.inventory = directory / "hosts.ini"
        self.inventory.write_text(INVENTORY, "utf-8")

    def play(self, role: str, *options: str, playbook: str = "trial.yml", **variables: str) -> Ended:
        """Run a role of the tests as an operation."""
        given = {"trial_role": role, "flatnet_run_report_directory": str(self.reports), **variables}
        return self._run("ansible-playbook", str(HERE / playbook), "-e", json.dumps(given), *options)

    def ad_hoc(self, pattern: str, arguments: str) -> Ended:
        """Report by hand."""
        return self._run("ansible", pattern, "-m", "flatnet.ops.report", "-a", arguments)

    def _run(self, program: str, what: str, *options: str) -> Ended:
        environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(HERE / "roles"), "ANSIBLE_NOCOLOR": "1"}
        argv = [program, what, "-i", str(self.inventory), *options]
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout, self.reports)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site, and nothing left of its records."""
    new = [directory for directory in (RECORDS, RECORDS.parent) if not directory.exists()]
    made = Site(tmp_path)
    yield made
    for run in made.reports.glob("*"):
        (RECORDS / f"{run.name}.jsonl").unlink(missing_ok=True)
    for directory in new:
        if directory.exists() and not any(directory.iterdir()):
            directory.rmdir()


def test_good_run_shows_verdict_sentence_and_report(site: Site) -> None:
    ended = site.play("succeeds")

    assert ended.code == 0
    assert f'"msg": "GOOD: trial is done on wsl1, wsl2 in 4 steps; report: {site.reports}/' in ended.output
    assert (ended.report["verdict"], ended.report["missing_hosts"]) == ("good", [])


def test_role_opens_one_run_for_all_hosts_where_the_playbook_has_not(site: Site) -> None:
    ended = site.play("succeeds", playbook="trial_alone.yml")

    assert ended.code == 0
    assert [host["host"] for host in ended.report["hosts"]] == ["wsl1", "wsl2"]


@pytest.mark.parametrize(
    ("options", "variables", "sentence"),
    [
        (
            (),
            {"flatnet_hosts": "empty"},
            "trial was expected to have hosts to work on, and 'empty' matches none in the inventory",
        ),
        ((), {"flatnet_hosts": "unheard_of"}, "'unheard_of' matches none in the inventory"),
        (("--limit", "drill"), {}, "'wsl' matches none within --limit drill"),
        (("--limit", "nobody"), {}, "leaves us with no hosts to target"),
    ],
)
def test_pattern_without_hosts_fails(
    site: Site, options: tuple[str, ...], variables: dict[str, str], sentence: str
) -> None:
    ended = site.play("succeeds", *options, playbook="trial.yml", **variables)

    assert ended.code != 0
    assert sentence in ended.output
    assert not site.reports.exists()


def test_empty_inventory_fails(site: Site) -> None:
    site.inventory.write_text("", "utf-8")
    ended = site.play("succeeds")

    assert ended.code != 0
    assert "'wsl' matches none in the inventory" in ended.output


def test_tag_that_nothing_has_skips_nothing(site: Site) -> None:
    ended = site.play("succeeds", "--tags", "typo")

    assert ended.code == 0
    assert [len(host["steps"]) for host in ended.report["hosts"]] == [2, 2]


def test_rescue_that_swallows_a_failure_fails_all_the_same(site: Site) -> None:
    ended = site.play("swallows", "--limit", "wsl1")

    assert "all is well" in ended.output
    assert ended.code == 2
    assert "FAILED: wsl1: verify: set 'latest' was expected in" in ended.output
    assert f"report: {site.reports}/" in ended.output
    assert ended.report["verdict"] == "failed"


def test_unreachable_host_fails_with_a_report(site: Site) -> None:
    ended = site.play("succeeds", flatnet_hosts="dead")

    assert ended.code == 2
    assert "FAILED: dead1: Refuse a host that cannot be reached: dead1 was expected to answer" in ended.output
    assert ended.report["hosts"][0]["verdict"] == "failed"
    assert "nothing was done there" in ended.report["message"]


def test_unreachable_host_does_not_keep_others_from_their_work(site: Site) -> None:
    ended = site.play("succeeds", flatnet_hosts="wsl1,dead")

    assert ended.code == 2
    assert {host["host"]: host["verdict"] for host in ended.report["hosts"]} == {"dead1": "failed", "wsl1": "good"}
    assert (ended.report["verdict"], ended.report["missing_hosts"]) == ("failed", [])


def test_every_host_failed(site: Site) -> None:
    ended = site.play("breaks")

    assert ended.code == 2
    assert ended.report["message"] == "; ".join(
        f"{host}: Want what is not there: {host} was expected to hold water, and leaks" for host in ("wsl1", "wsl2")
    )


def test_host_lost_at_work_is_missing(site: Site) -> None:
    ended = site.play("vanishes", "--limit", "wsl1")

    assert ended.code == 4
    assert (ended.report["verdict"], ended.report["missing_hosts"]) == ("failed", ["wsl1"])


def test_role_that_cannot_be_loaded_fails_with_a_report(site: Site) -> None:
    ended = site.play("unheard_of", "--limit", "wsl1")

    assert ended.code == 2
    assert "FAILED: wsl1: unheard_of: the role cannot be loaded" in ended.output
    assert ended.report["verdict"] == "failed"


def test_check_mode_records_nothing_and_says_so(site: Site) -> None:
    ended = site.play("succeeds", "--check")

    assert ended.code == 0
    assert "check mode: nothing was changed" in ended.output
    assert ended.report["check_mode"]
    assert [host["steps"] for host in ended.report["hosts"]] == [[], []]
    assert not list(RECORDS.glob(f"{ended.report['run']}*"))


def test_report_is_made_again_from_the_record(site: Site) -> None:
    run = site.play("swallows", "--limit", "wsl1").report["run"]
    again = site.reports.parent / "again"
    ended = site.ad_hoc("wsl1", f"run={run} directory={again}")

    assert ended.code == 2
    assert "FAILED: wsl1: verify: set 'latest' was expected in" in ended.output
    assert json.loads((again / run / "report.json").read_text("utf-8"))["hosts"][0]["steps"]


def test_record_that_is_not_there_fails(site: Site) -> None:
    ended = site.ad_hoc("wsl1", f"run=20261124T021500Z-backup-0000 directory={site.reports}")

    assert ended.code == 2
    assert "was expected to hold the record" in ended.output


def test_run_that_is_none_is_refused(site: Site) -> None:
    ended = site.ad_hoc("wsl1", f"run=latest directory={site.reports}")

    assert ended.code == 2
    assert "the run 'latest' was expected to look like" in ended.output
