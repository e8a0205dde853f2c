# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore a set beside the running site, ask the copy what the site is asked, and leave nothing of it."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Asked, application
from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import INSPECT
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CommandFailed,
    DiskFull,
    NoSuchSet,
    NotReady,
    OpsError,
    ServerError,
    SetDamaged,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import connect
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_source import GrafanaApplication
from ansible_collections.flatnet.ops.plugins.module_utils.loki import nanoseconds
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Source
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway import (
    MEMBERS,
    InNamespace,
    Member,
    Throwaway,
    numbered,
)
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_containers import Bind, Copy, Original, Tree
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_gateway import (
    ELSEWHERE,
    FAILED,
    GOOD,
    OUTCOMES,
    Gateway,
    Visit,
    check_nginx,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Transport
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import MARGIN, TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.undo import STATE, UNDO_DIRECTORY, guarded

DRILLS = STATE / "drills"
READY = {"prometheus": "/-/ready", "loki": "/ready", "alertmanager": "/-/ready", "grafana": "/api/health"}
GATEWAY, LOKI, CONTAINERS, GRAFANA = "gateway", "loki", "containers", "grafana"
# What a copy does not need: the host's own network plugins, definitions, and what goes in by an API.
NOT_RESTORED = ("cni", CONTAINERS, GRAFANA)
OWN = ("data", GATEWAY)
YES, NO, ABSENT = "yes", "no", "absent"
SKIPPED, AT_REST = "left out by the operator", "it did not run"
EXPECTED = (SKIPPED, AT_REST)
POLL_SECONDS = 0.5
LINES_ASKED = 5
HOUR = 3600
_COUNT = re.compile(r"count_over_time\((?P<selector>\{[^}]*\})")


@dataclass(frozen=True)
class Answer:
    """What a drill has found to one question of the restore test; ``numbers`` and ``visits`` are what that rests on."""

    answer: str
    words: str
    seconds: float = 0.0
    numbers: Mapping[str, int] = field(default_factory=dict)
    visits: tuple[Visit, ...] = ()


@dataclass(frozen=True)
class Drilled:
    """How a drill went.

    ``left_out`` says of the containers that were not started why, ``not_running`` what the others said that ended, ``silent`` why
    an application did not answer; ``seconds`` is the time until the last answer.
    """

    files: int
    bytes: int
    sources: tuple[str, ...]
    containers: tuple[str, ...]
    left_out: Mapping[str, str]
    not_running: Mapping[str, str]
    silent: Mapping[str, str]
    asked: tuple[tuple[str, Asked], ...]
    gateway: Answer
    dashboards: Answer
    logs: Answer
    disturbed: tuple[str, ...]
    seconds: float

    @property
    def different(self) -> list[str]:
        """The answers that are not what they were."""
        return [
            f"{name} was expected to answer {one.expected} to '{one.question}', and answers {one.answer}"
            for name, one in self.asked
            if one.same is False
        ]

    @property
    def problems(self) -> list[str]:
        """Why the set is not proved to be restorable."""
        return [
            *(
                f"container {name} does not run on the restored data ({words})"
                for name, words in self.not_running.items()
            ),
            *(f"{name}: {words}" for name, words in self.silent.items()),
            *self.different,
            *(one.words for one in (self.gateway, self.dashboards, self.logs) if one.answer == NO),
            *(
                []
                if self.answered
                else ["nothing of the set could be asked: it has no application with questions, and no gateway"]
            ),
        ]

    @property
    def answered(self) -> bool:
        """Something on restored data has answered."""
        return self.gateway.answer == YES or any(one.same is not None for _name, one in self.asked)

    @property
    def warnings(self) -> list[str]:
        """What has to be known although it proves nothing wrong."""
        return [
            *(f"{name} was not started: {why}" for name, why in self.left_out.items() if why not in EXPECTED),
            *(f"{visit.route}: {visit.words}" for visit in self.gateway.visits if visit.outcome == ELSEWHERE),
            *self.disturbed,
        ]


@dataclass(frozen=True)
class GrafanaAsker:
    """Who asks a restored Grafana; ``transport`` brings the credentials of ``login``."""

    transport: Transport
    login: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """How long a drill waits: for one application to be ready, and as a whole, in seconds."""

    ready: float
    whole: int


@dataclass(frozen=True)
class Plan:
    """What a copy of a site will consist of; ``left_out`` says of each container that will not be in it why."""

    members: tuple[Member, ...]
    left_out: Mapping[str, str]


def plan(
    name: str,
    originals: Sequence[Original],
    trees: Sequence[Tree],
    skip: Sequence[str],
    image: Callable[[Original], str | None],
) -> Plan:
    """Decide which containers are copied, on which data, and in which network.

    :param name: begins the name of everything that is made
    :param trees: the data of the set
    :param skip: containers that the operator does not want to be copied
    :param image: finds an original's image on this host
    """
    left_out: dict[str, str] = {}
    copies: dict[str, list[Copy]] = {}
    homes = {one.id: one for one in originals if one.partner is None}
    for original in (one for one in originals if not one.infra):
        home = homes.get(original.partner or original.id)
        found = image(original)
        binds, uncovered = cover(original, trees)
        why = _why_not(original, home, skip, found, uncovered)
        if home is not None and found is not None and not why:
            copies.setdefault(home.id, []).append(Copy(original, f"{name}-{original.name}", found, tuple(binds)))
        else:
            left_out[original.name] = why
    inhabited = [home for home in homes.values() if home.id in copies]
    members = (_member(name, number, home, copies[home.id]) for number, home in enumerate(inhabited))
    return Plan(tuple(members), left_out)


def _member(name: str, number: int, home: Original, copies: Sequence[Copy]) -> Member:
    everybody = [home, *(copy.original for copy in copies)]
    return Member(
        namespace=f"{name}-{number}",
        address=numbered(MEMBERS, number),
        addresses=tuple(home.addresses),
        names=tuple(dict.fromkeys(called for one in everybody for called in one.names)),
        ports={port: inside for one in everybody for port, inside in one.ports.items()},
        copies=tuple(copies),
    )


def _why_not(
    original: Original, home: Original | None, skip: Sequence[str], image: str | None, uncovered: Path | None
) -> str:
    if original.name in skip:
        return SKIPPED
    if not original.ran:
        return AT_REST
    if home is None or home.on_host:
        return "it uses a network that cannot be copied: the host's own, or that of a container which is not there"
    if image is None:
        return f"its image {original.image_name} is not on this host"
    return f"no source of the set holds {uncovered}, where it writes" if uncovered else ""


def cover(original: Original, trees: Sequence[Tree]) -> tuple[list[Bind], Path | None]:
    """What a copy mounts in place of what its original does: copied data where there is some.

    :return: the mounts, and one that the container writes to and that no data covers
    """
    binds = []
    for bind, _volume in original.mounts:
        source = bind.source.resolve()
        whole = [one for one in trees if one.path in (source, *source.parents)]
        found = next((copied for copied in (one.copied(source) for one in whole) if copied is not None), None)
        inside = [one for one in trees if source in one.path.parents]
        if found is not None:
            binds.append(Bind(found, bind.destination, bind.writable))
        elif inside:
            places = ((one.copy, bind.destination / one.path.relative_to(source)) for one in inside)
            binds.extend(Bind(copy, destination, bind.writable) for copy, destination in places)
        elif bind.writable:
            return binds, bind.destination
    return binds, None


def place_of(source: Source, originals: Sequence[Original]) -> Path | None:
    """Where a source was on its host; None if no container of the host uses it."""
    place = source.place
    if "volume" in place:
        mounts = (mount for original in originals for mount in original.mounts)
        return next((bind.source for bind, volume in mounts if volume == place["volume"]), None)
    if "container" in place:
        owner = next((original for original in originals if original.name == place["container"]), None)
        return owner.host_path(Path(place["path"])) if owner else None
    return Path(place["path"]) if "path" in place else None


class SiteDrill:
    """Restores one set beside the running site."""

    def __init__(
        self,
        effects: Effects,
        podman: Podman,
        transport: Transport,
        asker: GrafanaAsker,
        run: str,
        base: Path = DRILLS,
        undo_directory: Path = UNDO_DIRECTORY,
    ) -> None:
        """:param run: the run's id"""
        self._effects = effects
        self._podman = podman
        self._transport = transport
        self._asker = asker
        self._run = run
        self._directory = base / run
        self._undo_directory = undo_directory

    def sources(self, area: Area, set_id: str) -> dict[str, Source]:
        """The sources that a copy is made of.

        :raises NoSuchSet: the set holds none
        :raises DiskFull: there is no room for a copy
        :raises UsageError: this host cannot run the gateway
        """
        path = area.path(set_id)
        sources = area.manifest(set_id).sources
        data = {name: source for name, source in sources.items() if name.partition("/")[0] not in NOT_RESTORED}
        if not data:
            raise NoSuchSet(
                f"set {path} was expected to hold data to restore, and holds {', '.join(sources)}: name another set"
            )
        if GATEWAY in data:
            check_nginx()
        self._check_room(path, data)
        return data

    def carry_out(
        self, area: Area, set_id: str, urls: Mapping[str, str], skip: Sequence[str], limits: Limits
    ) -> Drilled:
        """Restore, ask and remove.

        :param urls: by kind, where an application answers on the site
        :param skip: containers that are not copied
        :raises OpsError: the copy could not be made; it is removed
        """
        began = time.monotonic()
        path = area.path(set_id)
        data = self.sources(area, set_id)
        site = self._podman.described()
        originals = [Original(one) for one in saved_containers(path) or site]
        name = f"flatnet-drill-{secrets.token_hex(3)}"
        planned = plan(name, originals, list(self._trees(path, data, originals)), skip, self._image)
        with guarded(self._effects, "drill", limits.whole, self._undo_directory) as guard:
            copy = Throwaway(self._effects, guard, name, self._directory, planned.members)
            guard.promise(copy.removal())
            for directory in (self._directory.parent, self._directory, *(self._directory / name for name in OWN)):
                self._effects.make_directory(directory, 0o700)
            totals = [self._copy(path, source) for source in data]
            copy.connect()
            not_started = dict(self._start(copy))
            asked, silent = self._ask(copy, data, urls, limits)
            dashboards = self._dashboards(copy, area.manifest(set_id).sources.get(GRAFANA), urls, limits, asked)
            copy.start_again(not_started)
            gateway = self._gateway(copy, data.get(GATEWAY), limits)
            logs = self._logs(copy, data.get(LOKI), urls, asked, silent)
            not_running = {**not_started, **copy.ended(not_started)}
            seconds = time.monotonic() - began
        return Drilled(
            files=sum(one.files for one in totals),
            bytes=sum(one.bytes for one in totals),
            sources=tuple(data),
            containers=tuple(one.original.name for member in planned.members for one in member.copies),
            left_out=planned.left_out,
            not_running=not_running,
            silent=silent,
            asked=tuple(asked),
            gateway=gateway,
            dashboards=dashboards,
            logs=logs,
            disturbed=tuple(disturbed(site, self._podman.described())),
            seconds=seconds,
        )

    def _check_room(self, path: Path, names: Iterable[str]) -> None:
        existing = next(parent for parent in self._directory.parents if parent.is_dir())
        disk = os.statvfs(existing)
        free = disk.f_bavail * disk.f_frsize
        needed = MARGIN + sum(status.st_blocks * 512 for name in names for status in tree.scan(path / name).values())
        if free < needed:
            raise DiskFull(
                f"the disk of {existing} has {free:,} bytes free, and a copy of set {path.name} beside the running site needs"
                f" {needed:,} bytes: make room there and run again; nothing was done"
            )

    def _trees(self, path: Path, data: Mapping[str, Source], originals: Sequence[Original]) -> Iterator[Tree]:
        for name, source in data.items():
            place = place_of(source, originals)
            if place is not None and name != GATEWAY:
                yield Tree(place.resolve(), path / name, self._place(name))

    def _place(self, source: str) -> Path:
        if source == GATEWAY:
            return self._directory / GATEWAY / "conf"
        return self._directory / "data" / source.replace("/", ".")

    def _image(self, original: Original) -> str | None:
        for image in (original.image, original.image_name):
            if image and self._podman.exists("image", image):
                return image
        return None

    def _copy(self, path: Path, source: str) -> tree.Totals:
        listing = sets.load_listing(path, source)
        copied = TreeCopy(self._effects, path / source, self._place(source)).take_resting(read_back=True)
        for name, what in tree.compare(listing, copied.listing):
            raise SetDamaged(
                f"the copy of {source} was expected to be what set {path} has noted, and {tree.shown(name)} {what}: use another"
                " set"
            )
        return tree.totals(copied.listing)

    def _start(self, copy: Throwaway) -> Iterator[tuple[str, str]]:
        for member in copy.members:
            for one in member.copies:
                try:
                    copy.start(one, member, self._run)
                except CommandFailed as error:
                    yield one.original.name, str(error)

    def _ask(
        self, copy: Throwaway, data: Mapping[str, Source], urls: Mapping[str, str], limits: Limits
    ) -> tuple[list[tuple[str, Asked]], dict[str, str]]:
        """Ask every application what the set has noted.

        :return: questions with their answers, and why an application did not answer
        """
        asked: list[tuple[str, Asked]] = []
        silent: dict[str, str] = {}
        transport = InNamespace(self._transport, copy.hub)
        for name, source in data.items():
            if source.kind not in READY:
                continue
            try:
                url = copy.url(urls[source.kind])
                self._wait(transport, f"{url}{READY[source.kind]}", limits.ready)
                server = application(source.kind, url, transport, self._effects)
                asked.extend((name, one) for one in server.ask(source.probes, source.facts))
            except OpsError as error:
                silent[name] = str(error)
        return asked, silent

    def _dashboards(
        self,
        copy: Throwaway,
        source: Source | None,
        urls: Mapping[str, str],
        limits: Limits,
        asked: list[tuple[str, Asked]],
    ) -> Answer:
        """Whether the dashboards are shown: all objects are there, and the panels have the data that they had.

        :param asked: takes in the questions with their answers
        """
        if source is None:
            return Answer(ABSENT, "the set holds no dashboards")
        began = time.monotonic()
        try:
            url = copy.url(urls[GRAFANA])
            carrier = InNamespace(self._asker.transport, copy.hub)
            self._wait(carrier, f"{url}{READY[GRAFANA]}", limits.ready)
            server = connect(url, self._asker.login, carrier, self._effects)
            answers = GrafanaApplication(server, self._asker.login["workers"]).ask(source.probes, source.facts)
        except OpsError as error:
            return Answer(NO, f"the dashboards are not shown: {error}", time.monotonic() - began)
        asked.extend((source.name, one) for one in answers)
        same = [one for one in answers if one.same]
        numbers = {
            "asked": len(answers),
            "same": len(same),
            "dashboards": source.facts["objects"].get("dashboards", 0),
            "panel_queries": source.facts["panel_queries"],
        }
        words = (
            f"{numbers['dashboards']} dashboards and all other objects of Grafana are there, and of"
            f" {numbers['panel_queries']} panel queries as many have data as before"
            if len(same) == len(answers)
            else f"{len(answers) - len(same)} of {len(answers)} questions about dashboards are answered in another way than before"
        )
        return Answer(YES if len(same) == len(answers) else NO, words, time.monotonic() - began, numbers)

    def _wait(self, transport: Transport, url: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                answer = transport.request("GET", url)
                words = f"answered status {answer.status} '{answer.words[:80]}'"
                if answer.status == 200:
                    return
            except ServerError as error:
                words = f"did not answer ({error})"
            if time.monotonic() > end:
                raise NotReady(f"it was expected to be ready on the restored data within {seconds:g} s, and {words}")
            time.sleep(POLL_SECONDS)

    def _gateway(self, copy: Throwaway, source: Source | None, limits: Limits) -> Answer:
        if source is None:
            return Answer(ABSENT, "the set holds no gateway configuration")
        began = time.monotonic()
        windows = windows_path(Path(source.place.get("path", "")).parent)
        try:
            visits = Gateway(self._effects, copy, self._place(GATEWAY).parent, windows).visit(limits.ready)
        except NotReady as error:
            return Answer(NO, str(error), time.monotonic() - began)
        failed = [visit for visit in visits if visit.outcome == FAILED]
        good = sum(visit.outcome == GOOD for visit in visits)
        counted = f"{good} of {good + len(failed)} routes answer"
        if failed:
            counted += f"; {failed[0].route} ({failed[0].where}): {failed[0].words}"
        return Answer(
            NO if failed else YES if good else ABSENT,
            f"the restored gateway: {counted}",
            time.monotonic() - began,
            {f"routes_{outcome}": sum(visit.outcome == outcome for visit in visits) for outcome in OUTCOMES},
            tuple(visits),
        )

    def _logs(
        self,
        copy: Throwaway,
        source: Source | None,
        urls: Mapping[str, str],
        asked: Sequence[tuple[str, Asked]],
        silent: Mapping[str, str],
    ) -> Answer:
        """Whether lines can be searched: the counts are as before, and the lines themselves come."""
        if source is None:
            return Answer(ABSENT, "the set holds no logs")
        began = time.monotonic()
        mine = [one for name, one in asked if name == source.name and one.same is not None]
        good = [one for one in mine if one.same]
        numbers = {"asked": len(mine), "same": len(good), "lines": 0}
        if LOKI in silent or len(good) < len(mine):
            return Answer(NO, "logs cannot be searched as before", time.monotonic() - began, numbers)
        if not good:
            return Answer(ABSENT, "no question about logs has a lasting answer", time.monotonic() - began, numbers)
        transport = InNamespace(self._transport, copy.hub)
        try:
            numbers["lines"] = count_lines(transport, copy.url(urls[LOKI]), good)
        except ServerError as error:
            return Answer(NO, f"logs cannot be searched: {error}", time.monotonic() - began, numbers)
        words = f"{len(good)} counts of lines are as before, and a search finds {numbers['lines']} lines"
        return Answer(YES if numbers["lines"] else NO, words, time.monotonic() - began, numbers)


def count_lines(transport: Transport, url: str, asked: Sequence[Asked]) -> int:
    """How many lines a search finds for the first count of lines that is not nothing, at most a few."""
    for one in asked:
        found = _COUNT.search(one.question)
        if found is not None:
            params = {
                "query": found["selector"],
                "start": nanoseconds(one.at - HOUR),
                "end": nanoseconds(one.at),
                "limit": str(LINES_ASKED),
            }
            answer = transport.request("GET", f"{url}/loki/api/v1/query_range", params)
            streams = answer.expect(200).member("data")["result"]
            return sum(len(stream["values"]) for stream in streams)
    return 0


def saved_containers(path: Path) -> list[dict[str, Any]]:
    """The containers whose definitions a set holds, in Podman's own words."""
    found = sorted((path / CONTAINERS).glob(f"*/{INSPECT}"))
    return [json.loads(file.read_bytes()) for file in found]


def windows_path(path: Path) -> str:
    """A directory as Windows calls it; flatnet's own place where WSL2 does not see it below ``/mnt``."""
    match = re.fullmatch(r"/mnt/([a-z])/(.+)", str(path))
    return f"{match[1].upper()}:/{match[2]}" if match else "C:/openresty"


def disturbed(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """The containers of the site that are not as they were before."""
    now = {one["Id"]: _since(one) for one in after}
    return [
        f"container {one['Name']} of the site was {' since '.join(_since(one))}, and is not so any more; the drill does not do that"
        for one in before
        if now.get(one["Id"]) != _since(one)
    ]


def _since(container: Mapping[str, Any]) -> tuple[str, str]:
    return container["State"]["Status"], container["State"]["StartedAt"]
