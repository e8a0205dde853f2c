# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write everything that an organization of a Grafana holds as files, or nothing.

All objects are read, many at a time, and what is new waits beside the files that are there. Only when every object that the
server has listed was read do the files change; the file of an object that is as it was stays untouched.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import grafana_files as files
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    NoSuchSet,
    ReadingIncomplete,
    ServerError,
    SetDamaged,
    SourceRefused,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Entry, Named
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    KINDS,
    Kind,
    Ref,
    Thing,
    refs_of,
    secret_fields,
    thing_of,
)

STAGING = ".partial"
NAMED_AT_MOST = 5
# One of a few that somebody has removed is no disaster.
COUNTED_FROM = 10
NOT_SAVED = (
    "earlier versions of dashboards: a restored dashboard begins with the saved one",
    "the state and history of alerts, and silences: they are of a moment; the volume grafana_data holds them",
    "passwords of users: a user who is made again gets a new one",
    "which users are disabled, or administrators of the whole server: a user who is made again is neither",
    "what people keep to themselves, as stars and their own preferences: the volume grafana_data holds it",
    "tokens of service accounts: whoever uses one gets a new one",
    "the links of public dashboards: one that is made public again has a new link",
    "snapshots, and what plugins keep to themselves: the volume grafana_data holds them",
)


@dataclass(frozen=True)
class Read:
    """An object that was read; ``kept`` if the earlier file holds it, else ``staged`` is where its text waits."""

    named: Named
    sha256: str
    size: int
    secrets: tuple[str, ...]
    provisioned: bool
    kept: bool
    staged: Path | None


