# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is late on a host, and what is not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.host_checks import (
    DAY,
    DRILL,
    HOUR,
    METRICS,
    Check,
    first_run,
    main,
    metrics,
    newest_drill,
    newest_set,
    timer,
)

from tests.unit.plugins.module_utils.conftest import RUN, AddProgram

pytestmark = pytest.mark.unit

LIMIT = 26 * HOUR
NOW = 1_800_000_000.0
UNIT = "flatnet-backup.timer"
LOADED = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active"}


def a_set(root: Path, name: str, finished: float) -> Path:
    """A set that can be read, as far as its manifest goes."""
    path = root / name
    path.mkdir(parents=True)
    manifest = sets.Manifest(name, "sets", RUN, "backup", "tokyo", "wsl1", "test", finished - 1, finished, None, {})
    (path / sets.MANIFEST).write_bytes(sets.dump(manifest))
    return path


def a_record(records: Path, name: str, ended: float, *steps: tuple[str, str]) -> None:
    """The record of a run: module and status of each step."""
    records.mkdir(exist_ok=True)
    path = records / f"{name}.jsonl"
    lines = [json.dumps({"module": module, "status": status}) for module, status in steps]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    os.utime(path, (ended, ended))


def test_fresh_set_is_good(tmp_path: Path) -> None:
    a_set(tmp_path, "20270115T000000Z", NOW - LIMIT)

    assert newest_set(tmp_path, 0, LIMIT, NOW) == Check("backup", NOW - LIMIT)


def test_old_set_is_late(tmp_path: Path) -> None:
    a_set(tmp_path, "20270114T000000Z", NOW - 49 * HOUR)

    problem = newest_set(tmp_path, 0, LIMIT, NOW).problem

    assert "at least every 26 h, and the last one was 49 h ago" in problem


def test_damaged_set_does_not_count(tmp_path: Path) -> None:
    a_set(tmp_path, "20270114T000000Z", NOW - 49 * HOUR)
    (a_set(tmp_path, "20270115T000000Z", NOW) / sets.MANIFEST).write_text("{", "utf-8")

    assert newest_set(tmp_path, 0, LIMIT, NOW).last == NOW - 49 * HOUR


def test_set_of_the_future_is_a_problem(tmp_path: Path) -> None:
    a_set(tmp_path, "20990101T000000Z", NOW + DAY)

    assert "dated in the future" in newest_set(tmp_path, 0, LIMIT, NOW).problem


@pytest.mark.parametrize(("begin", "late"), [(NOW - LIMIT - 1, True), (NOW - LIMIT, False)])
def test_host_without_a_set_is_late_once_there_should_be_one(begin: float, late: bool, tmp_path: Path) -> None:
    problem = newest_set(tmp_path / "missing", begin, LIMIT, NOW).problem

    assert ("there is none" in problem) == late


def test_only_a_finished_drill_counts(tmp_path: Path) -> None:
    verified = ("backup_set_info", "good")
    a_record(tmp_path, "20260101T000000Z-drill-0001", NOW - 40 * DAY, verified, (DRILL, "good"))
    a_record(tmp_path, "20270101T000000Z-drill-0002", NOW - 3, verified, (DRILL, "failed"))
    a_record(tmp_path, "20270101T000000Z-drill-0003", NOW - 2, verified)
    a_record(tmp_path, "20270101T000000Z-drill-0004", NOW - 1)
    a_record(tmp_path, "20270101T000000Z-backup-0005", NOW, verified, (DRILL, "good"))
    (tmp_path / "20270101T000000Z-drill-0006.jsonl").write_text('{"module": ', "utf-8")

    found = newest_drill(tmp_path, 0, 35 * DAY, NOW)

    assert found.last == NOW - 40 * DAY
    assert "at least every 35 days, and the last one was 40 days ago" in found.problem


def test_drill_with_a_warning_counts(tmp_path: Path) -> None:
    a_record(tmp_path, "20260101T000000Z-drill-0001", NOW - DAY, (DRILL, "warning"))

    assert newest_drill(tmp_path, 0, 35 * DAY, NOW) == Check("drill", NOW - DAY)


def test_nothing_is_late_before_the_first_run(tmp_path: Path) -> None:
    assert first_run(tmp_path) == 0
    a_record(tmp_path, "20270101T000000Z-setup-0001", NOW - DAY)
    a_record(tmp_path, "20270102T000000Z-backup-0001", NOW)

    assert first_run(tmp_path) == NOW - DAY


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"LastTriggerUSec": "@1799999000"}, ""),
        ({"LastTriggerUSec": "@1799900000"}, "the last one was 28 h ago"),
        ({"LastTriggerUSec": "@1799900000", "ActiveEnterTimestamp": "@1799999000"}, ""),
        ({"LastTriggerUSec": ""}, "there is none"),
        ({"LastTriggerUSec": "@0", "ActiveEnterTimestamp": "@1799999000"}, ""),
        ({"LastTriggerUSec": "@1799999000", "UnitFileState": "disabled"}, "is disabled and active"),
        ({"LastTriggerUSec": "@1799999000", "ActiveState": "inactive"}, "is enabled and inactive"),
        ({"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive"}, "is not-found"),
    ],
)
def test_timer(state: dict[str, str], problem: str, add_program: AddProgram) -> None:
    shown = {"ActiveEnterTimestamp": "", **LOADED, **state}
    add_program("systemctl", "\n".join(f"echo '{name}={value}'" for name, value in shown.items()))

    found = timer(UNIT, LIMIT, NOW).problem

    assert problem in found
    assert bool(problem) == bool(found)


def test_metrics_tell_both() -> None:
    lines = metrics([Check("backup", NOW), Check("drill", None, "late")], NOW + 1).decode().splitlines()

    assert [line for line in lines if not line.startswith("#")] == [
        'flatnet_check_last_timestamp_seconds{check="backup"} 1800000000',
        'flatnet_check_last_timestamp_seconds{check="drill"} 0',
        'flatnet_check_late{check="backup"} 0',
        'flatnet_check_late{check="drill"} 1',
        "flatnet_checks_timestamp_seconds 1800000001",
    ]


def arguments(tmp_path: Path, *more: str) -> list[str]:
    """The program's arguments for a host of its own."""
    return ["--root", str(tmp_path / "flatnet"), "--records", str(tmp_path / "runs"), *more]


def test_program_is_content_with_what_happened_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    a_set(tmp_path / "flatnet", "20270115T000000Z", now - HOUR)
    a_record(tmp_path / "runs", "20270101T000000Z-drill-0001", now - DAY, (DRILL, "good"))

    assert main(arguments(tmp_path)) == 0, capsys.readouterr().out


def test_program_ends_with_1_and_a_sentence_for_each_thing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments(tmp_path))

    assert code == 1
    assert [line.partition(" was expected")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"late: a good set in {tmp_path / 'flatnet'}",
        "late: a drill that proves a restore",
    ]


def test_program_writes_metrics(tmp_path: Path) -> None:
    main(arguments(tmp_path, "--metrics", str(tmp_path)))

    written = tmp_path / METRICS
    assert 'flatnet_check_late{check="backup"} 1' in written.read_text("utf-8")
    assert written.stat().st_mode & 0o777 == 0o644


def test_program_says_what_it_could_not_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments(tmp_path, "--metrics", str(tmp_path / "missing")))

    assert code == 1
    assert "could not" in capsys.readouterr().out
