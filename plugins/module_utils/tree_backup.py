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
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import QuiesceLost, SourceRefused
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
)

HOT, PAUSED, STOPPED = "hot", "paused", "stopped"


@dataclass(frozen=True)
class TreeSource:
    """What to save, and how."""

    name: str
    path: Path | None
    volume: str | None
    consistency: str
    containers: tuple[str, ...] | None
    max_pause: int


class TreeBackup:
    """Saves one tree."""

    def __init__(
        self, effects: Effects, podman: Podman, source: TreeSource, undo_directory: Path = UNDO_DIRECTORY
    ) -> None:
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
        if directory is None or not directory.is_dir():
            what = f"volume '{self._source.volume}'" if self._source.volume else f"directory {self._source.path}"
            raise SourceRefused(
                f"{what} was expected on this host as source {self._source.name}, and is not there: mount or create it,"
                " or take it off the list of sources; the earlier sets are untouched"
            )
        return directory.resolve()

    def running(self) -> list[str]:
        """The containers that have to rest: those named, else all that mount the tree; only if they run now."""
        if self._source.consistency == HOT:
            return []
        if self._source.containers is None:
            users = self._podman.using(self.directory())
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
        copy = TreeCopy(self._effects, directory, filling.place(self._source.name), filling.previous(self._source.name))
        copied = copy.take_live(rest)
        totals = tree.totals(copied.listing)
        source = Source(
            name=self._source.name,
            kind="volume" if self._source.volume else "directory",
            origin=f"volume {self._source.volume}" if self._source.volume else tree.shown(str(directory)),
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
        )
        filling.add(source, copied.listing)
        return source

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
            guard.run(resume_command(how, list(names)))
            self._pause_seconds = time.monotonic() - began
            guard.keep()

    def _check_rest(self, how: str, names: list[str]) -> None:
        statuses = self._podman.statuses(names)
        moved = [name for name in names if statuses[name] not in resting(how)]
        if moved:
            raise QuiesceLost(
                f"{', '.join(moved)} was expected to stay {how} while {self._source.name} was copied, and did not: somebody"
                f" else took it up, or the copy took longer than max_pause={self._source.max_pause} s; run again, with a"
                " longer max_pause if need be"
            )