@dataclass(frozen=True)
class Difference:
    """What a backup changes, as paths of files."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Saved:
    """What a backup has found, and what it did to the files; seconds of all threads together, sizes in bytes."""

    entries: tuple[Entry, ...]
    difference: Difference
    seconds: Mapping[str, float]
    bytes: int
    linked: tuple[str, ...]
    secrets_needed: Mapping[str, Mapping[str, Mapping[str, object]]]

    @property
    def counts(self) -> dict[str, int]:
        """How many objects there are, by kind."""
        return dict(Counter(entry.kind for entry in self.entries))


class GrafanaBackup:
    """Saves one organization."""

    def __init__(
        self,
        server: Grafana,
        kinds: Sequence[Kind] = KINDS,
        workers: int = 8,
        shrink_limit: float = 50,
        forced: bool = False,
    ) -> None:
        """Nothing is asked yet.

        :param kinds: what is saved
        :param workers: how many requests are under way at a time
        :param shrink_limit: by how much the number of objects may have become smaller, in percent
        :param forced: whatever has become fewer is right as it is
        """
        self._server = server
        self._kinds = kinds
        self._workers = workers
        self._shrink_limit = shrink_limit
        self._forced = forced

    def save(self, place: Place) -> Saved:
        """Write the files of everything.

        :raises ReadingIncomplete: something that the server lists cannot be read; the files are as they were
        :raises SourceRefused: much less is there than the last time; the files are as they were
        """
        spent: list[tuple[str, float]] = []
        with place.staging():
            reads = self._read_all(place, spent)
            self._check_shrunk(reads, place.known)
            seconds = {kind.name: sum(took for name, took in spent if name == kind.name) for kind in self._kinds}
            return place.settle(reads, seconds, [kind.name for kind in self._kinds])

    def _read_all(self, place: Place, spent: list[tuple[str, float]]) -> list[Read]:
        problems: list[str] = []

        def listed(kind: Kind) -> list[Ref]:
            began = time.monotonic()
            refs = refs_of(kind, self._server)
            spent.append((kind.name, time.monotonic() - began))
            return refs

        def read(job: tuple[Kind, Ref]) -> Read | None:
            kind, ref = job
            if len(problems) > NAMED_AT_MOST:
                return None
            began = time.monotonic()
            try:
                thing = thing_of(kind, self._server, ref)
            except ServerError as error:
                problems.append(f"{ref.kind} '{ref.title}': {error}")
                return None
            kept = None if thing is None else place.put(thing)
            spent.append((kind.name, time.monotonic() - began))
            return kept

        with ThreadPoolExecutor(self._workers) as pool:
            jobs = [(kind, ref) for kind, refs in zip(self._kinds, pool.map(listed, self._kinds)) for ref in refs]
            reads = list(pool.map(read, jobs))
        gone = [job for job, kept in zip(jobs, reads) if kept is None]
        if problems or gone:
            self._check_gone(problems or self._still_listed(gone), len(jobs))
        return [kept for kept in reads if kept is not None]

    def _check_gone(self, problems: Sequence[str], jobs: int) -> None:
        if problems:
            more = ", and of more" if len(problems) > NAMED_AT_MOST else ""
            raise ReadingIncomplete(
                f"every one of {jobs} objects that {self._server.url} lists was expected to be readable, and that is not so of"
                f" {'; of '.join(problems[:NAMED_AT_MOST])}{more}; the earlier files are untouched: mend that, then run again"
            )

    def _still_listed(self, gone: Sequence[tuple[Kind, Ref]]) -> list[str]:
        """What the server does not find, and lists all the same; what was deleted meanwhile is only gone."""
        kinds = {kind.name: kind for kind, _ref in gone}
        there = {(kind.name, ref.key) for kind in kinds.values() for ref in refs_of(kind, self._server)}
        return [
            f"{ref.kind} '{ref.title}': it is listed, and answered with status 404"
            for _kind, ref in gone
            if (ref.kind, ref.key) in there
        ]

    def _check_shrunk(self, reads: Sequence[Read], known: Mapping[tuple[str, str], Entry]) -> None:
        now = Counter(read.named.kind for read in reads)
        was = Counter(kind.name for kind in self._kinds for name, _key in known if name == kind.name)
        for what, less, more in [
            ("objects", len(reads), sum(was.values())),
            *((kind, now[kind], was[kind]) for kind in was),
        ]:
            if not self._forced and more >= COUNTED_FROM and less < more * (1 - self._shrink_limit / 100):
                raise SourceRefused(
                    f"the {what} of {self._server.url} were expected to become fewer by at most {self._shrink_limit:g} % since the"
                    f" last backup, and went from {more:,} to {less:,}; the earlier files are untouched: look at the server; if it"
                    " is right as it is, run again with force=true"
                )


class Place:
    """Where the files go; nothing else that is there is touched, and kinds that are not read stay as they are."""

    def __init__(self, effects: Effects, root: Path, earlier: Path | None, mode: int, dry: bool = False) -> None:
        """Read what the earlier backup has left.

        :param earlier: where its files are: there as well, or elsewhere, to be linked to
        :param mode: the rights of each file
        :param dry: nothing is written
        """
        self._effects = effects
        self._root = root
        self._earlier = earlier
        self._mode = mode
        self._dry = dry
        self._numbers = itertools.count()
        self._leftover = _entries(root / files.NEXT_INDEX)
        self.known = {entry.id: entry for entry in _entries(earlier / files.INDEX if earlier else None)}

    @property
    def _same_place(self) -> bool:
        return self._earlier == self._root

    def staging(self) -> _Staging:
        """Have a directory for what waits, as long as the block lasts."""
        return _Staging(self._effects, self._root, None if self._dry else self._root / STAGING)

    def put(self, thing: Thing) -> Read:
        """Keep an object: where it waits, or in the earlier file if that holds the same."""
        data = files.dump(thing.content)
        known = self.known.get((thing.kind, thing.key))
        kept = known is not None and self._earlier is not None and _holds(self._earlier / known.path, data)
        return Read(
            named=Named(thing.kind, thing.key, thing.title, thing.folder),
            sha256=files.sha256(data),
            size=len(data),
            secrets=tuple(secret_fields(thing)),
            provisioned=thing.provisioned,
            kept=kept,
            staged=None if kept or self._dry else self._put(data),
        )

    def settle(self, fresh: Sequence[Read], seconds: Mapping[str, float], kinds: Collection[str]) -> Saved:
        """Let the files be those of the objects that were read.

        :param kinds: what was read
        :raises SetDamaged: nobody can tell what the files of other kinds are
        """
        reads = [*fresh, *self._others(kinds)]
        named = files.paths(read.named for read in reads)
        entries = [_entry(read, named[read.named.kind, read.named.key]) for read in reads]
        needed = _secrets_needed(reads)
        about = {
            files.SECRETS_NEEDED: files.dump(needed),
            files.NOT_SAVED: files.dump({"not_saved": NOT_SAVED}),
            files.INDEX: files.dump_index(entries),
        }
        linked: list[str] = []
        if not self._dry and not self._settled(reads, about):
            linked = self._write(reads, entries, about)
        return Saved(
            entries=tuple(entries),
            difference=_difference(
                self.known.values(), entries, {entry for entry, read in zip(entries, reads) if read.kept}
            ),
            seconds=seconds,
            bytes=sum(read.size for read in reads),
            linked=tuple(linked),
            secrets_needed=needed,
        )

    def _others(self, kinds: Collection[str]) -> list[Read]:
        """What an earlier backup into the same place has saved of other kinds."""
        known = [entry for entry in self.known.values() if self._same_place and entry.kind not in kinds]
        # The other index is that of a run that has died, and may have moved their files.
        if known and self._died and {*known} != {entry for entry in self._leftover if entry.kind not in kinds}:
            raise SetDamaged(
                f"{self._root} was expected to hold the files of kinds that are not read as one backup has written them, and the"
                " last backup into it did not end: run it once without kinds"
            )
        secrets = _needed(self._root / files.SECRETS_NEEDED) if known else {}
        return [
            Read(
                named=Named(entry.kind, entry.key, entry.title, entry.folder),
                sha256=entry.sha256,
                size=(self._root / entry.path).stat().st_size,
                secrets=tuple(secrets.get(entry.kind, {}).get(entry.key, {}).get("fields", ())),
                provisioned=entry.provisioned,
                kept=True,
                staged=None,
            )
            for entry in known
            if (self._root / entry.path).is_file()
        ]

    @property
    def _died(self) -> bool:
        """Whether the last run into the directory has died."""
        return (self._root / files.NEXT_INDEX).exists()

    def _settled(self, reads: Sequence[Read], about: Mapping[str, bytes]) -> bool:
        """Whether the files are as they are to be: nobody has changed one, and the last run has ended."""
        return (
            self._same_place
            and not self._died
            and all(read.kept for read in reads)
            and all(_holds(self._root / name, data) for name, data in about.items())
        )

    def _write(self, reads: Sequence[Read], entries: Sequence[Entry], about: Mapping[str, bytes]) -> list[str]:
        """Put everything in its place; a run that dies before the end has left a file that says so.

        :return: the paths that are links to earlier files
        """
        moved = [self._staged(read, entry) for read, entry in zip(reads, entries)]
        waiting = {name: self._put(data) for name, data in about.items()}
        self._effects.sync_filesystem(self._root)
        self._effects.rename(waiting[files.INDEX], self._root / files.NEXT_INDEX)
        self._effects.sync_directory(self._root)
        # Before anything comes: names that differ in case only are one name to some file systems.
        self._remove(entries)
        linked = []
        for entry, staged in zip(entries, moved):
            path = self._root / entry.path
            self._parents(path)
            if staged is not None:
                self._effects.rename(staged, path)
            elif self._earlier is not None and not self._same_place:
                self._effects.link(self._earlier / self.known[entry.id].path, path)
                linked.append(entry.path)
        for name in (files.SECRETS_NEEDED, files.NOT_SAVED):
            self._effects.rename(waiting[name], self._root / name)
        self._effects.sync_filesystem(self._root)
        self._effects.rename(self._root / files.NEXT_INDEX, self._root / files.INDEX)
        self._effects.sync_directory(self._root)
        return linked

    def _staged(self, read: Read, entry: Entry) -> Path | None:
        """Where the text of an object waits, also if its file only gets another name."""
        if read.staged is not None or not self._same_place or self.known[entry.id].path == entry.path:
            return read.staged
        staged = self._next()
        self._effects.link(self._root / self.known[entry.id].path, staged)
        return staged

    def _remove(self, entries: Iterable[Entry]) -> None:
        """Remove the files, and directories, that no object has any more."""
        own = [*(self.known.values() if self._same_place else ()), *self._leftover]
        wanted = {entry.path for entry in entries}
        for path in sorted({entry.path for entry in own} - wanted):
            if (self._root / path).is_file():
                self._effects.unlink(self._root / path)
            for parent in (self._root / path).parents:
                if parent == self._root or (parent.is_dir() and any(parent.iterdir())):
                    break
                if parent.is_dir():
                    self._effects.remove_directory(parent)

    def _parents(self, path: Path) -> None:
        for parent in reversed(path.relative_to(self._root).parents):
            self._effects.make_directory(self._root / parent, 0o700)

    def _put(self, data: bytes) -> Path:
        """Let a file wait."""
        path = self._next()
        self._effects.put(path, data, self._mode)
        return path

    def _next(self) -> Path:
        return self._root / STAGING / str(next(self._numbers))


class _Staging:
    """The directory of what waits."""

    def __init__(self, effects: Effects, root: Path, directory: Path | None) -> None:
        self._effects = effects
        self._root = root
        self._directory = directory

    def __enter__(self) -> None:
        if self._directory is not None:
            self.__exit__()
            self._effects.make_directory(self._root, 0o700)
            self._effects.make_directory(self._directory, 0o700)

    def __exit__(self, *_error: object) -> None:
        if self._directory is not None and self._directory.exists():
            self._effects.remove_tree(self._directory)


def _entries(path: Path | None) -> tuple[Entry, ...]:
    """What an index names; nothing if there is none that can be read."""
    try:
        return files.load_index(path) if path else ()
    except (NoSuchSet, SetDamaged):
        return ()


def _needed(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What an earlier backup has said of secrets; nothing if that cannot be read."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == data


def _entry(read: Read, path: str) -> Entry:
    one = read.named
    return Entry(one.kind, one.key, one.title, one.folder, path, read.sha256, read.provisioned)


def _difference(known: Iterable[Entry], entries: Sequence[Entry], kept: Container[Entry]) -> Difference:
    was = {entry.id: entry for entry in known}
    now = {entry.id for entry in entries}
    return Difference(
        added=tuple(sorted(entry.path for entry in entries if entry.id not in was)),
        changed=tuple(
            sorted(
                entry.path
                for entry in entries
                if entry.id in was and (entry not in kept or replace(was[entry.id], path="") != replace(entry, path=""))
            )
        ),
        removed=tuple(sorted(entry.path for entry in was.values() if entry.id not in now)),
    )


def _secrets_needed(reads: Iterable[Read]) -> dict[str, dict[str, dict[str, object]]]:
    """By kind and key, the names of the secrets that a restore onto another server needs."""
    needed: dict[str, dict[str, dict[str, object]]] = {}
    for read in reads:
        if read.secrets:
            about: dict[str, object] = {"name": read.named.title, "fields": list(read.secrets)}
            needed.setdefault(read.named.kind, {})[read.named.key] = about
    return needed
