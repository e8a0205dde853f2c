# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of LogQL that recorded exchanges show, and their answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal

from .store import Entry, Labels, Store

SECOND = 10**9
UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
STRING = r'"(?:[^"\\]|\\.)*"'
MATCHER = re.compile(rf"\s*(\w+)\s*(=~|=)\s*({STRING})\s*(,|$)")
SELECTOR = rf"\s*\{{(?P<matchers>(?:{STRING}|[^}}\"])*)\}}\s*(?P<filters>(?:\|=\s*{STRING}\s*)*)"
LINES = re.compile(SELECTOR)
NUMBER = re.compile(
    rf"\s*sum(?:\s+by\s*\((?P<by>[\w\s,]*)\))?\s*"
    rf"\(\s*(?P<function>count_over_time|rate)\s*\({SELECTOR}\[(?P<range>\d+)(?P<unit>[smhd])\]\s*\)\s*\)\s*"
)
UNFINISHED = re.compile(r"\{\s*\w+\s*(=~|!=|!~|=)")
EMPTY_MATCHERS = (
    "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible "
    'value. For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


class Refused(Exception):
    """What the real server refuses; the message is its answer."""


class NotRecorded(Exception):
    """What no recorded exchange shows; the message says it."""


@dataclass(frozen=True)
class Matcher:
    """One condition on a label."""

    name: str
    pattern: str

    def holds(self, value: str) -> bool:
        """Whether the label may have this value; a label that is missing has an empty one."""
        return re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class Number:
    """How lines become numbers."""

    function: str
    range: int
    by: tuple[str, ...]

    def value(self, count: int) -> str:
        """A count as the server writes it."""
        if self.function == "count_over_time":
            return str(count)
        return format(Decimal(repr(count / (self.range / SECOND))), "f")


@dataclass(frozen=True)
class Query:
    """What is asked for."""

    matchers: tuple[Matcher, ...]
    needles: tuple[str, ...]
    number: Number | None

    def streams(self, store: Store, begin: int, end: int) -> dict[Labels, list[Entry]]:
        """The lines from the begin on, before the end, that match."""
        found: dict[Labels, list[Entry]] = {}
        for labels, stream in store.streams.items():
            if all(matcher.holds(dict(labels).get(matcher.name, "")) for matcher in self.matchers):
                entries = stream.between(begin, end)
                found[labels] = [entry for entry in entries if all(needle in entry[1] for needle in self.needles)]
        return {labels: entries for labels, entries in sorted(found.items()) if entries}

    def values(self, number: Number, store: Store, time: int) -> dict[Labels, str]:
        """The numbers at an instant, by the labels that are asked for."""
        counts: dict[Labels, int] = {}
        for labels, entries in self.streams(store, time - number.range + 1, time + 1).items():
            group = tuple((name, value) for name, value in labels if name in number.by)
            counts[group] = counts.get(group, 0) + len(entries)
        return {group: number.value(count) for group, count in sorted(counts.items())}


def parse(text: str) -> Query:
    """Understand a query, or refuse it as the real server does."""
    if UNFINISHED.fullmatch(text):
        raise Refused(f"parse error at line 1, col {len(text) + 1}: syntax error: unexpected $end, expecting STRING")
    found = NUMBER.fullmatch(text)
    number = None
    if found:
        by = tuple(name.strip() for name in (found["by"] or "").split(","))
        number = Number(found["function"], int(found["range"]) * UNITS[found["unit"]], by)
    else:
        found = LINES.fullmatch(text)
    if not found:
        raise NotRecorded(f"no recorded exchange has a query of this form: {text}")
    needles = tuple(json.loads(needle) for needle in re.findall(STRING, found["filters"]))
    return Query(parse_matchers(found["matchers"]), needles, number)


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The conditions between the braces."""
    matchers = []
    rest = text
    while rest.strip():
        found = MATCHER.match(rest)
        if not found:
            raise NotRecorded(f"no recorded exchange has a selector of this form: {{{text}}}")
        name, operator, value = found[1], found[2], json.loads(found[3])
        matchers.append(Matcher(name, value if operator == "=~" else re.escape(value)))
        rest = rest[found.end() :]
    if all(matcher.holds("") for matcher in matchers):
        raise Refused(EMPTY_MATCHERS)
    return tuple(matchers)
