# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What applications say about their data: asked before it is copied, and asked again where it is restored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

from ansible_collections.flatnet.ops.plugins.module_utils.alertmanager import Alertmanager, Silence
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SchemaDiffers, ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.loki import Loki, periods
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import NO_DATA, Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Transport

HOUR = 3600
HOURS_ASKED = 24
LABELS_ASKED = 4
# Lines arrive late: an hour is over when it ended this long ago.
SETTLED_SECONDS = 300
NO_SILENCE = "no such silence"
_SILENCE = "silence "


@dataclass(frozen=True)
class Question:
    """A question of the operator's own: a query with one number as its answer, at an instant in seconds since the epoch."""

    query: str
    at: float | None


@dataclass(frozen=True)
class Examined:
    """What an application said before its data was copied."""

    probes: tuple[Probe, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A question of a set, and what became of it; no answer where it was not asked because none is to be expected any more."""

    question: str
    at: float
    expected: str
    answer: str | None = None
    same: bool | None = None


class Application(Protocol):
    """A program whose data is saved."""

    kind: str
    url: str

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Ask questions with lasting answers, the operator's first.

        :raises ServerError: the application does not answer, or one of the operator's questions has no answer
        """

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Ask again, on restored data.

        :param facts: what was examined with the probes
        :raises ServerError: the application does not answer
        """


class PrometheusApplication:
    """A Prometheus on restored data."""

    kind = "prometheus"

    def __init__(self, server: Prometheus) -> None:
        self.url = server.url
        self._server = server

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Refuse: what its snapshot holds decides what it is asked.

        :raises UsageError: always
        """
        raise UsageError(
            f"Prometheus at {self.url} was expected to be saved by flatnet.ops.prometheus_snapshot, and its directory was to be"
            f" copied, with {len(questions)} questions: use that module"
        )

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Ask every question again; only the same answer is the same."""
        del facts
        return [_asked(probe, self._server.query(probe.question, probe.at)) for probe in probes]


class LokiApplication:
    """A Loki: how many lines its closed hours have."""

    kind = "loki"

    def __init__(self, server: Loki, clock: Callable[[], float]) -> None:
        self.url = server.url
        self._server = server
        self._clock = clock

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Note the schema, and count the lines of each of the last hours that has some."""
        now = self._clock()
        config = self._server.config()
        last = (now - SETTLED_SECONDS) // HOUR * HOUR
        own = operators_probes(questions, last, self.url, self._server.query)
        counted = tuple(self._count(last))
        return Examined(
            probes=(*own, *counted),
            facts={
                "schema": config.schema,
                "flushed_until": config.flushed_until(now),
                "lines": round(sum(_number(probe.answer) for probe in counted)),
            },
            software={"loki": self._server.version()},
        )

    def _count(self, last: float) -> Iterator[Probe]:
        names = self._server.labels(last - HOURS_ASKED * HOUR, last)
        labels = [name for name in names if not name.startswith("__")][:LABELS_ASKED]
        for number in range(HOURS_ASKED):
            at = last - number * HOUR
            turn = number % len(labels) if labels else 0
            for label in (*labels[turn:], *labels[:turn]):
                question = f'sum(count_over_time({{{label}=~".+"}}[1h]))'
                answer = self._server.query(question, at)
                if answer != NO_DATA:
                    yield Probe(question, at, answer)
                    break

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Compare the schema, then ask every question again; more lines than before are the same, for they may have been flushed late.

        :raises SchemaDiffers: Loki would read the data in another way than it was written
        """
        now = self._clock()
        config = self._server.config()
        then, here = periods(str(facts.get("schema", ""))), periods(config.schema)
        # A period that was added since concerns later lines.
        if not then or here[: len(then)] != then:
            raise SchemaDiffers(
                f"Loki at {self.url} was expected to run with the schema that its data was written with"
                f" ({'; '.join(then) or 'none is noted'}), and runs with another one ({'; '.join(here)}): restore source stack of"
                " the same set too, or put the schema_config that the set's manifest shows into loki.yml, and start Loki again"
            )
        flushed = float(facts.get("flushed_until", 0))
        asked = []
        for probe in probes:
            # Lines that a set's wal/ holds are not shown once they are old and not yet flushed.
            if probe.at <= flushed or config.shows_ingesters(probe.at - HOUR - SETTLED_SECONDS, now):
                answer = self._server.query(probe.question, probe.at)
                asked.append(_asked(probe, answer, as_good=_number(answer) > _number(probe.answer)))
            else:
                asked.append(_not_asked(probe))
        return asked


class AlertmanagerApplication:
    """An Alertmanager: its silences."""

    kind = "alertmanager"

    def __init__(self, server: Alertmanager, clock: Callable[[], float]) -> None:
        self.url = server.url
        self._server = server
        self._clock = clock

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Note every silence that has not ended.

        :raises UsageError: there are questions
        """
        if questions:
            raise UsageError(
                f"Alertmanager at {self.url} was expected to be asked about its silences only, and '{questions[0].query}' was to be"
                " asked: it knows no queries, leave it out"
            )
        silences = [one for one in self._server.silences() if one.state != "expired"]
        return Examined(
            probes=tuple(Probe(_SILENCE + one.id, one.ends, one.digest) for one in sorted(silences, key=_by_end)),
            facts={"silences": len(silences)},
            software={"alertmanager": self._server.version()},
        )

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Ask for every silence that would still be in force."""
        del facts
        now = self._clock()
        asked = []
        for probe in probes:
            if probe.at > now:
                found = self._server.silence(probe.question[len(_SILENCE) :])
                asked.append(_asked(probe, found.digest if found else NO_SILENCE))
            else:
                asked.append(_not_asked(probe))
        return asked


URLS = {
    PrometheusApplication.kind: "http://127.0.0.1:9090",
    LokiApplication.kind: "http://127.0.0.1:3100",
    AlertmanagerApplication.kind: "http://127.0.0.1:9093",
}


def application(
    kind: str, url: str | None, transport: Transport, effects: Effects, clock: Callable[[], float] = time.time
) -> Application:
    """The application of a kind of source.

    :param url: its address; where none is given, its own port on this host
    :raises UsageError: nothing can be asked about such a source
    """
    if kind not in URLS:
        raise UsageError(
            f"a source of kind '{kind}' was to be asked about, and only {', '.join(URLS)} can be: leave it out"
        )
    address = url or URLS[kind]
    if kind == LokiApplication.kind:
        return LokiApplication(Loki(address, transport), clock)
    if kind == AlertmanagerApplication.kind:
        return AlertmanagerApplication(Alertmanager(address, transport), clock)
    return PrometheusApplication(Prometheus(address, transport, effects))


def operators_probes(
    questions: Sequence[Question], settled: float, url: str, query: Callable[[str, float], str]
) -> tuple[Probe, ...]:
    """Ask the operator's own questions.

    :param settled: the instant to ask about where a question names none
    :raises ServerError: one of them has no answer
    """
    probes = []
    for question in questions:
        at = question.at if question.at is not None else settled
        answer = query(question.query, at)
        if answer == NO_DATA:
            raise ServerError(
                f"the probe '{question.query}' was expected to have an answer at {at:.0f}, and {url} has no data for it: mend the"
                " probe or its instant"
            )
        probes.append(Probe(question.query, at, answer))
    return tuple(probes)


def _number(answer: str) -> float:
    return 0.0 if answer == NO_DATA else float(answer)


def _asked(probe: Probe, answer: str, as_good: bool = False) -> Asked:
    return Asked(probe.question, probe.at, probe.answer, answer, as_good or answer == probe.answer)


def _not_asked(probe: Probe) -> Asked:
    return Asked(probe.question, probe.at, probe.answer)


def _by_end(silence: Silence) -> tuple[float, str]:
    return silence.ends, silence.id
