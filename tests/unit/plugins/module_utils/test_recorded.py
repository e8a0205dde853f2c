# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outermost layer: whatever happens is recorded, and ends the module with a named error or its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import recorded
from ansible_collections.flatnet.ops.plugins.module_utils.errors import DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.undo import STATE

from tests.unit.plugins.module_utils.conftest import RUN

pytestmark = pytest.mark.unit


class Ended(Exception):
    """The module has ended with these values."""

    def __init__(self, **values: Any) -> None:
        self.values = values


class Module:
    """What of AnsibleModule the outermost layer uses."""

    _name = "flatnet.ops.tree_backup"

    def __init__(self, run: str | None = RUN, check_mode: bool = False) -> None:
        self.params = {"run": run}
        self.check_mode = check_mode

    def exit_json(self, **values: Any) -> None:
        """End well."""
        raise Ended(failed=False, **values)

    def fail_json(self, **values: Any) -> None:
        """End badly."""
        raise Ended(failed=True, **values)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records of this test are."""
    monkeypatch.setattr(recorded, "RECORDS", tmp_path / "runs")
    return tmp_path / "runs"


def end_of(module: Module, outcome: Outcome | Exception) -> dict[str, Any]:
    """How a module ends whose work ends so."""

    def work() -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(Ended) as caught:
        carry_out(module, "volumes/notes", work)
    values: dict[str, Any] = caught.value.values
    return values


def steps(records: Path) -> list[dict[str, Any]]:
    """What was recorded."""
    return [json.loads(line) for path in records.glob("*") for line in path.read_text("utf-8").splitlines()]


def test_what_was_done_is_recorded_and_returned(records: Path) -> None:
    done = Outcome(True, "saved", "warning", {"files": 2}, {"path": "/x"}, {"id": "7"}, {"before": "", "after": "x"})

    assert end_of(Module(), done) == {
        "failed": False,
        "changed": True,
        "msg": "saved",
        "id": "7",
        "diff": {"before": "", "after": "x"},
    }
    (step,) = steps(records)
    assert step.pop("seconds") >= 0
    assert step.pop("time")
    assert step == {
        "format": 1,
        "run": RUN,
        "module": "tree_backup",
        "step": "volumes/notes",
        "status": "warning",
        "changed": True,
        "message": "saved",
        "numbers": {"files": 2},
        "evidence": {"path": "/x"},
    }


def test_without_a_diff_there_is_none(records: Path) -> None:
    assert end_of(Module(), Outcome(False, "same")) == {"failed": False, "changed": False, "msg": "same"}
    assert [(step["status"], step["changed"]) for step in steps(records)] == [("good", False)]


@pytest.mark.parametrize(
    ("error", "message", "name"),
    [
        (DiskFull("no room"), "no room", "DiskFull"),
        (
            PermissionError(13, "Permission denied", "/srv"),
            "the host was expected to let tree_backup do its work, and refused: [Errno 13] Permission denied: '/srv'",
            "PermissionError",
        ),
    ],
)
def test_a_failure_is_recorded_and_named(records: Path, error: Exception, message: str, name: str) -> None:
    assert end_of(Module(), error) == {"failed": True, "msg": message, "error": name}
    (step,) = steps(records)
    assert (step["status"], step["changed"], step["message"]) == ("failed", False, message)


def test_records_are_where_the_host_keeps_everything() -> None:
    assert Path("/var/lib/flatnet-ops/runs") == recorded.RECORDS == STATE / "runs"


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    def work() -> Outcome:
        raise KeyError("x")

    with pytest.raises(KeyError):
        carry_out(Module(run=None), "volumes/notes", work)


@pytest.mark.parametrize("module", [Module(run=None), Module(check_mode=True)])
def test_check_mode_and_a_module_without_a_run_record_nothing(records: Path, module: Module) -> None:
    end_of(module, Outcome(True, "would be saved"))
    end_of(module, DiskFull("no room"))

    assert not records.exists()


@pytest.mark.parametrize("run", ["", "../escape", "a run"])
def test_a_run_that_is_none_ends_the_module_by_name(records: Path, run: str) -> None:
    values = end_of(Module(run), Outcome(True, "saved"))

    assert (values["failed"], values["error"]) == (True, "UsageError")
    assert f"'{run}'" in values["msg"]
    assert not records.exists()
