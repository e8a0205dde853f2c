# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict: the worst counts, and nothing counts as good by default."""

from __future__ import annotations

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import fails, judge

from tests.report import runs

pytestmark = pytest.mark.unit

BROKEN = runs.step(9, "tree_backup", "volumes/a", "disk full", status="failed")
NOTED = runs.step(9, "backup_set", "set opened", "left by dead runs", status="warning")


def test_good() -> None:
    report = judge(runs.BACKUP, [runs.backup(off_host_copy=True)], ["wsl1"])

    assert (report.verdict, report.warnings) == ("good", ())
    assert report.message == "backup is done on wsl1 in 4 steps"


@pytest.mark.parametrize("run", [runs.BACKUP, runs.DRILL])
def test_a_copy_on_the_same_disk_is_no_backup(run: str) -> None:
    report = judge(run, [runs.drill(), runs.drill("wsl3", off_host_copy=True)], [])

    assert (report.verdict, report.warnings) == ("warning", ("NO OFF-HOST COPY",))
    assert "NO OFF-HOST COPY" in report.message


def test_other_operations_need_no_off_host_copy() -> None:
    assert judge("20261124T021500Z-verify-3f9a", [runs.backup()], []).verdict == "good"


def test_a_warning_of_a_step_is_a_warning_of_the_run() -> None:
    report = judge(runs.BACKUP, [runs.backup(steps=(NOTED,), off_host_copy=True)], [])

    assert report.verdict == "warning"
    assert report.message.endswith("with a warning: left by dead runs")


def test_a_failed_step_is_named() -> None:
    host = runs.backup(steps=(NOTED, BROKEN))
    report = judge(runs.BACKUP, [host, runs.backup("wsl2")], [])

    assert (report.verdict, report.verdicts) == ("failed", {"wsl1": "failed", "wsl2": "good"})
    assert report.message == "wsl1: volumes/a: disk full"
    assert fails(report, host, [])


def test_a_failure_outside_of_the_modules_is_named() -> None:
    report = judge(runs.BACKUP, [runs.backup(failure="Check the site: no room")], [])

    assert (report.verdict, report.message) == ("failed", "wsl1: Check the site: no room")


def test_a_failure_is_told_with_its_step_once() -> None:
    report = judge(runs.BACKUP, [runs.backup(steps=(BROKEN,), failure="Save a volume: disk full")], [])

    assert report.message == "wsl1: volumes/a: Save a volume: disk full"


def test_a_host_that_recorded_nothing_has_failed() -> None:
    report = judge(runs.BACKUP, [HostReport("wsl1", "tokyo")], [])

    assert (report.verdict, report.message) == ("failed", "wsl1: nothing was recorded")


def test_a_host_that_has_not_reported_fails_the_run() -> None:
    good = runs.backup()
    report = judge(runs.BACKUP, [good], ["wsl1", "wsl2"])

    assert (report.verdict, report.missing_hosts) == ("failed", ("wsl2",))
    assert report.message == "wsl2 has not reported"
    assert fails(report, good, ["wsl1", "wsl2"])


def test_a_host_does_not_fail_for_another_one() -> None:
    good = runs.backup()
    report = judge(runs.BACKUP, [good, runs.backup("wsl2", failure="no")], ["wsl1", "wsl2"])

    assert report.verdict == "failed"
    assert not fails(report, good, ["wsl1", "wsl2"])


def test_nobody_at_all_is_a_failure() -> None:
    assert judge(runs.BACKUP, [], []).verdict == "failed"


def test_check_mode_proves_nothing() -> None:
    host = HostReport("wsl2", "tokyo", check_mode=True, off_host_copy=True)
    report = judge(runs.DRILL, [host], ["wsl2"])

    assert (report.verdict, report.warnings, report.questions) == ("warning", ("check mode: nothing was changed",), ())
    assert not fails(report, host, ["wsl2"])


def test_check_mode_does_not_hide_a_failure() -> None:
    assert judge(runs.BACKUP, [HostReport("wsl1", "tokyo", failure="no", check_mode=True)], []).verdict == "failed"


def test_a_drill_that_leaves_a_question_open_has_failed() -> None:
    host = runs.drill(steps=runs.drill_steps()[:7], off_host_copy=True)
    report = judge(runs.DRILL, [host], ["wsl2"])

    assert (report.verdict, report.verdicts) == ("failed", {"wsl2": "failed"})
    assert "did not prove: duration (unknown), whole (unknown)" in report.message
    assert fails(report, host, [])


def test_a_whole_drill_is_good() -> None:
    assert judge(runs.DRILL, [runs.drill(off_host_copy=True)], ["wsl2"]).verdict == "good"
