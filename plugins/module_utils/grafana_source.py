# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a Grafana as a source of the backup set: saved by its API, and asked about where it is restored."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.applications import (
    SETTLED_SECONDS,
    Asked,
    Examined,
    Question,
)
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError, UnknownForm, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana, part
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import GrafanaBackup, Place, Saved
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Entry
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    DASHBOARDS,
    KINDS,
    DataSources,
    LibraryPanels,
    called,
    model_of,
    refs_of,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_panels import PanelQuery, Panels, Sources, has_data
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe, Source

SOURCE = "grafana"
NOTHING = "nothing"
_DASHBOARD = "dashboard "
Model = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """What the panels of a dashboard answer at an instant."""

    queries: int
    with_data: int
    failed: int
    not_asked: int

    def __str__(self) -> str:
        """As a probe's answer."""
        return f"{self.with_data} of {self.queries} panel queries have data"


class GrafanaApplication:
    """A Grafana that is asked which objects it has, and whether its dashboards are shown."""

    kind = SOURCE

    def __init__(self, server: Grafana, workers: int, clock: Callable[[], float] = time.time) -> None:
        """:param workers: how many requests are under way at a time"""
        self.url = server.url
        self._server = server
        self._workers = workers
        self._clock = clock

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Note which objects there are, and what the panels of each dashboard answer.

        :raises UsageError: there are questions
        """
        if questions:
            raise UsageError(
                f"Grafana at {self.url} was expected to be asked about its own objects only, and '{questions[0].query}' was to be"
                " asked: ask the server whose data it is"
            )
        kinds = [kind.name for kind in KINDS]
        return self.examined(self._read(kinds), kinds, self._dashboard)

    def examined(self, saved: Saved, kinds: Sequence[str], dashboard: Callable[[str], Model | None]) -> Examined:
        """The same of objects that have just been read.

        :param kinds: what was read
        :param dashboard: finds a dashboard by its uid
        """
        settled = self._clock() - SETTLED_SECONDS
        found = objects(saved.entries, kinds)
        uids = [entry.key for entry in saved.entries if entry.kind == DASHBOARDS.name]
        shown = self._shown(uids, settled, dashboard)
        return Examined(
            probes=(
                *(Probe(kind, settled, answer) for kind, answer in found.items()),
                *(Probe(_DASHBOARD + uid, settled, str(one)) for uid, one in shown.items() if one.queries),
            ),
            facts={
                "objects": saved.counts,
                "panel_queries": sum(one.queries for one in shown.values()),
                "panel_queries_with_data": sum(one.with_data for one in shown.values()),
                "panel_queries_failed": sum(one.failed for one in shown.values()),
                "panels_not_asked": sum(one.not_asked for one in shown.values()),
            },
            software={SOURCE: self._server.version()},
        )

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Ask everything again; a dashboard that has more data than before is as good."""
        del facts
        kinds = [probe.question for probe in probes if not probe.question.startswith(_DASHBOARD)]
        found = objects(self._read(kinds).entries, kinds)
        asked = [_asked(probe, found[probe.question]) for probe in probes if probe.question in found]
        dashboards = [probe for probe in probes if probe.question.startswith(_DASHBOARD)]
        for at in sorted({probe.at for probe in dashboards}):
            mine = {probe.question[len(_DASHBOARD) :]: probe for probe in dashboards if probe.at == at}
            shown = self._shown(list(mine), at, self._dashboard)
            asked.extend(_asked(probe, str(shown[uid]) if uid in shown else NOTHING) for uid, probe in mine.items())
        return asked

    def _read(self, kinds: Collection[str]) -> Saved:
        """Read everything and keep nothing of it."""
        nowhere = Place(Effects(), Path("/nonexistent"), None, 0o400, dry=True)
        return GrafanaBackup(self._server, [kind for kind in KINDS if kind.name in kinds], self._workers).save(nowhere)

    def _dashboard(self, uid: str) -> Model | None:
        with self._server.understood(called(DASHBOARDS.name, uid, uid)):
            found = self._server.find(f"/api/dashboards/uid/{part(uid)}")
            return None if found is None else model_of(found)

    def _shown(self, uids: Sequence[str], at: float, dashboard: Callable[[str], Model | None]) -> dict[str, Shown]:
        """What the panels of dashboards answer; one that has gone meanwhile is not in it."""
        library = {ref.key: ref.known["model"] for ref in refs_of(LibraryPanels(), self._server)}
        sources = Sources([ref.known for ref in refs_of(DataSources(), self._server)], library)
        answers = _Answers(self._server, at)

        def shown(uid: str) -> Shown | None:
            model = dashboard(uid)
            if model is None:
                return None
            try:
                with self._server.understood(called(DASHBOARDS.name, uid, uid)):
                    panels = sources.queries(model)
            except UnknownForm:
                # Whoever wrote it, no page shows it; it is saved as it is.
                panels = Panels((), 1)
            given = [answers.of(query) for query in panels.queries]
            return Shown(len(given), given.count(True), given.count(None), panels.not_asked)

        with ThreadPoolExecutor(self._workers) as pool:
            return {uid: one for uid, one in zip(uids, pool.map(shown, uids)) if one is not None}


