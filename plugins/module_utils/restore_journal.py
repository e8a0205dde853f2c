# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journals of restores: how far each has come, and how one that its run left behind is finished or undone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman, resume_command
from ansible_collections.flatnet.ops.plugins.module_utils.undo import (
    STATE,
    UNDO_DIRECTORY,
    Guard,
    guarded,
    only_if_status,
    quote,
)

JOURNALS = STATE / "restores"
STAGING, STAGED, SWAPPING, SWAPPED, CONFIRMED = "staging", "staged", "swapping", "swapped", "confirmed"
# Stopping and starting the containers of one volume; a database may take its time.
SWAP_SECONDS = 600


@dataclass(frozen=True)
class Journal:
    """How far the restore of one source has come."""

    run: str
    root: str
    source: str
    area: str
    set_id: str
    target: str
    phase: str
    containers: tuple[str, ...] = ()
    place: Mapping[str, str] = field(default_factory=dict)
    made: bool = False

    @property
    def beside(self) -> Path:
        """Where the restored tree is staged."""
        return Path(f"{self.target}.flatnet-staged")

    @property
    def old(self) -> Path:
        """Where the replaced tree waits."""
        return Path(f"{self.target}.flatnet-old")

    def undo(self, others: Sequence[str] = ()) -> list[str]:
        """Shell commands that put the old tree back and start what was stopped, from whatever point was reached.

        :param others: containers that were started since on the restored tree; they are stopped, and stay so
        """
        target, beside, old = (quote([str(path)]) for path in (self.target, self.beside, self.old))
        users = (*self.containers, *others)
        stop = [only_if_status(name, ("running",), ["podman", "stop", name]) for name in users]
        start = [
            only_if_status(name, ("exited", "stopped", "created"), resume_command("stopped", [name]))
            for name in self.containers
        ]
        back = [f"if [ -e {target} ]; then mv -T {target} {beside}; fi", f"mv -T {old} {target}"]
        # Whatever fails, nobody stays stopped.
        return ["start() {", ":", *start, "}", "trap start EXIT", f"if [ -e {old} ]; then", *stop, *back, "fi"]


class Journals:
    """The restores of this host that are not finished."""

    def __init__(self, effects: Effects, directory: Path = JOURNALS, undo_directory: Path = UNDO_DIRECTORY) -> None:
        self._effects = effects
        self._directory = directory
        self._undo_directory = undo_directory

    def all(self) -> list[Journal]:
        """Every unfinished restore."""
        if not self._directory.is_dir():
            return []
        return [_journal(path.read_bytes()) for path in sorted(self._directory.rglob("*.json"))]

    def find(self, source: str) -> Journal | None:
        """The unfinished restore of one source."""
        path = self._path(source)
        return _journal(path.read_bytes()) if path.exists() else None

    def write(self, journal: Journal) -> Journal:
        """Remember how far a restore has come, durably."""
        path = self._path(journal.source)
        for parent in reversed(path.parents):
            self._effects.make_directory(parent, 0o700)
        self._effects.write(path, json.dumps(asdict(journal), indent=1, sort_keys=True).encode("ascii") + b"\n", 0o600)
        return journal

    def forget(self, journal: Journal) -> None:
        """A restore is finished, or wholly undone."""
        self._effects.unlink(self._path(journal.source))

    def refusal(self) -> str | None:
        """Why no backup may be taken now; None if one may."""
        for journal in self.all():
            if journal.phase == SWAPPED:
                return (
                    f"no restore was expected to be under way, and the one of {journal.source} from set {journal.set_id} (run"
                    f" {journal.run}) was neither confirmed nor undone; the data before it is in {journal.old}: run playbook"
                    " flatnet.ops.restore again, which undoes it first and keeps what was written since"
                )
        return None

    def guarded(self) -> AbstractContextManager[Guard]:
        """Work on a restored tree under a guard."""
        return guarded(self._effects, "restore", SWAP_SECONDS, self._undo_directory)

    def put_back(self, journal: Journal, keep: Callable[[Path], object] | None = None) -> None:
        """Undo a restore that is not confirmed.

        :param keep: stores the restored tree, which somebody may have written to, before it is removed
        """
        if journal.phase in (SWAPPING, SWAPPED):
            running = [container.name for container in Podman().using(Path(journal.target)) if container.running]
            with self.guarded() as guard:
                guard.promise(journal.undo([name for name in running if name not in journal.containers]))
            self._effects.sync_directory(Path(journal.target).parent)
        if keep is not None and journal.beside.exists():
            keep(journal.beside)
        if journal.beside.exists():
            self._effects.remove_tree(journal.beside)
        target = Path(journal.target)
        if journal.made and target.is_dir() and not any(target.iterdir()):
            self._effects.remove_tree(target)
        self.forget(journal)

    def discard_old(self, journal: Journal) -> None:
        """Finish a restore that is confirmed."""
        if journal.old.exists():
            self._effects.remove_tree(journal.old)
        self.forget(journal)

    def settle(self, journal: Journal, keep: Callable[[Path], object] | None = None) -> None:
        """Finish or undo what a dead run has left.

        :param keep: stores a restored tree that was in use
        """
        if journal.phase == CONFIRMED:
            self.discard_old(journal)
        else:
            self.put_back(journal, keep if journal.phase == SWAPPED else None)

    def clear(self, root: Path) -> list[str]:
        """Settle what dead runs have left, but for restored trees that are in use: only a restore decides about them.

        :param root: the backup directory whose lease is held; restores from another one may be alive
        :return: what was settled, in words
        """
        left = [journal for journal in self.all() if journal.phase != SWAPPED and journal.root == str(root)]
        for journal in left:
            self.settle(journal)
        return [f"{journal.phase} restore cleared: {journal.source}" for journal in left]

    def _path(self, source: str) -> Path:
        return self._directory / f"{sets.check_source_name(source)}.json"


def _journal(content: bytes) -> Journal:
    stored: dict[str, Any] = json.loads(content)
    return Journal(**{**stored, "containers": tuple(stored["containers"])})
