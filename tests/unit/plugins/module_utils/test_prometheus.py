# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Prometheus says, in words an operator can use."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import AdminApiOff, AgentMode, OpsError, ServerError
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus

from tests.unit.plugins.module_utils.conftest import Server, success, vector

pytestmark = pytest.mark.unit

QUERY, SNAPSHOT = "/api/v1/query", "/api/v1/admin/tsdb/snapshot"


def prometheus(server: Server, effects: Effects | None = None) -> Prometheus:
    """A Prometheus with these answers."""
    return Prometheus("http://h:9090/", server, effects or Effects())


def refusal(status: int, kind: str, words: str) -> tuple[int, Any]:
    """What Prometheus says when it will not."""
    return status, {"status": "error", "errorType": kind, "error": words}


def test_what_it_says_about_itself() -> None:
    server = Server(
        {
            "/prefix/api/v1/status/buildinfo": success({"version": "2.42.0", "goVersion": "go1.19"}),
            "/prefix/api/v1/status/flags": success({"web.enable-admin-api": "true", "query.max-samples": 50}),
        }
    )
    asked = Prometheus("http://h:9090/prefix/", server, Effects())

    assert asked.version() == "2.42.0"
    assert asked.flags() == {"web.enable-admin-api": "true", "query.max-samples": "50"}


def test_only_a_snapshot_changes_it() -> None:
    server, effects = Server({SNAPSHOT: success({"name": "20261124T021500Z-1"}), QUERY: vector("9")}), Effects()

    assert prometheus(server, effects).snapshot() == "20261124T021500Z-1"
    assert prometheus(server, effects).query("up", 1.5) == "9"
    assert [effect.target for effect in effects.log] == [f"POST http://h:9090{SNAPSHOT}"]
    assert server.asked == [("POST", SNAPSHOT, {}), ("GET", QUERY, {"query": "up", "time": "1.500"})]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (vector("9"), "9"),
        (vector("1.7976931348623157e+308"), "1.7976931348623157e+308"),
        (vector("NaN"), "NaN"),
        (vector(), "no data"),
        (success({"resultType": "scalar", "result": [0, "42"]}), "42"),
    ],
)
def test_one_number_as_the_server_writes_it(answer: tuple[int, Any], value: str) -> None:
    assert prometheus(Server({QUERY: answer})).query("up", 0) == value


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (vector("1", "2"), r"to give http://h:9090 one number, and gave a vector of 2: aggregate it, as in sum\(up\)"),
        (success({"resultType": "matrix", "result": [1]}), "gave a matrix of 1"),
        (success({"resultType": "matrix", "result": []}), "gave a matrix of 0"),
    ],
)
def test_more_than_one_number_is_refused(answer: tuple[int, Any], words: str) -> None:
    with pytest.raises(ServerError, match=words):
        prometheus(Server({QUERY: answer})).query("up", 0)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refusal(500, "unavailable", "admin APIs disabled"), AdminApiOff, "--web.enable-admin-api .*flatnet.ops.setup"),
        (refusal(422, "execution", "unavailable with Prometheus Agent"), AgentMode, "the server that it writes to"),
        (refusal(422, "execution", "too many samples"), ServerError, "too many samples.*, expected success"),
        (refusal(500, "internal", "create snapshot agent: no space"), ServerError, "status 500 .*expected success"),
        ((200, {"hello": "I am Grafana"}), ServerError, "to answer as Prometheus does, .*status 200 .*Grafana"),
        ((200, []), ServerError, "to answer as Prometheus does"),
        ((200, '"status"'), ServerError, "to answer as Prometheus does"),
        ((302, "<html>log in</html>"), ServerError, "to answer JSON, .*status 302 .*<html>log in"),
        ((502, ""), ServerError, "to answer JSON"),
    ],
)
def test_a_refusal_says_what_to_do(answer: tuple[int, Any], error: type[OpsError], words: str) -> None:
    with pytest.raises(OpsError, match=words) as caught:
        prometheus(Server({SNAPSHOT: answer})).snapshot()
    assert caught.type is error
    assert f"POST http://h:9090{SNAPSHOT}" in str(caught.value)
