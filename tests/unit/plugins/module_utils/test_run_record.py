# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run record: one durable line for each step, for root alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RunRecord, Step, check_run

pytestmark = pytest.mark.unit

RUN = "20261124T021500Z-backup-3f9a"
STEP = Step("tree_backup", "volumes/日本", "good", True, "two\nlines", 1.25, {"files": 2}, {"name": "a\nb"})


def test_one_line_for_each_step(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "runs", RUN)
    record.append(STEP)
    record.append(STEP)

    first, second = (tmp_path / "runs" / f"{RUN}.jsonl").read_bytes().splitlines()
    value = json.loads(first)
    assert value == {**json.loads(second), "time": value["time"]}
    assert (value["format"], value["run"], value["message"]) == (1, RUN, "two\nlines")
    assert (value["step"], value["numbers"], value["evidence"]) == ("volumes/日本", {"files": 2}, {"name": "a\nb"})


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    RunRecord(tmp_path / "runs", RUN).append(STEP)

    assert (tmp_path / "runs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "runs" / f"{RUN}.jsonl").stat().st_mode & 0o777 == 0o600


def test_without_a_run_nothing_is_written(tmp_path: Path) -> None:
    RunRecord(tmp_path / "runs", None).append(STEP)

    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("run", ["", "../x", f"{RUN}/..", f"{RUN}\n", "20261124T021500Z-Backup-3f9a", "latest"])
def test_a_run_is_never_another_file(run: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected to look like"):
        RunRecord(tmp_path, run)
    with pytest.raises(ValueError, match="expected to look like"):
        check_run(run)
