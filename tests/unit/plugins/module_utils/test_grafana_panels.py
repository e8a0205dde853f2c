# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the panels of a dashboard ask, of whom, and whether there is an answer."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import GatewayError, OpsError, ServerError
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_panels import (
    LOKI,
    PROMETHEUS,
    PanelQuery,
    Panels,
    Sources,
    has_data,
)

from tests.unit.plugins.module_utils.conftest import Given, Server, success, vector

pytestmark = pytest.mark.unit

SOURCES = (
    {"uid": "prom", "name": "Prometheus", "type": "prometheus", "isDefault": True},
    {"uid": "loki", "name": "Loki", "type": "loki"},
    {"uid": "sql", "name": "Numbers", "type": "postgres"},
)
LIBRARY = {"shared": {"type": "stat", "datasource": {"uid": "loki"}, "targets": [{"expr": "{job=~`.+`}"}]}}
PROM = {"type": "prometheus", "uid": "prom"}
UP = PanelQuery("prom", PROMETHEUS, "up")
AT = 1795475119.5
LINES = '{job="x"}'


def panels(*shown: Any, variables: Any = (), **more: Any) -> Panels:
    """What the panels of a dashboard ask."""
    return Sources(SOURCES, LIBRARY).queries({"panels": list(shown), "templating": {"list": list(variables)}, **more})


def panel(*expressions: str, source: Any = None, **more: Any) -> dict[str, Any]:
    """A panel that asks a data source."""
    return {"type": "stat", "datasource": source, "targets": [{"expr": one} for one in expressions], **more}


def asked(expression: str, *variables: dict[str, Any]) -> str | None:
    """What an expression becomes; None if it is not asked."""
    found = panels(panel(expression), variables=variables)
    assert len(found.queries) + found.not_asked == 1
    return found.queries[0].expression if found.queries else None


SHOWN: dict[str, tuple[dict[str, Any], Panels]] = {
    "uid": (panel("up", source=PROM), Panels((UP,), 0)),
    "name, as of old": (panel("up", source="Prometheus"), Panels((UP,), 0)),
    "the default one": (panel("up"), Panels((UP,), 0)),
    "the default one, by name": (panel("up", source="default"), Panels((UP,), 0)),
    "the default one, for no uid": (panel("up", source={"type": "prometheus"}), Panels((UP,), 0)),
    "another kind": (panel("up", source={"uid": "sql"}), Panels((), 1)),
    "none that is there": (panel("up", source={"uid": "gone"}), Panels((), 1)),
    "each query its own": (
        {
            "datasource": {"uid": "-- Mixed --"},
            "targets": [
                {"expr": "up", "datasource": PROM},
                {"expr": LINES, "datasource": {"uid": "loki"}},
                {"type": "math", "expression": "$A", "datasource": {"type": "__expr__", "uid": "__expr__"}},
            ],
        },
        Panels((UP, PanelQuery("loki", LOKI, LINES)), 1),
    ),
    "hidden": ({"targets": [{"expr": "up"}, {"expr": "down", "hide": True}]}, Panels((UP,), 0)),
    "twice the same": (panel("up", "up"), Panels((UP,), 0)),
    "no query yet": (panel(""), Panels((), 1)),
    "text": ({"type": "text"}, Panels((), 0)),
    "closed row": ({"type": "row", "panels": [panel("up")]}, Panels((UP,), 0)),
    "library panel": ({"libraryPanel": {"uid": "shared"}}, Panels((PanelQuery("loki", LOKI, "{job=~`.+`}"),), 0)),
    "library panel in a row": (
        {"type": "row", "panels": [{"libraryPanel": {"uid": "shared"}}]},
        Panels((PanelQuery("loki", LOKI, "{job=~`.+`}"),), 0),
    ),
    "library panel that is gone": ({"libraryPanel": {"uid": "gone"}}, Panels((), 0)),
}


@pytest.mark.parametrize(("shown", "expected"), SHOWN.values(), ids=SHOWN)
def test_what_a_panel_asks(shown: dict[str, Any], expected: Panels) -> None:
    assert panels(shown) == expected


def test_a_dashboard_may_have_rows_of_old_or_nothing() -> None:
    assert panels(rows=[{"panels": [panel("up")]}]) == Panels((UP,), 0)
    assert Sources(SOURCES, {}).queries({}) == Panels((), 0)
    assert Sources((), {}).queries({"panels": [panel("up")]}) == Panels((), 1)