class _Answers:
    """What queries answer at one instant, each asked once however many panels have it."""

    def __init__(self, server: Grafana, at: float) -> None:
        self._server = server
        self._at = at
        self._known: dict[PanelQuery, bool | None] = {}

    def of(self, query: PanelQuery) -> bool | None:
        """Whether a query has data; None if its data source does not answer it."""
        if query not in self._known:
            try:
                self._known[query] = has_data(self._server, query, self._at)
            except ServerError:
                self._known[query] = None
        return self._known[query]


def save_into(
    filling: Filling, backup: GrafanaBackup, application: GrafanaApplication, kinds: Sequence[str], effects: Effects
) -> tuple[Source, Saved]:
    """Save the objects into a set, ask about them, and enter the source.

    :param kinds: what is saved
    """
    began = time.monotonic()
    previous = filling.previous(SOURCE)
    place = filling.place(SOURCE)
    saved = backup.save(Place(effects, place, previous.path if previous else None, 0o400))
    files = {entry.key: place / entry.path for entry in saved.entries if entry.kind == DASHBOARDS.name}
    examined = application.examined(saved, kinds, lambda uid: model_of(json.loads(files[uid].read_bytes())))
    listing = tree.list_tree(place, {tree.raw(entry.path): entry.sha256 for entry in saved.entries})
    totals = tree.totals(listing)
    source = Source(
        name=SOURCE,
        kind=SOURCE,
        origin=application.url,
        consistency="hot",
        files=totals.files,
        entries=totals.entries,
        bytes=totals.bytes,
        linked_files=len(saved.linked),
        linked_bytes=sum(listing[name].size for name in saved.linked),
        seconds=time.monotonic() - began,
        software=examined.software,
        facts=examined.facts,
        probes=examined.probes,
    )
    filling.add(source, listing)
    return source, saved


def objects(entries: Collection[Entry], kinds: Sequence[str]) -> dict[str, str]:
    """How many objects of each kind there are, and what tells them from others, as a probe's answer."""
    return {kind: _number_and_digest(_lines(entries, kind)) for kind in kinds}


def _lines(entries: Collection[Entry], kind: str) -> Iterator[str]:
    return (f"{entry.key}\0{entry.sha256}\n" for entry in entries if entry.kind == kind)


def _number_and_digest(lines: Iterator[str]) -> str:
    ordered = sorted(lines)
    digest = hashlib.sha256("".join(ordered).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{len(ordered)} objects, {digest}"


def _asked(probe: Probe, answer: str) -> Asked:
    return Asked(probe.question, probe.at, probe.answer, answer, answer == probe.answer or _more(answer, probe.answer))


def _more(answer: str, before: str) -> bool:
    """Whether as many queries as before were asked, and at least as many have data."""
    now, was = answer.split(" ", 3), before.split(" ", 3)
    return now[1:] == was[1:] and now[1] == "of" and int(now[0]) >= int(was[0])
