# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions asked before a copy and again on restored data: which, and what counts as the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.applications import (
    HOUR,
    Application,
    Asked,
    Examined,
    Question,
    application,
)
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SchemaDiffers, ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Transport

from tests.unit.plugins.module_utils.conftest import Answers, Server, success, vector
from tests.unit.plugins.module_utils.test_alertmanager import ID, SHOWN
from tests.unit.plugins.module_utils.test_loki import BUILD, CONFIG, FIRST, LABELS, QUERY, SCHEMA, config

pytestmark = pytest.mark.unit

# 2026-11-25T00:20:00Z, so the last closed hour ended at midnight.
MIDNIGHT = 1795564800.0
NOW = MIDNIGHT + 1200


def count(label: str) -> str:
    """The question how many lines of the hour before have this label."""
    return f'sum(count_over_time({{{label}=~".+"}}[1h]))'


@dataclass
class Lines(Server):
    """A Loki with so many lines, by label and by the number of hours before midnight that they end at."""

    lines: dict[tuple[str, int], int] = field(default_factory=dict)

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Answer at once."""
        if params and "time" in params:
            ago = round((MIDNIGHT - int(params["time"]) / 1e9) / HOUR)
            found = [
                str(lines)
                for (label, hour), lines in self.lines.items()
                if (count(label), hour) == (params["query"], ago)
            ]
            self.answers[QUERY] = vector(*found)
        return super().request(method, url, params, body)

    def queries(self) -> int:
        """How many questions it was asked."""
        return sum(path == QUERY for _method, path, _params in self.asked)


def lines(lines: Mapping[tuple[str, int], int], *labels: str, within: str = "3h0m0s", schema: str = SCHEMA) -> Lines:
    """A Loki with lines that have these labels."""
    answers: Answers = {
        BUILD: (200, {"version": "2.9.3"}),
        CONFIG: config(schema, within),
        LABELS: success(list(labels)),
    }
    server = Lines(answers)
    server.lines.update(lines)
    return server


def asking(kind: str, server: Transport, now: float = NOW) -> Application:
    """The application behind a server, at a time."""
    return application(kind, "http://h:1/", server, Effects(), lambda: now)


def test_prometheus_is_asked_as_before_and_gives_the_same() -> None:
    server = Server({QUERY.replace("/loki", ""): vector("9")})
    probes = [Probe("up", 1.0, "9"), Probe("down", 2.0, "9.0"), Probe("more", 3.0, "8")]
    asked = asking("prometheus", server).ask(probes, {})

    assert asked == [
        Asked("up", 1.0, "9", "9", True),
        Asked("down", 2.0, "9.0", "9", False),
        Asked("more", 3.0, "8", "9", False),
    ]
    assert [params for _method, _path, params in server.asked] == [
        {"query": "up", "time": "1.000"},
        {"query": "down", "time": "2.000"},
        {"query": "more", "time": "3.000"},
    ]


def test_prometheus_is_saved_by_its_own_module() -> None:
    with pytest.raises(UsageError, match=r"http://h:1 was expected to be saved by flatnet\.ops\.prometheus_snapshot"):
        asking("prometheus", Server()).examine(())


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("prometheus", "http://127.0.0.1:9090"),
        ("loki", "http://127.0.0.1:3100"),
        ("alertmanager", "http://127.0.0.1:9093"),
    ],
)
def test_an_application_has_its_own_port(kind: str, url: str) -> None:
    made = application(kind, None, Server(), Effects())

    assert (made.kind, made.url) == (kind, url)
    assert asking(kind, Server()).url == "http://h:1"


def test_a_directory_cannot_be_asked() -> None:
    with pytest.raises(
        UsageError, match="kind 'volume' was to be asked about, and only prometheus, loki, alertmanager"
    ):
        application("volume", None, Server(), Effects())


def test_the_lines_of_a_day_are_counted_by_the_hour() -> None:
    server = lines({("job", ago): 100 + ago for ago in range(-1, 30)}, "job")

    assert asking("loki", server).examine(()) == Examined(
        probes=tuple(Probe(count("job"), MIDNIGHT - ago * HOUR, str(100 + ago)) for ago in range(24)),
        facts={"schema": SCHEMA, "flushed_until": NOW - 3 * HOUR, "lines": sum(range(100, 124))},
        software={"loki": "2.9.3"},
    )
    assert (
        "GET",
        LABELS,
        {"start": f"{MIDNIGHT - 86400:.0f}000000000", "end": f"{MIDNIGHT:.0f}000000000"},
    ) in server.asked


@pytest.mark.parametrize(("seconds", "hours"), [(299, 1), (300, 0), (3899, 0), (3900, -1)])
def test_an_hour_is_over_when_late_lines_have_arrived(seconds: int, hours: int) -> None:
    server = lines({("job", ago): 1 for ago in range(-3, 3)}, "job")

    first, *_rest = asking("loki", server, MIDNIGHT + seconds).examine(()).probes
    assert first.at == MIDNIGHT - hours * HOUR


def test_labels_take_turns_and_an_hour_without_lines_is_not_kept() -> None:
    everywhere = {("a", ago): 1 for ago in range(24)} | {("b", ago): 2 for ago in range(0, 24, 3)}
    server = lines({key: number for key, number in everywhere.items() if key[1] != 7}, "a", "b")

    probes = asking("loki", server).examine(()).probes
    assert [probe.at for probe in probes] == [MIDNIGHT - ago * HOUR for ago in range(24) if ago != 7]
    assert [probe.at for probe in probes if probe.question == count("b")] == [
        MIDNIGHT - ago * HOUR for ago in (3, 9, 15, 21)
    ]


def test_a_handful_of_labels_is_asked_about_and_none_of_lokis_own() -> None:
    server = lines({("e", 0): 1, ("__stream_shard__", 0): 1}, "__stream_shard__", "a", "b", "c", "d", "e")

    assert asking("loki", server).examine(()).probes == ()
    assert server.queries() == 24 * 4


def test_a_loki_without_lines_has_no_questions_and_says_so() -> None:
    server = lines({})
    examined = asking("loki", server).examine(())

    assert (examined.probes, examined.facts["lines"], server.queries()) == ((), 0, 0)


def test_the_operators_questions_come_first_and_need_an_answer() -> None:
    server = lines({("own", 0): 5, ("own", 2): 6, ("job", 0): 7}, "job")
    questions = [Question(count("own"), None), Question(count("own"), MIDNIGHT - 2 * HOUR)]

    examined = asking("loki", server).examine(questions)
    assert examined.probes == (
        Probe(count("own"), MIDNIGHT, "5"),
        Probe(count("own"), MIDNIGHT - 2 * HOUR, "6"),
        Probe(count("job"), MIDNIGHT, "7"),
    )
    assert examined.facts["lines"] == 7
    with pytest.raises(ServerError, match=r"was expected to have an answer at 1795561200, .* mend the probe"):
        asking("loki", server).examine([Question(count("own"), MIDNIGHT - HOUR)])


@pytest.mark.parametrize("path", [CONFIG, BUILD, LABELS])
def test_a_loki_that_is_down_is_not_examined(path: str) -> None:
    server = lines({("job", 0): 1}, "job")
    server.answers[path] = ServerError("no answer")

    with pytest.raises(ServerError, match="no answer"):
        asking("loki", server).examine(())


@pytest.mark.parametrize(("there", "same"), [(20, False), (21, True), (22, True), (100, True), (9, False)])
def test_loki_must_have_at_least_as_many_lines(there: int, same: bool) -> None:
    facts = asking("loki", lines({})).examine(()).facts
    probe = Probe(count("job"), MIDNIGHT, "21")

    asked = asking("loki", lines({("job", 0): there})).ask([probe], facts)
    assert asked == [Asked(count("job"), MIDNIGHT, "21", str(there), same)]


def test_lines_that_are_gone_are_another_answer() -> None:
    facts = asking("loki", lines({})).examine(()).facts

    (asked,) = asking("loki", lines({})).ask([Probe(count("job"), MIDNIGHT, "21")], facts)
    assert (asked.answer, asked.same) == ("no data", False)
    (asked,) = asking("loki", lines({})).ask([Probe(count("job"), MIDNIGHT, "no data")], facts)
    assert asked.same


@pytest.mark.parametrize(
    ("days", "within_then", "within_now", "asked"),
    [
        (0, "3h0m0s", "3h0m0s", [0, 1, 3, 4, 23]),
        (0.125, "3h0m0s", "3h0m0s", [3, 4, 23]),
        (30, "3h0m0s", "3h0m0s", [3, 4, 23]),
        (30, "3h0m0s", "0s", [0, 1, 2, 3, 4, 23]),
        (30, "0s", "3h0m0s", []),
        (0, "0s", "3h0m0s", [0, 1]),
        (30, "12h0m0s", "3h0m0s", [23]),
        (0.125, "3h0m0s", "12h0m0s", [0, 1, 2, 3, 4, 23]),
    ],
)
def test_lines_that_were_not_flushed_are_asked_about_while_they_are_shown(
    days: float, within_then: str, within_now: str, asked: list[int]
) -> None:
    everything = {("job", ago): 1 for ago in range(24)}
    then = asking("loki", lines(everything, "job", within=within_then)).examine(())
    probes = [probe for probe in then.probes if round((MIDNIGHT - probe.at) / HOUR) in (0, 1, 2, 3, 4, 23)]
    later = asking("loki", lines(everything, "job", within=within_now), NOW + days * 86400)

    answers = later.ask(probes, then.facts)
    assert [round((MIDNIGHT - one.at) / HOUR) for one in answers if one.same] == asked
    assert {(one.answer, one.same) for one in answers} <= {("1", True), (None, None)}
    assert len(answers) == len(probes)


def test_data_of_another_schema_is_not_asked_about() -> None:
    facts = asking("loki", lines({}, schema=SCHEMA)).examine(()).facts
    server = lines({("job", 0): 1}, "job", schema=SCHEMA.replace("v11", "v12"))

    with pytest.raises(
        SchemaDiffers,
        match=r"2020-10-24 boltdb-shipper filesystem v11 index_ 1d; 2026-12-01 .*and runs with another one"
        r" \(2020-10-24 boltdb-shipper filesystem v12 .*restore source stack of the same set too, .*into loki.yml",
    ):
        asking("loki", server).ask([Probe(count("job"), MIDNIGHT, "1")], facts)
    assert server.queries() == 0


def test_a_period_that_was_added_is_no_other_schema_and_one_that_is_missing_is() -> None:
    probes = [Probe(count("job"), MIDNIGHT, "1")]
    shorter, longer = lines({("job", 0): 1}, schema=FIRST), lines({("job", 0): 1}, schema=SCHEMA)
    facts = {"flushed_until": NOW}

    assert [one.same for one in asking("loki", longer).ask(probes, {**facts, "schema": FIRST})] == [True]
    with pytest.raises(SchemaDiffers):
        asking("loki", shorter).ask(probes, {**facts, "schema": SCHEMA})
    with pytest.raises(SchemaDiffers, match="none is noted"):
        asking("loki", longer).ask(probes, facts)


def silences(*shown: Mapping[str, Any]) -> Server:
    """An Alertmanager that remembers these."""
    by_id = {f"/api/v2/silence/{one['id']}": (200, one) for one in shown}
    status = (200, {"versionInfo": {"version": "0.25.0"}})
    return Server({"/api/v2/silences": (200, list(shown)), "/api/v2/status": status, **by_id})


PENDING = {**SHOWN, "id": "pending", "status": {"state": "pending"}, "endsAt": "2026-11-25T00:50:00.000Z"}
EXPIRED = {**SHOWN, "id": "expired", "status": {"state": "expired"}, "endsAt": "2026-11-25T00:10:00.000Z"}


def test_silences_that_have_not_ended_are_noted() -> None:
    examined = asking("alertmanager", silences(SHOWN, EXPIRED, PENDING)).examine(())

    assert [(probe.question, probe.at) for probe in examined.probes] == [
        ("silence pending", MIDNIGHT + 3000),
        (f"silence {ID}", 1795570841.5),
    ]
    assert len({probe.answer for probe in examined.probes}) == 2
    assert (examined.facts, examined.software) == ({"silences": 2}, {"alertmanager": "0.25.0"})


def test_alertmanager_takes_no_questions() -> None:
    with pytest.raises(UsageError, match="'up' was to be asked: it knows no queries"):
        asking("alertmanager", silences()).examine([Question("up", None)])


def test_silences_are_looked_for_until_they_end() -> None:
    server = silences(SHOWN, PENDING)
    probes = asking("alertmanager", server).examine(()).probes
    server.answers["/api/v2/silence/pending"] = (404, "")
    server.answers[f"/api/v2/silence/{ID}"] = (200, {**SHOWN, "comment": "another"})

    pending, active = asking("alertmanager", server).ask(probes, {})
    assert (pending.answer, pending.same) == ("no such silence", False)
    assert active.answer not in (None, active.expected)
    assert active.same is False
    pending, active = asking("alertmanager", silences(SHOWN), MIDNIGHT + 3000).ask(probes, {})
    assert (pending.answer, pending.same) == (None, None)
    assert (active.answer, active.same) == (active.expected, True)
