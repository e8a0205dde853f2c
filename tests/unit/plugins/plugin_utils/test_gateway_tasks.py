# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation, Task

pytestmark = pytest.mark.unit

NAMES = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
INSTALLATION = Installation(r"C:\open resty", r"C:\flatnet", r"C:\open resty\nginx.exe", r"conf\nginx.conf")


def parsed(task: Task, account: str = "HOST\\operator") -> ElementTree.Element:
    return ElementTree.fromstring(task.definition(account).partition("\n")[2])


def said(task: Task, *path: str) -> str:
    return parsed(task).findtext("/".join(f"t:{name}" for name in path), "", NAMES)


@pytest.fixture(name="tasks")
def _tasks() -> dict[str, Task]:
    return {task.name: task for task in INSTALLATION.tasks("Debian")}


def test_the_gateway_is_kept_for_ever_and_by_one_instance(tasks: dict[str, Task]) -> None:
    task = tasks["flatnet-gateway"]

    assert said(task, "Settings", "MultipleInstancesPolicy") == "IgnoreNew"
    assert said(task, "Settings", "ExecutionTimeLimit") == "PT0S"
    assert said(task, "Settings", "DisallowStartIfOnBatteries") == "false"
    assert said(task, "Settings", "StopIfGoingOnBatteries") == "false"
    assert said(task, "Triggers", "TimeTrigger", "Repetition", "Interval") == "PT1M"
    assert said(task, "Triggers", "BootTrigger", "Enabled") == "true"


def test_a_second_transaction_is_there_to_be_refused(tasks: dict[str, Task]) -> None:
    assert said(tasks["flatnet-transaction"], "Settings", "MultipleInstancesPolicy") == "Parallel"


def test_tasks_run_without_a_login_as_an_administrator(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        assert said(task, "Principals", "Principal", "UserId") == "HOST\\operator"
        assert said(task, "Principals", "Principal", "LogonType") == "S4U"
        assert said(task, "Principals", "Principal", "RunLevel") == "HighestAvailable"


def test_paths_with_blanks_are_quoted(tasks: dict[str, Task]) -> None:
    arguments = said(tasks["flatnet-gateway"], "Actions", "Exec", "Arguments")

    assert r'-File "C:\flatnet\keep_gateway.ps1" -Program "C:\open resty\nginx.exe"' in arguments


def test_a_definition_says_which_it_is(tasks: dict[str, Task]) -> None:
    task = tasks["flatnet-gateway"]
    sources = {
        parsed(task, account).findtext("t:RegistrationInfo/t:Source", "", NAMES)
        for account in ("one", "one", "other & more")
    }

    assert len(sources) == 2
    assert all(source.startswith("flatnet.ops ") for source in sources)


def test_the_scripts_that_tasks_run_are_installed() -> None:
    ours = [r"C:\flatnet\keep_gateway.ps1", r"C:\flatnet\transactions\act.ps1"]

    assert sorted(INSTALLATION.files()) == ours
    assert sorted(INSTALLATION.files("Debian")) == sorted([*ours, r"C:\flatnet\keep_wsl.ps1"])
    assert {path.rpartition("\\")[0] for path in INSTALLATION.files("Debian")} <= set(INSTALLATION.folders())


def test_a_distribution_is_started_at_boot_and_kept_for_ever(tasks: dict[str, Task]) -> None:
    task = tasks["flatnet-wsl"]

    assert "flatnet-wsl" not in {each.name for each in INSTALLATION.tasks()}
    assert said(task, "Settings", "MultipleInstancesPolicy") == "IgnoreNew"
    assert said(task, "Settings", "ExecutionTimeLimit") == "PT0S"
    assert said(task, "Triggers", "TimeTrigger", "Repetition", "Interval") == "PT1M"
    assert said(task, "Triggers", "BootTrigger", "Enabled") == "true"
    assert said(task, "Actions", "Exec", "Arguments").endswith(
        r'-File "C:\flatnet\keep_wsl.ps1" -Distribution "Debian" -Log "C:\flatnet\wsl.log"'
    )
