# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold, wherever a run was stopped, and what must hold once the next run has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import JOURNALS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify

from tests.seam.driver.operations import AREA, FILES, SOURCES
from tests.seam.driver.world import (
    ROOT,
    TARGET,
    VOLUME,
    beside_target,
    container_states,
    content,
    sees_target,
    snapshots,
)

Tree = dict[str, tuple[object, ...]] | None
AREAS = (Area(ROOT), Area(ROOT, AREA))


@dataclass(frozen=True)
class Promises:
    """What was there before, and must not be lost."""

    present: Tree
    saved: Tree
    snapshots: set[str]

    def always(self, kept: set[str], complete: list[str]) -> Iterator[str]:
        """What is wrong now.

        :param kept: sets that must be there
        :param complete: the sources that every listed set has
        """
        for name in sorted(kept - set(AREAS[0].ids())):
            yield f"the earlier set {name} is gone"
        for area in AREAS:
            for name in area.ids():
                yield from _set_violations(area, name, complete if area is AREAS[0] else [])
        for container, state in container_states().items():
            if state != "running":
                yield f"container {container} is {state}"
        for name in sorted(snapshots() - self.snapshots):
            yield f"snapshot {name} is left on Prometheus"
        target = content(TARGET)
        if target not in (self.present, self.saved):
            yield "the volume is neither as it was nor as it was saved"
        if not sees_target():
            yield "the container looks at another directory than the volume's"
        if not self._present_exists(target):
            yield "what the restore has replaced is gone"

    def after_recovery(self, newest: str | None) -> Iterator[str]:
        """What is wrong besides, when a whole run has followed.

        :param newest: the set that it had to make
        """
        for area in AREAS:
            for name in area.partials():
                yield f"a set in the making, {name}, is left in {area.directory}"
            for path in area.directory.glob(".removed-*") if area.directory.is_dir() else ():
                yield f"{path} is half removed"
        for path in [*UNDO_DIRECTORY.glob("*"), *JOURNALS.rglob("*.json")]:
            yield f"{path} is left"
        for name in beside_target():
            yield f"{VOLUME / name} is left"
        if newest is not None and AREAS[0].good_ids()[-1:] != [newest]:
            yield f"set {newest} was made, and the good sets are {AREAS[0].good_ids()}"

    def _present_exists(self, target: Tree) -> bool:
        if target == self.present or content(VOLUME / "_data.flatnet-old") == self.present:
            return True
        partials = [AREAS[1].partial(name) for name in AREAS[1].partials()]
        kept = [path / FILES for path in [*map(AREAS[1].path, AREAS[1].ids()), *partials]]
        return any(content(path) == self.present for path in kept)


def _set_violations(area: Area, name: str, complete: list[str]) -> Iterator[str]:
    for damage in verify(area, name).damage:
        yield f"set {name} is listed, and {damage.path} {damage.what}"
    sources = area.manifest(name).sources
    for source in complete:
        if source not in sources:
            yield f"set {name} is listed without {source}"
    notes = area.path(name) / SOURCES[1]
    if notes.is_dir():
        journal, copy = ((notes / file).read_text().split() for file in ("journal", "copy"))
        if not int(copy[-1]) <= int(journal[-1]) <= int(copy[-1]) + 1:
            yield f"set {name} holds a torn copy of app_notes_data: {journal[-1]} and {copy[-1]}"
