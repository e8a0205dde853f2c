# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations that are stopped, cut into the stages that are modules of their own in a playbook."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus_snapshot import NO_DATA, PrometheusSnapshot
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import Journals
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.tree_backup import TreeBackup, TreeSource
from ansible_collections.flatnet.ops.plugins.module_utils.tree_restore import TreeRestore

from tests.seam.driver.stop import until
from tests.seam.driver.world import ROOT, TARGET, Http, Turn, fill

PROMETHEUS = "http://127.0.0.1:9090"
KEEP_DAYS = 3
NOTES = "volumes/app_notes_data"
FILES = "volumes/seam_files"
SOURCES = ["prometheus", NOTES, FILES]
AREA = "before-restore"

Stage = Callable[[Turn], None]


@dataclass(frozen=True)
class Operation:
    """One operation.

    ``begin`` of the stages of ``recovery`` put right what a dead run has left; from there on the recovery depends on
    nothing but the state that it has reached.
    """

    prepare: Callable[[], None]
    stages: dict[str, Stage]
    recovery: Sequence[Stage]
    begin: int
    day: int


def open_set(turn: Turn, area: str = "sets") -> None:
    turn.lifecycle(area).open(turn.run, "seam", "seam", "seam", "seam", lease_seconds=1)


def save_prometheus(turn: Turn) -> None:
    server = Prometheus(PROMETHEUS, Http(turn.effects.watch), turn.effects)
    snapshot = PrometheusSnapshot(turn.effects, server, Podman(), "flatnet-prometheus", None)
    with turn.lifecycle().filling(turn.run) as filling:
        snapshot.save(filling)


def save_volume(name: str, consistency: str, turn: Turn) -> None:
    source = TreeSource(name, None, name.removeprefix("volumes/"), consistency, None, max_pause=60)
    with turn.lifecycle().filling(turn.run) as filling:
        TreeBackup(turn.effects, Podman(), source).save(filling)


def commit(sources: Sequence[str], turn: Turn, area: str = "sets") -> None:
    turn.lifecycle(area).commit(turn.run, sources, 50, ())


def abort(turn: Turn) -> None:
    turn.lifecycle(AREA).abort(turn.run)


def prune(turn: Turn) -> None:
    turn.lifecycle().prune(turn.run, "seam", KEEP_DAYS)


def restore(turn: Turn) -> TreeRestore:
    return TreeRestore(turn.effects, Podman(), Journals(turn.effects), turn.run, FILES)


def stage(turn: Turn) -> None:
    area = Area(ROOT)
    with turn.lifecycle(AREA).filling(turn.run) as filling:
        restore(turn).stage(area, area.find("latest"), TARGET, filling)


def swap(turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run):
        restore(turn).swap()


def confirm(turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run) as filling:
        restore(turn).confirm(filling)


def undo(turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run):
        restore(turn).undo()


open_before_restore = partial(open_set, area=AREA)
commit_before_restore = partial(commit, (), area=AREA)

BACKUP: dict[str, Stage] = {
    "open": open_set,
    "prometheus": save_prometheus,
    "paused": partial(save_volume, NOTES, "paused"),
    "stopped": partial(save_volume, FILES, "stopped"),
    "commit": partial(commit, SOURCES),
    "prune": prune,
}
SWAP: dict[str, Stage] = {"open": open_before_restore, "stage": stage, "swap": swap}
RESTORE: dict[str, Stage] = {**SWAP, "confirm": confirm, "commit": commit_before_restore}
UNDO: dict[str, Stage] = {**SWAP, "undo": undo, "abort": abort}
SMALL: list[Stage] = [open_set, partial(save_volume, FILES, "hot"), partial(commit, [FILES])]


def earlier_backups(stages: Sequence[Stage], days: Sequence[int]) -> None:
    """Sets of earlier days, which share what did not change."""
    for day in days:
        for step in stages:
            step(Turn(day, Effects()))


def before_backup() -> None:
    server = Prometheus(PROMETHEUS, Http(None), Effects())
    until("a first scrape", lambda: server.query("sum(up)", time.time()) != NO_DATA)
    fill("saved")
    earlier_backups(list(BACKUP.values()), (1, 2, 3))


def before_restore() -> None:
    fill("saved")
    earlier_backups(SMALL, (1, 2))
    fill("present")


def before_prune() -> None:
    """More sets than days, and what runs leave that were killed in a backup, in a restore and in a removal."""
    before_restore()
    earlier_backups(SMALL, (3, 4, 5))
    dead = Turn(6, Effects())
    for step in list(RESTORE.values())[:4]:
        step(dead)
    stray = ROOT / AREA / f".{Area(ROOT, AREA).partials()[0]}.partial" / "volumes" / "half"
    stray.mkdir()
    (stray / "file").touch()
    killed = Turn(7, Effects())
    for step in SMALL[:2]:
        step(killed)
    removed = ROOT / ".removed-20200101T000000Z"
    (removed / "volumes" / "half").mkdir(parents=True)


OPERATIONS = {
    "backup": Operation(before_backup, BACKUP, list(BACKUP.values()), begin=1, day=4),
    "restore": Operation(before_restore, RESTORE, list(RESTORE.values()), begin=2, day=4),
    "undo": Operation(before_restore, UNDO, list(RESTORE.values()), begin=2, day=4),
    "prune": Operation(before_prune, {"prune": prune}, [prune], begin=0, day=8),
}
