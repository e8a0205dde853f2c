# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an Alertmanager says about its silences; the answers are those of a real server, 0.25.0."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.alertmanager import Alertmanager, Silence, _silence
from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError

from tests.unit.plugins.module_utils.conftest import Server

pytestmark = pytest.mark.unit

STATUS, SILENCES = "/api/v2/status", "/api/v2/silences"
ID = "cd297590-b66c-41df-b115-6300c499fd3a"
MATCHERS = [
    {"isEqual": True, "isRegex": False, "name": "b", "value": "1"},
    {"isEqual": True, "isRegex": True, "name": "a", "value": "x|y"},
]
SHOWN: dict[str, Any] = {
    "id": ID,
    "status": {"state": "active"},
    "updatedAt": "2026-11-25T00:40:41.248Z",
    "comment": '窓 "active"',
    "createdBy": "ops",
    "endsAt": "2026-11-25T01:40:41.500Z",
    "matchers": MATCHERS,
    "startsAt": "2026-11-25T00:40:41.248Z",
}


def alertmanager(server: Server) -> Alertmanager:
    """An Alertmanager with these answers."""
    return Alertmanager("http://h:9093/", server)


def test_what_it_says_about_itself() -> None:
    assert alertmanager(Server({STATUS: (200, {"versionInfo": {"version": "0.25.0"}})})).version() == "0.25.0"


def test_silences_as_they_are() -> None:
    server = Server({SILENCES: (200, [SHOWN]), f"/api/v2/silence/{ID}": (200, SHOWN)})
    silence = Silence(
        id=ID,
        state="active",
        matchers=('a=~"x|y"', 'b="1"'),
        starts_at="2026-11-25T00:40:41.248Z",
        ends_at="2026-11-25T01:40:41.500Z",
        created_by="ops",
        comment='窓 "active"',
    )

    assert alertmanager(server).silences() == [silence]
    assert alertmanager(server).silence(ID) == silence
    assert silence.ends == 1795570841.5


def test_a_silence_that_it_does_not_remember_is_none() -> None:
    assert alertmanager(Server({f"/api/v2/silence/{ID}": (404, "")})).silence(ID) is None


def test_an_id_leads_nowhere_else() -> None:
    server = Server({"/api/v2/silence/..%2F..%2F-%2Freload": (404, "")})

    assert alertmanager(server).silence("../../-/reload") is None


@pytest.mark.parametrize(
    ("equal", "regex", "shown"),
    [(True, False, "="), (False, False, "!="), (True, True, "=~"), (False, True, "!~"), (None, True, "=~")],
)
def test_a_matcher_says_how_it_compares(equal: bool | None, regex: bool, shown: str) -> None:
    matcher = {"isRegex": regex, "name": "a", "value": "x"} | ({} if equal is None else {"isEqual": equal})

    assert _silence({**SHOWN, "matchers": [matcher]}).matchers == (f'a{shown}"x"',)


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("id", "another", True),
        ("status", {"state": "pending"}, True),
        ("updatedAt", "2026-11-25T00:50:00.000Z", True),
        ("matchers", MATCHERS[::-1], True),
        ("matchers", MATCHERS[:1], False),
        ("startsAt", "2026-11-25T00:40:41.249Z", False),
        ("endsAt", "2026-11-25T01:40:42.500Z", False),
        ("createdBy", "eve", False),
        ("comment", "", False),
    ],
)
def test_a_digest_tells_what_matters(field: str, value: Any, same: bool) -> None:
    assert (_silence({**SHOWN, field: value}).digest == _silence(SHOWN).digest) == same


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (404, "404 page not found"),
            r"GET http://h:9093/api/v2/silences answered status 404 \('404 page not found'\)",
        ),
        ((200, {"status": "success"}), "expected to answer a list of silences, and answered .*success"),
        ((200, "<html>log in</html>"), "to answer JSON"),
    ],
)
def test_another_server_is_named(answer: tuple[int, Any], words: str) -> None:
    with pytest.raises(ServerError, match=words):
        alertmanager(Server({SILENCES: answer})).silences()