def variable(value: Any, **more: Any) -> dict[str, Any]:
    """A variable ``v`` with what was chosen last."""
    return {"name": "v", "current": {"value": value}, **more}


@pytest.mark.parametrize("written", ["$v", "${v}", "${v:regex}", "${v.text}", "[[v]]", "[[v:pipe]]"])
def test_a_variable_is_filled_in_however_it_is_written(written: str) -> None:
    assert asked(f'up{{a=~"{written}"}}', variable("x")) == 'up{a=~"x"}'


@pytest.mark.parametrize(
    ("chosen", "filled"),
    [
        (variable("10.0.0.1:9100"), "10.0.0.1:9100"),
        (variable(["a"]), "a"),
        (variable(["10.0.0.1", "gw-1", "a\\b"]), r"(10\\.0\\.0\\.1|gw-1|a\\\\b)"),
        (variable("$__all"), ".*"),
        (variable(["$__all"], allValue="x.+"), "x.+"),
        (variable("$__auto_interval_v", type="interval"), "5m"),
        (variable(7), "7"),
    ],
)
def test_what_is_filled_in_is_what_was_chosen(chosen: dict[str, Any], filled: str) -> None:
    assert asked('up{a=~"$v"}', chosen) == f'up{{a=~"{filled}"}}'


@pytest.mark.parametrize("nothing", [variable(None), variable([]), {"name": "v"}, {"name": "v", "current": {}}])
def test_a_variable_without_a_value_is_not_asked_for(nothing: dict[str, Any]) -> None:
    assert asked("up{a='$v'}", nothing) is None


def test_what_the_page_fills_in_by_its_range_and_what_is_no_variable() -> None:
    assert asked("rate(x[$__rate_interval]) + rate(x[${__range}])") == "rate(x[5m]) + rate(x[1h])"
    assert asked("x > ${__from}") is None
    assert asked('label_replace(up, "a", "$1-${2}", "b", "(.*)$")') == 'label_replace(up, "a", "$1-${2}", "b", "(.*)$")'


def test_a_data_source_may_be_a_variable() -> None:
    chosen = {"name": "ds", "type": "datasource", "current": {"value": "loki"}}

    found = panels(panel(LINES, source={"uid": "${ds}"}), panel("up", source="$other"), variables=[chosen])
    assert found == Panels((PanelQuery("loki", LOKI, LINES),), 1)


def answers(query: PanelQuery, path: str, answer: Given) -> tuple[bool, dict[str, str]]:
    """Whether a query has data, and how it was asked."""
    server = Server({f"/api/datasources/proxy/uid/{path}": answer})
    has = has_data(Grafana("http://h", server, Effects()), query, AT)
    return has, server.asked[0][2]


def test_prometheus_is_asked_at_an_instant() -> None:
    # changes/005
    assert answers(UP, "prom/api/v1/query", vector("1")) == (True, {"query": "up", "time": "1795475119.500"})
    assert answers(UP, "prom/api/v1/query", vector()) == (False, {"query": "up", "time": "1795475119.500"})
    odd = PanelQuery("a/b", PROMETHEUS, "up")
    assert answers(odd, "a%2Fb/api/v1/query", success({"resultType": "scalar", "result": [0, "1"]}))[0]


@pytest.mark.parametrize("expression", [LINES, "\n " + LINES])
def test_loki_is_asked_for_lines_over_an_hour(expression: str) -> None:
    lines = success({"resultType": "streams", "result": [{"stream": {}, "values": [["1", "x"]]}]})
    times = {"start": "1795471519500000000", "end": "1795475119500000000", "limit": "1"}

    query = PanelQuery("loki", LOKI, expression)
    assert answers(query, "loki/loki/api/v1/query_range", lines) == (True, {"query": expression, **times})


def test_loki_is_asked_for_numbers_at_an_instant() -> None:
    count = "sum(count_over_time({job=~`.+`}[1h]))"

    query = PanelQuery("loki", LOKI, count)
    assert answers(query, "loki/loki/api/v1/query", vector()) == (
        False,
        {"query": count, "time": "1795475119500000000"},
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        # changes/006, 007
        ((502, ""), GatewayError),
        ((404, {"message": "Unable to find datasource", "traceID": ""}), ServerError),
        ((400, {"status": "error", "error": "parse error"}), ServerError),
    ],
)
def test_a_data_source_that_does_not_answer_is_an_error(answer: Given, kind: type[OpsError]) -> None:
    with pytest.raises(OpsError) as caught:
        answers(UP, "prom/api/v1/query", answer)
    assert caught.type is kind
