# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_rotation import Rotation, rotated_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

pytestmark = pytest.mark.unit

NAMES = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
INSTALLATION = Installation(r"C:\open resty", r"C:\flatnet", r"C:\open resty\nginx.exe", r"conf\nginx.conf")
LOGS = (r"logs\error.log", r"D:\access & more.log")


def said(rotation: Rotation, path: str) -> str:
    """What the definition of the task says."""
    root = ElementTree.fromstring(rotation.task(INSTALLATION).definition("operator").partition("\n")[2])
    return root.findtext("/".join(f"t:{name}" for name in path.split("/")), "", NAMES)


def test_the_task_rotates_the_logs_that_are_named() -> None:
    rotation = Rotation(LOGS, 14, 200)

    assert said(rotation, "Actions/Exec/Arguments").endswith(
        r'-File "C:\flatnet\rotate_logs.ps1" -Prefix "C:\open resty"'
        r' -Logs "logs\error.log|D:\access & more.log" -KeepDays 14 -MaxMegabytes 200'
    )
    assert list(rotation.files(INSTALLATION)) == [r"C:\flatnet\rotate_logs.ps1"]
    assert said(rotation, "Triggers/TimeTrigger/Repetition/Interval") == "PT1H"


def test_another_way_to_rotate_is_another_definition() -> None:
    sources = {said(Rotation(LOGS, days, 200), "RegistrationInfo/Source") for days in (14, 14, 15)}

    assert len(sources) == 2


@pytest.mark.parametrize(("days", "size", "name"), [(0, 1, "log_keep_days"), (1, 0, "log_megabytes")])
def test_a_number_that_would_delete_or_rotate_everything_is_refused(days: int, size: int, name: str) -> None:
    with pytest.raises(WindowsError, match=f"{name} was expected to be a number from 1 on, and is 0"):
        Rotation(LOGS, days, size).refuse_nonsense()


def test_a_problem_is_a_fault_and_a_good_run_is_none() -> None:
    good = {"at": "2026-11-24T02:00:00Z", "rotated": ["a"], "removed": [], "problem": None}
    bad = {**good, "rotated": [], "problem": "nginx was expected to open it again"}
    found, failed = rotated_of(json.dumps(good)), rotated_of(json.dumps(bad))

    assert rotated_of(None) is None
    assert found is not None and found.fault is None and found.shown() == good
    assert failed is not None
    assert (
        failed.fault == "the rotation of the logs failed at 2026-11-24T02:00:00Z: nginx was expected to open it again"
    )
