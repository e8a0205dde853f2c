# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logs of a gateway: what is asked of its host about them, and what the answer means."""

from __future__ import annotations

import ntpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.times import from_iso
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import milliseconds
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

# The worst first.
LEVELS = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
ERROR, ACCESS = "error", "access"
# More than that of one log is nothing that a person reads, and too much for a report.
MOST_LINES = 1000
_PLACE = re.compile(r"(\d+)-(\d+)-([0-9a-f]{16})")


@dataclass(frozen=True)
class Wanted:
    """What is to be read; ``after`` has a place in some of the logs, as an earlier answer has named it."""

    prefix: str
    paths: Mapping[str, str]
    lines: int
    level: str
    since: str
    after: Mapping[str, str]

    def question(self) -> dict[str, Any]:
        """The parameters of ``gateway_logs.ps1``.

        :raises WindowsError: one of them means nothing
        """
        if not 1 <= self.lines <= MOST_LINES:
            raise WindowsError(f"lines was expected to be a number from 1 to {MOST_LINES}, and is {self.lines}")
        within, since = since_of(self.since)
        return {
            "Logs": [
                {
                    "name": name,
                    "path": ntpath.join(self.prefix, path),
                    "errors": name == ERROR,
                    **place_of(name, self.after),
                }
                for name, path in self.paths.items()
                if path
            ],
            "Most": self.lines,
            "Unwanted": list(LEVELS[LEVELS.index(self.level) + 1 :]),
            "SinceSeconds": since,
            "WithinSeconds": within,
        }


@dataclass(frozen=True)
class Entry:
    """An entry of a log, of one line or of many; ``time`` is UTC, and the level is that of an error log."""

    time: str | None
    level: str | None
    text: str


@dataclass(frozen=True)
class Log:
    """A log, as far as it was read."""

    name: str
    path: str
    size: int | None
    entries: tuple[Entry, ...]
    # Where a later look goes on.
    next: str | None
    rotated: bool
    aside: tuple[str, ...]
    more: bool
    cut: bool
    problem: str | None
    said: str | None

    @property
    def levels(self) -> dict[str, int]:
        """How many entries there are of each level, the worst first."""
        counted = Counter(entry.level for entry in self.entries)
        return {level: counted[level] for level in LEVELS if counted[level]}

    @property
    def unread(self) -> str | None:
        """Why it could not be read, in a sentence; None if it was."""
        if self.problem is None:
            return None
        came = {
            "missing": "there is no such file: say where it is, or leave it out by an empty name",
            "denied": "Windows denies this account access: give it the right to read there",
            "locked": f"another program keeps it to itself ('{self.said}'): end that program, or wait for it, and run again",
        }[self.problem]
        return f"the {self.name} log was expected in {self.path}, and {came}"

    @property
    def gap(self) -> str | None:
        """Why entries may be missing, in a sentence; None if none are."""
        if self.rotated and not self.aside:
            return (
                f"{self.path} was expected to be the file of the earlier look, and is another one, and beside it none is the old one: what"
                " was written to that after the earlier look is not shown"
            )
        if self.cut:
            return f"only the last 16 MiB of {self.path} were looked through: what lies before is not shown"
        return None

    @property
    def sentence(self) -> str:
        """What an operator has to know of it."""
        if self.unread:
            return self.unread
        levels = ", ".join(f"{count} {level}" for level, count in self.levels.items())
        count = len(self.entries)
        told = f"{'empty' if self.size == 0 and not count else f'{count} entries'}{f' ({levels})' if levels else ''}"
        parts = [f"{self.path}: {told}"]
        if self.rotated and self.aside:
            parts.append(
                f"it was rotated since the earlier look, and what came before was read from {' and '.join(self.aside)}"
            )
        if self.more:
            parts.append("more entries follow: go on from the place that is named")
        return "; ".join([*parts, *([self.gap] if self.gap else [])])


def logs_of(answer: Mapping[str, Any]) -> list[Log]:
    """What the answer of ``gateway_logs.ps1`` means."""
    return [_log(found) for found in answer["logs"]]


def _log(found: Mapping[str, Any]) -> Log:
    entries = tuple(Entry(entry["time"], entry["level"], entry["text"]) for entry in found["entries"])
    kept = {name: found[name] for name in ("name", "path", "size", "next", "rotated", "more", "cut", "problem", "said")}
    return Log(entries=entries, aside=tuple(found["aside"]), **kept)


def since_of(since: str) -> tuple[float, float]:
    """For how many seconds back, or since how many seconds after the epoch, entries are wanted; the other one is 0.

    :raises WindowsError: it is neither
    """
    if not since:
        return 0, 0
    try:
        return milliseconds(since) / 1000, 0
    except ValueError:
        pass
    try:
        return 0, from_iso(since)
    except ValueError as error:
        raise WindowsError(
            f"since was expected to be a duration, as 30m or 2h, or a time, as 2026-11-24T02:15:00Z, and is '{since}': mend it"
        ) from error


def place_of(name: str, after: Mapping[str, str]) -> dict[str, Any]:
    """A place in a log as the script takes it.

    :raises WindowsError: it is none
    """
    given = after.get(name)
    if not given:
        return {"offset": -1, "head": 0, "digest": ""}
    found = _PLACE.fullmatch(given)
    if found is None:
        raise WindowsError(
            f"after.{name} was expected to be a place in the {name} log, as an earlier look has returned it, and is '{given}':"
            " give one of those, or none"
        )
    return {"offset": int(found[1]), "head": int(found[2]), "digest": found[3]}


def sentence_of(logs: Sequence[Log]) -> str:
    """What an operator has to know of all the logs, in one line."""
    return "; ".join(log.sentence for log in logs) or "no log was asked for"
