# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loki's HTTP API as the workflows need it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import one_number
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Transport
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import milliseconds

_SCHEMA = re.compile(r"^schema_config:\n((?:[ -].*\n?)+)", re.MULTILINE)
_WITHIN = re.compile(r"^  query_ingesters_within: (\S+)$", re.MULTILINE)
# What decides where a period's data lies, and how it is read; Loki's versions differ in what else they show.
_DECISIVE = re.compile(r"^[ -]*(?:from|store|object_store|schema|prefix|period): \"?([^\"\n]*)\"?$", re.MULTILINE)
# What Loki does where nothing is said.
DEFAULT_WITHIN = "3h"


@dataclass(frozen=True)
class Config:
    """What Loki runs with."""

    schema: str
    ingesters_asked_seconds: float

    def shows_ingesters(self, since: float, now: float) -> bool:
        """Whether a query about this time and later also finds lines that are not flushed yet."""
        return self.ingesters_asked_seconds == 0 or since > now - self.ingesters_asked_seconds

    def flushed_until(self, now: float) -> float:
        """Up to when a query finds flushed lines only, in seconds since the epoch; 0 where it always asks for all."""
        return now - self.ingesters_asked_seconds if self.ingesters_asked_seconds else 0.0


@dataclass(frozen=True)
class Line:
    """A line of a log; ``time`` in seconds since the epoch."""

    time: float
    labels: Mapping[str, str]
    text: str


class Loki:
    """One Loki server."""

    def __init__(self, url: str, transport: Transport) -> None:
        """:param url: its address, with a path prefix where it has one: ``http://127.0.0.1:3100``"""
        self.url = url.rstrip("/")
        self._transport = transport

    def version(self) -> str:
        """The server's version."""
        return str(self._get("/loki/api/v1/status/buildinfo").expect(200).member("version"))

    def config(self) -> Config:
        """What it runs with, defaults included.

        :raises ServerError: its schema is not shown
        """
        answer = self._get("/config").expect(200)
        shown = _SCHEMA.search(answer.text)
        schema = textwrap.dedent(shown[1]) if shown else ""
        if not periods(schema):
            raise ServerError(
                f"GET {answer.url} was expected to show Loki's schema_config, and shows none: check that this address is"
                " Loki itself"
            )
        within = _WITHIN.search(answer.text)
        return Config(schema, milliseconds(within[1] if within else DEFAULT_WITHIN) / 1000)

    def labels(self, begin: float, end: float) -> list[str]:
        """The names of the labels that lines between two instants have."""
        answer = self._get("/loki/api/v1/labels", {"start": nanoseconds(begin), "end": nanoseconds(end)})
        return [str(name) for name in answer.expect(200).json().get("data") or ()]

    def query(self, question: str, at: float) -> str:
        """Ask for one number at one instant.

        :param question: LogQL that yields at most one sample
        :param at: seconds since the epoch
        :return: the value as the server writes it; ``no data`` where there is none
        """
        answer = self._ask("/loki/api/v1/query", question, {"time": nanoseconds(at)})
        return one_number(self.url, question, answer.member("data"))

    def lines(self, question: str, begin: float, end: float, limit: int) -> list[Line]:
        """The last lines between two instants, the oldest first.

        :param question: LogQL that yields lines
        :param limit: how many of them, at most
        :raises UsageError: it yields numbers
        """
        asked = {"start": nanoseconds(begin), "end": nanoseconds(end), "limit": str(limit), "direction": "backward"}
        data = self._ask("/loki/api/v1/query_range", question, asked).member("data")
        if data["resultType"] != "streams":
            raise UsageError(
                f"the query '{question}' was expected to give {self.url} lines, and gave a {data['resultType']}: ask for lines,"
                ' as in {job=~".+"}'
            )
        # Of one instant they stay in the order in which they came.
        found = [
            (int(instant), Line(int(instant) / 1e9, stream["stream"], text))
            for stream in data["result"]
            for instant, text in reversed(stream["values"])
        ]
        return [line for _instant, line in sorted(found, key=lambda one: one[0])]

    def _ask(self, path: str, question: str, params: dict[str, str]) -> Answer:
        answer = self._get(path, {"query": question, **params})
        if answer.status == 400:
            raise ServerError(
                f"the query '{question}' was expected to be one that {self.url} understands, and it says"
                f" '{answer.words}': mend the query"
            )
        return answer.expect(200)

    def _get(self, path: str, params: dict[str, str] | None = None) -> Answer:
        return self._transport.request("GET", self.url + path, params)


def periods(schema: str) -> list[str]:
    """What decides how the data of each period of a schema is read, one line each, oldest first."""
    begun = re.split(r"^ *- (?=from:)", schema, flags=re.MULTILINE)[1:]
    return [" ".join(_DECISIVE.findall(period.partition("chunks:")[0])) for period in begun]


def nanoseconds(seconds: float) -> str:
    """An instant as Loki writes it."""
    return f"{round(seconds * 1000)}000000"
