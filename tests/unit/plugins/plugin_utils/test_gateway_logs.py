# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked about the logs of a gateway, and what an answer means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_logs import (
    ACCESS,
    ERROR,
    Wanted,
    logs_of,
    sentence_of,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

pytestmark = pytest.mark.unit

PREFIX = r"C:\openresty"
WANTED = Wanted(PREFIX, {ERROR: r"logs\error.log", ACCESS: r"logs\access.log"}, 100, "debug", "", {})
PLACE = "41213-1024-9f86d081884c7d65"
ENTRY = {"time": "2026-11-24T02:15:00Z", "level": "error", "text": "2026/11/24 11:15:00 [error] 1#2: 失敗"}


def found(**values: Any) -> dict[str, Any]:
    """What the script answers of one log."""
    log = {
        "name": ERROR,
        "path": rf"{PREFIX}\logs\error.log",
        "size": 41213,
        "entries": [],
        "next": PLACE,
        "aside": [],
        "rotated": False,
        "more": False,
        "cut": False,
        "problem": None,
        "said": None,
    }
    return {**log, **values}


def sentence(**values: Any) -> str:
    """What an operator is told of one log."""
    return sentence_of(logs_of({"logs": [found(**values)]}))


def test_both_logs_are_asked_for_from_their_end() -> None:
    question = WANTED.question()

    assert question["Logs"] == [
        {"name": name, "path": rf"{PREFIX}\logs\{name}.log", "errors": errors, "offset": -1, "head": 0, "digest": ""}
        for name, errors in ((ERROR, True), (ACCESS, False))
    ]
    assert (question["Most"], question["SinceSeconds"], question["WithinSeconds"]) == (100, 0, 0)


def test_a_log_may_lie_elsewhere_or_be_left_out() -> None:
    elsewhere = replace(WANTED, paths={ERROR: r"D:\logs\flatnet.log", ACCESS: ""})

    assert [log["path"] for log in elsewhere.question()["Logs"]] == [r"D:\logs\flatnet.log"]


@pytest.mark.parametrize(
    ("level", "unwanted"),
    [
        ("debug", []),
        ("warn", ["notice", "info", "debug"]),
        ("emerg", ["alert", "crit", "error", "warn", "notice", "info", "debug"]),
    ],
)
def test_a_level_leaves_out_what_is_less_bad(level: str, unwanted: list[str]) -> None:
    assert replace(WANTED, level=level).question()["Unwanted"] == unwanted


@pytest.mark.parametrize(
    ("since", "at", "within"),
    [("", 0, 0), ("30m", 0, 1800), ("1d12h", 0, 129600), ("2026-11-24T02:15:00Z", 1795486500, 0)],
)
def test_a_time_is_the_hosts_own_or_one_of_all_clocks(since: str, at: float, within: float) -> None:
    question = replace(WANTED, since=since).question()

    assert (question["SinceSeconds"], question["WithinSeconds"]) == (at, within)


def test_a_later_look_goes_on_where_the_earlier_one_ended() -> None:
    error, access = replace(WANTED, after={ERROR: PLACE}).question()["Logs"]

    assert (error["offset"], error["head"], error["digest"]) == (41213, 1024, "9f86d081884c7d65")
    assert access["offset"] == -1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lines": 0}, "lines was expected to be a number from 1 to 1000, and is 0"),
        ({"lines": 1001}, "lines was expected to be a number from 1 to 1000, and is 1001"),
        ({"since": "yesterday"}, "since was expected to be a duration, as 30m or 2h, or a time, .* and is 'yesterday'"),
        ({"after": {ERROR: "41213"}}, "after.error was expected to be a place in the error log, .* and is '41213'"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(WindowsError, match=words):
        replace(WANTED, **wrong).question()


def test_entries_are_counted_by_their_level() -> None:
    entries = [ENTRY, {**ENTRY, "level": "emerg"}, ENTRY, {**ENTRY, "time": None, "level": None}]
    (log,) = logs_of({"logs": [found(entries=entries)]})

    assert log.levels == {"emerg": 1, "error": 2}
    assert [entry.text for entry in log.entries] == [ENTRY["text"]] * 4
    assert log.sentence == r"C:\openresty\logs\error.log: 4 entries (1 emerg, 2 error)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"C:\openresty\logs\error.log: 0 entries"),
        ({"size": 0}, r"C:\openresty\logs\error.log: empty"),
        ({"more": True}, "more entries follow: go on from the place that is named"),
        ({"cut": True}, r"only the last 16 MiB of C:\openresty\logs\error.log were looked through"),
        ({"rotated": True, "aside": [r"C:\error.log.1"]}, r"what came before was read from C:\error.log.1"),
        ({"rotated": True}, "is another one, and beside it none is the old one: what was written to that after"),
        ({"problem": "missing"}, "there is no such file: say where it is, or leave it out by an empty name"),
        ({"problem": "denied"}, "Windows denies this account access"),
        ({"problem": "locked", "said": "it is used"}, "another program keeps it to itself ('it is used')"),
    ],
)
def test_what_is_to_be_said_of_a_log_is_said(values: dict[str, Any], words: str) -> None:
    assert words in sentence(**values)


@pytest.mark.parametrize(
    ("values", "unread", "gap"),
    [
        ({}, False, False),
        ({"rotated": True, "aside": [r"C:\error.log.1"]}, False, False),
        ({"rotated": True}, False, True),
        ({"cut": True}, False, True),
        ({"problem": "missing"}, True, False),
    ],
)
def test_only_what_is_missing_is_a_fault(values: dict[str, Any], unread: bool, gap: bool) -> None:
    (log,) = logs_of({"logs": [found(**values)]})

    assert (log.unread is not None, log.gap is not None) == (unread, gap)


def test_no_log_is_nothing_to_read() -> None:
    assert sentence_of([]) == "no log was asked for"
