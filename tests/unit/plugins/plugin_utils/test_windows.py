# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import CARRIER, SCRIPTS, Windows, WindowsRefused

pytestmark = pytest.mark.unit

FAILED = {"output": "Access is denied", "script_stack_trace": "at <ScriptBlock>, <No file>: line 3\r\nat more"}


def host(answer: Mapping[str, Any], seen: list[tuple[str, Mapping[str, Any]]] | None = None) -> Windows:
    def execute(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if seen is not None:
            seen.append((name, given))
        return answer

    return Windows("win1", execute)


def test_a_script_is_sent_whole_and_stops_at_its_first_error() -> None:
    seen: list[tuple[str, Mapping[str, Any]]] = []

    answer = host({"result": {"state": "fine"}}, seen).run("gateway_look", Port=80)

    ((name, given),) = seen
    assert answer == {"state": "fine"}
    assert name == CARRIER
    assert given["script"] == (SCRIPTS / "gateway_look.ps1").read_text("ascii")
    assert given["parameters"] == {"Port": 80}
    assert given["error_action"] == "stop"


def test_an_answer_may_come_as_one_text() -> None:
    assert host({"result": '{"state": "fine", "files": [{"path": "a"}]}'}).run("gateway_look") == {
        "state": "fine",
        "files": [{"path": "a"}],
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"skipped": True}, "was skipped"),
        ({"failed": True, "msg": "no connection"}, "failed with 'no connection'"),
        (
            {"failed": True, "error": [{**FAILED, "exception": {"message": "the disk\r\nis full"}}]},
            "failed with 'the disk is full' (at <ScriptBlock>, <No file>: line 3)",
        ),
        ({"failed": True, "error": [FAILED]}, "failed with 'Access is denied' (at <ScriptBlock>, <No file>: line 3)"),
        ({"result": {}, "failed": True}, "failed with 'no message'"),
        ({"result": None}, "answered nothing"),
        ({"result": "words"}, "answered nothing"),
        ({"result": "[]"}, "answered nothing"),
        ({}, "answered nothing"),
    ],
)
def test_what_is_no_answer_is_refused_by_name(answer: Mapping[str, Any], words: str) -> None:
    with pytest.raises(WindowsRefused, match=r"gateway_look\.ps1 was expected to answer on win1, and") as caught:
        host(answer).run("gateway_look")

    assert words in str(caught.value)


def test_a_sentence_of_ours_is_handed_on_without_advice_that_is_not_its_own() -> None:
    said = "a file was expected to be readable, and is locked: close the program that holds it"
    error = {**FAILED, "exception": {"message": said}, "fully_qualified_error_id": said}

    with pytest.raises(WindowsRefused) as caught:
        host({"failed": True, "error": [error]}).run("gateway_look")

    assert str(caught.value) == f"on win1, {said}"
