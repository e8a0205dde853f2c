# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the run record, and writing the report's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import run_record
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport, RecordUnreadable, read_record
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import judge

from tests.report import runs

pytestmark = pytest.mark.unit

FORMATS = Path(__file__).parents[5] / "docs" / "formats"


def record(directory: Path, *names: str) -> str:
    """A record as modules write it."""
    for name in names:
        done = run_record.Step("tree_backup", name, "good", True, "done", 1.5, {"files": 3}, {"path": ["a\nb"]})
        run_record.RunRecord(directory, runs.BACKUP).append(done)
    return (directory / f"{runs.BACKUP}.jsonl").read_text("utf-8")


def test_reads_what_modules_write(tmp_path: Path) -> None:
    first, second = read_record(record(tmp_path, "volumes/a", "volumes/b"), runs.BACKUP)

    assert (first.step, second.step) == ("volumes/a", "volumes/b")
    assert (first.module, first.status, first.changed, first.message) == ("tree_backup", "good", True, "done")
    assert (first.numbers, first.evidence) == ({"files": 3}, {"path": ["a\nb"]})
    assert (first.time - first.began).total_seconds() == 1.5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda line: line[:40], "JSONDecodeError"),
        (lambda line: line.replace('"format": 1', '"format": 2'), "format 2"),
        (lambda line: line.replace("3f9a", "0000"), "0000"),
        (lambda line: line.replace('"good"', '"fine"'), "status fine"),
        (lambda line: line.replace('"message"', '"words"'), "KeyError"),
        (lambda _line: "[]", "TypeError"),
    ],
)
def test_names_the_line_that_is_no_step(tmp_path: Path, change: Any, named: str) -> None:
    good, bad = record(tmp_path, "volumes/a", "volumes/b").splitlines()

    with pytest.raises(RecordUnreadable, match=rf"line 2 .*{named}"):
        read_record(f"{good}\n{change(bad)}\n", runs.BACKUP)


def test_a_host_survives_its_file() -> None:
    host = runs.drill(failure="it broke", check_mode=True, off_host_copy=True)

    assert HostReport.load(json.loads(json.dumps(host.dump()))) == host


def test_json_says_what_its_documentation_shows() -> None:
    beside = runs.drill(steps=(runs.verified(), runs.beside()))
    report = judge(runs.DRILL, [beside], ["wsl2", "wsl3"]).dump()
    shown = example(FORMATS / "report.md")

    assert list(report) == list(shown)
    assert list(report["hosts"][0]) == list(shown["hosts"][0])
    assert list(report["hosts"][0]["steps"][0]) == list(shown["hosts"][0]["steps"][0])
    assert [one["id"] for one in report["questions"]] == [one["id"] for one in shown["questions"]]
    for given, documented in zip(report["questions"], shown["questions"], strict=True):
        assert list(given) == list(documented)
        assert list(given["evidence"]["wsl2"]) == list(documented["evidence"]["wsl2"])


def test_times_are_those_of_the_steps() -> None:
    report = judge(runs.DRILL, [runs.drill()], ["wsl2"])

    assert report.dump()["started"] == "2026-11-24T02:15:00.950Z"
    assert report.dump()["finished"] == "2026-11-24T02:15:31.000Z"
    assert report.dump()["seconds"] == 30.05


def test_without_steps_only_the_begin_is_known() -> None:
    report = judge(runs.DRILL, [], ["wsl2"]).dump()

    assert (report["started"], report["finished"], report["seconds"]) == ("2026-11-24T02:15:00.000Z", None, None)


def example(page: Path) -> Any:
    """The first JSON example of a page."""
    return json.loads(page.read_text("utf-8").partition("```json\n")[2].partition("```")[0])
