# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Loki says, in words an operator can use; the answers are those of real servers, 2.9.3 and 3.4.2, recorded."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import OpsError, ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.loki import Config, Line, Loki, nanoseconds, periods

from tests.unit.plugins.module_utils.conftest import Server, success, vector

pytestmark = pytest.mark.unit

BUILD, CONFIG, LABELS, QUERY = (
    "/loki/api/v1/status/buildinfo",
    "/config",
    "/loki/api/v1/labels",
    "/loki/api/v1/query",
)
RANGE = "/loki/api/v1/query_range"
COUNT = 'sum(count_over_time({job=~".+"}[1h]))'
# Shaped as pkg/storage/config/schema_config.go writes it; the recorded answers end before it.
PERIOD = """- from: "{since}"
  store: {store}
  object_store: filesystem
  schema: {schema}
  index:
    path_prefix: index/
    prefix: index_
    period: 1d
    tags: {{}}
  chunks:
    prefix: ""
    period: 0s
    tags: {{}}
  row_shards: 16
"""
FIRST = "configs:\n" + PERIOD.format(since="2020-10-24", store="boltdb-shipper", schema="v11")
SCHEMA = FIRST + PERIOD.format(since="2026-12-01", store="tsdb", schema="v13")


def config(schema: str = SCHEMA, within: str = "3h0m0s") -> tuple[int, str]:
    """A part of what GET /config answers."""
    block = "".join(f"  {line}\n" for line in schema.splitlines())
    return 200, (
        f"target: all\nquerier:\n  tail_max_duration: 1h0m0s\n  query_ingesters_within: {within}\n"
        f"schema_config:\n{block}limits_config:\n  schema: none\n"
    )


def loki(server: Server) -> Loki:
    """A Loki with these answers."""
    return Loki("http://h:3100/", server)


# 02-buildinfo, 09-labels and 15-instant-count of both.
@pytest.mark.parametrize(
    ("version", "labels", "time", "count"),
    [
        ("2.9.3", ["container", "host", "job"], 1795462310, "21"),
        ("3.4.2", ["container", "host", "job", "service_name"], 1795467045, "21"),
    ],
)
def test_what_real_servers_say(version: str, labels: list[str], time: int, count: str) -> None:
    build = {"version": version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}
    result = [{"metric": {}, "value": [time, count]}]
    server = Server(
        {
            BUILD: (200, build),
            LABELS: success(labels),
            QUERY: success({"resultType": "vector", "result": result, "stats": {"summary": {}}}),
        }
    )

    assert loki(server).version() == version
    assert loki(server).labels(time - 3600, time) == labels
    assert loki(server).query(COUNT, time) == count
    assert server.asked == [
        ("GET", BUILD, {}),
        ("GET", LABELS, {"start": f"{time - 3600}000000000", "end": f"{time}000000000"}),
        ("GET", QUERY, {"query": COUNT, "time": f"{time}000000000"}),
    ]


# 12-query-range-lines of 3.4.2, and a second source.
def test_the_last_lines_of_all_sources_are_in_the_order_of_their_time() -> None:
    gateway = {"detected_level": "unknown", "host": "win", "job": "gateway", "service_name": "gateway"}
    notes = {"job": "podman", "container": "app-notes"}
    second = 1795466998
    result = [
        {"stream": gateway, "values": [[f"{second + 1}000000000", "line 19"], [f"{second}000000000", "line 18"]]},
        {"stream": notes, "values": [[f"{second}500000000", "second"], [f"{second}500000000", "first"]]},
    ]
    server = Server({RANGE: success({"resultType": "streams", "result": result, "stats": {}})})

    assert loki(server).lines('{job=~".+"}', second - 3600, second + 2, 5) == [
        Line(second, gateway, "line 18"),
        Line(second + 0.5, notes, "first"),
        Line(second + 0.5, notes, "second"),
        Line(second + 1, gateway, "line 19"),
    ]
    asked = {
        "query": '{job=~".+"}',
        "start": f"{second - 3600}000000000",
        "end": f"{second + 2}000000000",
        "limit": "5",
        "direction": "backward",
    }
    assert server.asked == [("GET", RANGE, asked)]


# 17-metric-range and 18-bad-query.
def test_a_query_that_gives_no_lines_is_refused() -> None:
    numbers = Server({RANGE: success({"resultType": "matrix", "result": []})})
    with pytest.raises(UsageError, match="was expected to give http://h:3100 lines, and gave a matrix: ask for lines"):
        loki(numbers).lines("sum(rate({job='gateway'}[1m]))", 0, 1, 5)
    with pytest.raises(ServerError, match=r"the query '{job=' was expected .* mend the query"):
        loki(Server({RANGE: (400, "parse error at line 1, col 6")})).lines("{job=", 0, 1, 5)


