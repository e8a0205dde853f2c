# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_wsl import Wsl, not_kept, wsl_of

pytestmark = pytest.mark.unit

INSTALLATION = Installation(r"C:\openresty", r"C:\flatnet", r"C:\openresty\nginx.exe", r"conf\nginx.conf")
BEGIN = {"event": "begin", "distribution": "Debian", "program": r"C:\Program Files\WSL\wsl.exe"}
FAILED = {"event": "end", "code": -1, "said": "There is no distribution\r\nwith the supplied name."}


def looked(*events: dict[str, Any], **other: Any) -> Wsl:
    """What the look at a host means where nothing is wrong, but for these answers."""
    (task,) = [task for task in INSTALLATION.tasks("Debian") if task.name == "flatnet-wsl"]
    look = {
        "sid": "S-1-5-21-1-2-3-1001",
        "loaded": True,
        "distributions": [{"name": "Debian", "flags": 15}, {"name": "Old", "flags": 7}],
        "program": r"C:\Program Files\WSL\wsl.exe",
        "task": task.definition("operator"),
        "held": True,
        "log": "".join(f"{json.dumps(event)}\n" for event in events),
    }
    return wsl_of("operator", {**look, **other})


@pytest.mark.parametrize("name", ["Debian", "debian"])
def test_a_distribution_of_the_account_is_taken_by_its_name_in_any_case(name: str) -> None:
    assert looked().refusal(name) == ""


@pytest.mark.parametrize(
    ("distribution", "look", "words"),
    [
        ("Debian", {"sid": None}, "account 'operator' was expected on the host, and Windows knows none"),
        ("Debian", {"loaded": False}, "reach the host as that account"),
        ("Ubuntu", {}, "'Ubuntu', and it owns Debian, Old: distributions belong to accounts"),
        ("Debian", {"distributions": []}, "and it owns none"),
        ("Old", {}, "'Old' was expected to be of WSL 2, and is of WSL 1"),
        ("Debian", {"program": None}, "wsl.exe was expected in"),
    ],
)
def test_what_is_against_it_is_said_with_what_to_do(distribution: str, look: dict[str, Any], words: str) -> None:
    refusal = looked(**look).refusal(distribution)

    assert words in refusal
    assert refusal.endswith("; nothing was changed")


def test_a_distribution_is_kept_when_it_has_answered_and_the_attempt_goes_on() -> None:
    assert looked(BEGIN, {"event": "up"}).keeps("debian")
    assert not looked(BEGIN, {"event": "up"}).keeps("Ubuntu")
    assert not looked(BEGIN).keeps("Debian")
    assert not looked(BEGIN, {"event": "up"}, held=False).keeps("Debian")


def test_an_attempt_that_failed_says_what_wsl_has_said() -> None:
    wsl = looked(BEGIN, FAILED, held=False)

    said = not_kept(wsl, "Debian", r"C:\flatnet\wsl.log")
    assert "wsl.exe ended with -1, 'There is no distribution with the supplied name.'" in said
    assert r"C:\flatnet\wsl.log" in said
    assert "it has said nothing so far" in not_kept(looked(), "Debian", "x")


def test_a_line_that_was_cut_while_it_was_written_is_none() -> None:
    assert looked(BEGIN, log=f"{json.dumps(BEGIN)}\n{json.dumps(FAILED)[:9]}").said == ""


def test_a_task_that_somebody_has_disabled_is_told_from_one_that_is_not_there() -> None:
    (task,) = [task for task in INSTALLATION.tasks("Debian") if task.name == "flatnet-wsl"]
    disabled = task.definition("operator").replace("<Enabled>true</Enabled>\n", "<Enabled>false</Enabled>\n")

    assert looked().enabled is True
    assert looked(task=disabled).enabled is False
    assert looked(task=None).enabled is None
