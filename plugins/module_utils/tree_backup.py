# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save a directory or volume into the open set, with the containers that use it at rest for the last look."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Application, Examined, Question
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, QuiesceLost, SourceRefused
from ansible_collections.flatnet.ops.plugins.module_utils.podman import (
    Podman,
    quiesce_command,
    resting,
    resume_command,
)
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.undo import (
    UNDO_DIRECTORY,
    guarded,
    only_if_status,
    quote,
)

HOT, PAUSED, STOPPED = "hot", "paused", "stopped"


# What an application needs to get its tree ready may take longer than the copy.
COMMAND_GUARD_SECONDS = 86400


@dataclass(frozen=True)
class Command:
    """A command of the operator's own: on the host, or in a container."""

    argv: tuple[str, ...]
    container: str | None
    timeout: int

    def line(self) -> list[str]:
        """What is run, ended after its time."""
        inside = ["podman", "exec", self.container] if self.container else []
        return ["timeout", "--kill-after=10", str(self.timeout), *inside, *self.argv]

    def promise(self) -> str:
        """The same for an undo script, where no run after this one fails for it."""
        if self.container is None:
            return f"{quote(self.line())} || :"
        wait = ["timeout", str(self.timeout), "podman", "wait", "--condition=running", self.container]
        # A container that is being put to rest may rest only when the command has begun.
        return f"after() {{ {quote(wait)} && {quote(self.line())}; }}\nafter || after || :"


@dataclass(frozen=True)
class TreeSource:
    """What to save, and how.

    ``path`` is a directory of the host or, with ``container``, of that container; ``exclude`` are names directly below the
    tree that are left out; ``before`` is run ahead of the copy, and ``after`` on every way out from then on.
    """

    name: str
    path: Path | None
    volume: str | None
    consistency: str
    containers: tuple[str, ...] | None
    max_pause: int
    container: str | None = None
    exclude: tuple[str, ...] = ()
    before: Command | None = None
    after: Command | None = None

    @property
    def place(self) -> dict[str, str]:
        """Where it is on the host, for whoever restores it."""
        found = {"volume": self.volume, "container": self.container, "path": str(self.path) if self.path else None}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def origin(self) -> str:
        """Where it is on the host, in words."""
        if self.volume is not None:
            return f"volume {self.volume}"
        inside = f" in container {self.container}" if self.container else ""
        return tree.shown(f"{self.path}{inside}")


class TreeBackup:
    """Saves one tree."""

    def __init__(
        self,
        effects: Effects,
        podman: Podman,
        source: TreeSource,
        undo_directory: Path = UNDO_DIRECTORY,
        application: Application | None = None,
        questions: Sequence[Question] = (),
    ) -> None:
        """
        :param application: whose data it is; asked before the copy, so that the copy holds what it answered
        :param questions: the operator's own, beside those that are always asked
        """
        self._application = application
        self._questions = questions
        self._effects = effects
        self._podman = podman
        self._source = source
        self._undo_directory = undo_directory
        self._pause_seconds: float | None = None

    def directory(self) -> Path:
        """Where the tree lies on this host.

        :raises SourceRefused: it is not there
        """
        directory = self._source.path
        if self._source.volume is not None:
            directory = self._podman.mountpoint(self._source.volume)
        elif self._source.container is not None and directory is not None:
            directory = self._podman.container(self._source.container).host_path(directory)
        if directory is None or not directory.is_dir():
            what = self._source.origin if self._source.volume else f"directory {self._source.origin}"
            raise SourceRefused(
                f"{what} was expected on this host as source {self._source.name}, and is not there: mount or create it,"
                " or take it off the list of sources; the earlier sets are untouched"
            )
        return directory.resolve()

    def running(self) -> list[str]:
        """The containers that have to rest: those named, else all that can write to the tree; only if they run now."""
        if self._source.consistency == HOT:
            return []
        if self._source.containers is None:
            users = self._podman.using(self.directory(), writing=True)
        else:
            users = [self._podman.container(name) for name in self._source.containers]
        return [container.name for container in users if container.running]

    def save(self, filling: Filling) -> Source:
        """Copy the tree into the set and enter it there.

        :raises QuiesceLost: a container did not stay at rest; the copy does not count
        """
        began = time.monotonic()
        directory = self.directory()
        resting_containers = self.running()
        how = self._source.consistency
        rest = None if how == HOT else self._rest(how, resting_containers)
        place, previous = filling.place(self._source.name), filling.previous(self._source.name)
        application = self._application
        examined = application.examine(self._questions) if application else Examined()
        with self._prepared():
            copy = TreeCopy(self._effects, directory, place, previous, self._source.exclude)
            copied = copy.take_live(rest)
        totals = tree.totals(copied.listing)
        source = Source(
            name=self._source.name,
            kind=application.kind if application else "volume" if self._source.volume else "directory",
            origin=self._source.origin,
            consistency=how,
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=copied.linked_files,
            linked_bytes=copied.linked_bytes,
            seconds=time.monotonic() - began,
            pause_seconds=self._pause_seconds,
            changed_while_copied=copied.changed_while_copied,
            containers=tuple(resting_containers),
            software=examined.software,
            facts=examined.facts,
            probes=examined.probes,
            place=self._source.place,
        )
        filling.add(source, copied.listing)
        return source

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """The operator's commands around a copy; what they have begun is ended whatever happens."""
        if self._source.before is None and self._source.after is None:
            yield
            return
        with guarded(self._effects, "command", COMMAND_GUARD_SECONDS, self._undo_directory) as guard:
            if self._source.after is not None:
                guard.promise([self._source.after.promise()])
            if self._source.before is not None:
                guard.run(self._source.before.line())
            yield
            if self._source.after is not None:
                guard.run(self._source.after.line())
                guard.keep()

    @contextmanager
    def _rest(self, how: str, names: Sequence[str]) -> Iterator[None]:
        if not names:
            yield
            return
        with guarded(self._effects, how, self._source.max_pause, self._undo_directory) as guard:
            guard.promise([only_if_status(name, resting(how), resume_command(how, [name])) for name in names])
            began = time.monotonic()
            guard.run(quiesce_command(how, list(names)))
            yield
            self._check_rest(how, list(names))
            try:
                guard.run(resume_command(how, list(names)))
            except CommandFailed:
                self._check_rest(how, list(names))
                raise
            self._pause_seconds = time.monotonic() - began
            guard.keep()

    def _check_rest(self, how: str, names: list[str]) -> None:
        statuses = self._podman.statuses(names)
        moved = [name for name in names if statuses[name] not in resting(how)]
        if moved:
            raise QuiesceLost(
                f"{', '.join(moved)} was expected to stay {how} while {self._source.name} was copied, and is"
                f" {' and '.join(sorted({statuses[name] for name in moved}))}: somebody else did that,"
                f" or the copy took longer than max_pause={self._source.max_pause} s; run again, with a longer max_pause if need be"
            )