def test_an_instant_has_its_milliseconds() -> None:
    assert nanoseconds(1795462310.1234) == "1795462310123000000"


def test_a_loki_without_lines_has_no_labels_and_no_count() -> None:
    server = Server({LABELS: (200, {"status": "success"}), QUERY: vector()})

    assert loki(server).labels(0, 1) == []
    assert loki(server).query(COUNT, 1) == "no data"


def test_the_schema_is_kept_as_it_is_shown() -> None:
    assert loki(Server({CONFIG: config()})).config() == Config(SCHEMA, 10800.0)


@pytest.mark.parametrize(("within", "seconds"), [("0s", 0.0), ("12h0m0s", 43200.0), ("1h30m0s", 5400.0)])
def test_how_long_lines_are_shown_before_they_are_flushed(within: str, seconds: float) -> None:
    assert loki(Server({CONFIG: config(within=within)})).config().ingesters_asked_seconds == seconds


def test_where_nothing_is_said_it_is_three_hours() -> None:
    status, text = config()
    silent = text.replace("query_ingesters_within", "something_else")

    assert loki(Server({CONFIG: (status, silent)})).config().ingesters_asked_seconds == 10800.0


def test_a_query_shows_unflushed_lines_of_the_last_hours_only() -> None:
    limited, always = Config(SCHEMA, 10800.0), Config(SCHEMA, 0.0)

    assert [limited.shows_ingesters(since, 20000.0) for since in (9200.0, 9200.1)] == [False, True]
    assert always.shows_ingesters(0.0, 20000.0)
    assert (limited.flushed_until(20000.0), always.flushed_until(20000.0)) == (9200.0, 0.0)


def test_what_decides_how_a_period_is_read() -> None:
    assert periods(SCHEMA) == [
        "2020-10-24 boltdb-shipper filesystem v11 index_ 1d",
        "2026-12-01 tsdb filesystem v13 index_ 1d",
    ]


@pytest.mark.parametrize("line", ["row_shards: 16", "path_prefix: index/", "tags: {}", 'prefix: ""', "period: 0s"])
def test_what_only_some_versions_show_decides_nothing(line: str) -> None:
    fewer = "".join(f"{one}\n" for one in SCHEMA.splitlines() if one.strip() != line)

    assert fewer != SCHEMA
    assert periods(fewer) == periods(SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2020-10-24", "2020-10-25"),
        ("boltdb-shipper", "tsdb"),
        ("filesystem", "s3"),
        ("v11", "v12"),
        ("prefix: index_", "prefix: loki_"),
        ("period: 1d", "period: 7d"),
    ],
)
def test_another_value_is_another_period(old: str, new: str) -> None:
    first, second = periods(SCHEMA.replace(old, new, 1))

    assert first != periods(SCHEMA)[0]
    assert second == periods(SCHEMA)[1]


# 18-bad-query, 27-unknown and 28-ready-while-starting of 2.9.3 among them.
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (400, "parse error at line 1, col 6: syntax error: unexpected $end, expecting STRING"),
            r"the query 'up' was expected to be one that http://h:3100 understands, .*unexpected \$end, .*mend the query",
        ),
        ((404, "404 page not found\n"), r"status 404 \('404 page not found'\), expected 200: check the address"),
        ((503, "Ingester not ready: waiting for 15s after being ready\n"), "status 503 .*not ready.*run again"),
        (vector("1", "2"), r"one number, and gave a vector of 2: aggregate it, as in sum\(up\)"),
        (success({"resultType": "streams", "result": []}), "one number, and gave a streams of 0"),
        ((200, {"hello": "I am Grafana"}), "to answer with 'data', and answered .*I am Grafana"),
        ((200, "<html>log in</html>"), "to answer JSON"),
    ],
)
def test_a_refusal_says_what_to_do(answer: tuple[int, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words) as caught:
        loki(Server({QUERY: answer})).query("up", 0)
    assert caught.type is ServerError


@pytest.mark.parametrize("text", ["target: all\n", "schema_config:\n  configs: []\n", ""])
def test_a_server_that_shows_no_schema_is_named(text: str) -> None:
    words = "GET http://h:3100/config was expected to show Loki's schema_config, and shows none"
    with pytest.raises(ServerError, match=words):
        loki(Server({CONFIG: (200, text)})).config()
