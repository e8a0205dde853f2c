# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold, wherever a run was stopped, and what must hold once the next run has ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import JOURNALS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify

from tests.seam.driver.operations import AREA, NOTES
from tests.seam.driver.world import (
    DUMP,
    ROOT,
    addresses,
    beside,
    boards,
    container_states,
    content,
    probe_containers,
    sees_target,
    snapshots,
)

Tree = dict[str, tuple[object, ...]] | None
SETS = Area(ROOT)
REPLACED = Area(ROOT, AREA)
ALL = [Area(ROOT, name) for name in AREAS]


@dataclass(frozen=True)
class Promises:
    """What was there before, and must not be lost; ``target`` is the tree that a restore of ``source`` replaces."""

    source: str
    target: Path
    present: Tree
    saved: Tree
    snapshots: set[str]
    addresses: int
    boards: set[str]

    def always(self, kept: Collection[Path], complete: Collection[str]) -> Iterator[str]:
        """What is wrong now.

        :param kept: sets and generations that must be there
        :param complete: the sources that every listed set has
        """
        for path in sorted(kept):
            if not path.is_dir():
                yield f"the earlier set {path} is gone"
        for area in ALL:
            for name in area.ids():
                yield from _set_violations(area, name, complete if area == SETS else [])
        for container, state in container_states().items():
            if state != "running":
                yield f"container {container} is {state}"
        for name in sorted(snapshots() - self.snapshots):
            yield f"snapshot {name} is left on Prometheus"
        for name in sorted(self.boards - boards().keys()):
            yield f"dashboard {name} is gone"
        for name in probe_containers():
            yield f"container {name} is left"
        if addresses() > self.addresses:
            yield "a container that is gone has kept its address"
        if DUMP.exists():
            yield "the command after the copy was not run"
        target = content(self.target)
        if target not in (self.present, self.saved):
            yield f"{self.target} is neither as it was nor as it was saved"
        if not sees_target():
            yield "the container looks at another directory than the volume's"
        if not self._present_exists(target):
            yield "what the restore has replaced is gone"

    def after_recovery(self, makes: Area | None, time: str) -> Iterator[str]:
        """What is wrong besides, when a whole run has followed.

        :param makes: where it had to make a set or a generation
        :param time: how the name of that one begins
        """
        for area in ALL:
            for name in area.partials():
                yield f"a set in the making, {name}, is left in {area.directory}"
            for path in area.directory.glob(".removed-*") if area.directory.is_dir() else ():
                yield f"{path} is half removed"
        for path in [*UNDO_DIRECTORY.glob("*"), *JOURNALS.rglob("*.json")]:
            yield f"{path} is left"
        for path in beside(self.target):
            yield f"{path} is left"
        if makes is not None and not "".join(makes.good_ids()[-1:]).startswith(time):
            yield f"set {time} was made, and the good ones in {makes.directory} are {makes.good_ids()}"

    def _present_exists(self, target: Tree) -> bool:
        old = self.target.with_name(f"{self.target.name}.flatnet-old")
        if target == self.present or content(old) == self.present:
            return True
        partials = [REPLACED.partial(name) for name in REPLACED.partials()]
        kept = [path / self.source for path in [*map(REPLACED.path, REPLACED.ids()), *partials]]
        return any(content(path) == self.present for path in kept)


def _set_violations(area: Area, name: str, complete: Collection[str]) -> Iterator[str]:
    for damage in verify(area, name).damage:
        yield f"set {name} is listed, and {damage.path} {damage.what}"
    sources = area.manifest(name).sources
    for source in complete:
        if source not in sources:
            yield f"set {name} is listed without {source}"
    notes = area.path(name) / NOTES
    if notes.is_dir():
        journal, copy = ((notes / file).read_text().split() for file in ("journal", "copy"))
        if not int(copy[-1]) <= int(journal[-1]) <= int(copy[-1]) + 1:
            yield f"set {name} holds a torn copy of app_notes_data: {journal[-1]} and {copy[-1]}"
