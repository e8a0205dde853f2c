# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations that are stopped, cut into the stages that are modules of their own in a playbook."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import ContainersBackup
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import ContentDiffers
from ansible_collections.flatnet.ops.plugins.module_utils.generations import Generations
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import GrafanaBackup
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import DASHBOARDS, FOLDERS
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import GrafanaRestore, Policy, select
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_source import GrafanaApplication, save_into
from ansible_collections.flatnet.ops.plugins.module_utils.network_probe import NetworkProbe
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import NO_DATA, Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus_snapshot import PrometheusSnapshot
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import Journals
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.tree_backup import Command, TreeBackup, TreeSource
from ansible_collections.flatnet.ops.plugins.module_utils.tree_restore import TreeRestore

from tests.seam.driver.stop import until
from tests.seam.driver.world import (
    BOARDS,
    CONFIGURATION,
    CONTAINER,
    ROOT,
    TARGET,
    Http,
    Turn,
    boards,
    configure,
    draw,
    fill,
    grafana,
)

PROMETHEUS = "http://127.0.0.1:9090"
KEEP_DAYS = 3
KEEP_GENERATIONS = 3
NOTES = "volumes/app_notes_data"
FILES = "volumes/seam_files"
SOURCES = ["prometheus", NOTES, FILES]
NET = "cni/net.d"
TREES = {NET: CONFIGURATION / "net.d", "cni/bin": CONFIGURATION / "bin"}
GRAFANA = "grafana"
SITE_SOURCES = [FILES, *TREES, "containers", GRAFANA]
KINDS = (FOLDERS, DASHBOARDS)
AREA = "before-restore"
GENERATIONS = Area(ROOT, "generations/cni")

Stage = Callable[[Turn], None]


@dataclass(frozen=True)
class Operation:
    """One operation.

    ``begin`` of the stages of ``recovery`` put right what a dead run has left; from there on the recovery depends on
    nothing but the state that it has reached. Every set has ``sources``, and the recovery ``makes`` one, or a generation.
    What is restored, if anything, is ``source``, to ``target``.
    """

    prepare: Callable[[], None]
    stages: dict[str, Stage]
    recovery: Sequence[Stage]
    begin: int
    day: int
    sources: Sequence[str] = (FILES,)
    makes: Area | None = None
    source: str = FILES
    target: Path = TARGET


def open_set(turn: Turn, area: str = "sets") -> None:
    turn.lifecycle(area).open(turn.run, "seam", "seam", "seam", "seam", lease_seconds=1)


def save_prometheus(turn: Turn) -> None:
    server = Prometheus(PROMETHEUS, Http(turn.effects.watch), turn.effects)
    snapshot = PrometheusSnapshot(turn.effects, server, Podman(), "flatnet-prometheus", None)
    with turn.lifecycle().filling(turn.run) as filling:
        snapshot.save(filling)


def save_tree(source: TreeSource, turn: Turn) -> None:
    with turn.lifecycle().filling(turn.run) as filling:
        TreeBackup(turn.effects, Podman(), source).save(filling)


def take_generation(turn: Turn) -> None:
    """As the timer does, on a configuration that changes every day."""
    configure(f"day {turn.day}")
    generations(turn).take(turn.run, TREES, "timer", "seam", "seam", KEEP_GENERATIONS)


def save_generation(turn: Turn) -> None:
    with turn.lifecycle().filling(turn.run) as filling:
        generations(turn).save(filling)


def generations(turn: Turn) -> Generations:
    return Generations(ROOT, "cni", turn.effects, lambda: turn.now)


def save_containers(turn: Turn) -> None:
    """One container every day, and on every other day one more."""
    backup = ContainersBackup(turn.effects, Podman(), images=False)
    found = [one for one in backup.found() if one.name in ("app-notes", CONTAINER)[: 1 + turn.day % 2]]
    with turn.lifecycle().filling(turn.run) as filling:
        backup.save(filling, found)


def save_grafana(turn: Turn, area: str = "sets") -> None:
    """The dashboards as they are; one request at a time, so that each run has the same effects."""
    server = grafana(turn.effects)
    backup, application = GrafanaBackup(server, KINDS, workers=1), GrafanaApplication(server, workers=1)
    with turn.lifecycle(area).filling(turn.run) as filling:
        save_into(filling, backup, application, [kind.name for kind in KINDS], turn.effects)


def save_drawn(turn: Turn) -> None:
    """One of the dashboards changes every day."""
    draw({**dict.fromkeys(BOARDS, "saved"), BOARDS[0]: f"day {turn.day}"})
    save_grafana(turn)


def restore_grafana(turn: Turn) -> None:
    tree = Tree(Area(ROOT).path(Area(ROOT).find("latest")) / GRAFANA)
    back = GrafanaRestore(grafana(turn.effects), tree, Policy(existing="update"), workers=1)
    steps = back.plan(select(tree))
    back.check(steps)
    back.apply(steps)


def see_grafana(turn: Turn) -> None:
    """What a browser would show after the restore."""
    del turn
    if boards() != dict.fromkeys(BOARDS, "saved"):
        raise ContentDiffers(f"the dashboards were expected as they were saved, and say {boards()}")


def probe_network(turn: Turn) -> None:
    NetworkProbe(turn.effects).join("flatnet", "localhost/app-notes:1.0")


def commit(sources: Sequence[str], turn: Turn, area: str = "sets") -> None:
    turn.lifecycle(area).commit(turn.run, sources, 50, ())


def abort(turn: Turn, area: str = AREA) -> None:
    turn.lifecycle(area).abort(turn.run)


def prune(turn: Turn) -> None:
    turn.lifecycle().prune(turn.run, "seam", KEEP_DAYS)


def restore(source: str, turn: Turn) -> TreeRestore:
    return TreeRestore(turn.effects, Podman(), Journals(turn.effects), turn.run, source, ROOT)


def stage(source: str, target: Path, turn: Turn) -> None:
    area = Area(ROOT)
    with turn.lifecycle(AREA).filling(turn.run) as filling:
        restore(source, turn).stage(area, area.find("latest"), target, filling)


def swap(source: str, turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run):
        restore(source, turn).swap()


def confirm(source: str, turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run) as filling:
        restore(source, turn).confirm(filling)


def undo(turn: Turn) -> None:
    with turn.lifecycle(AREA).filling(turn.run):
        restore(FILES, turn).undo()


open_before_restore = partial(open_set, area=AREA)
commit_before_restore = partial(commit, (), area=AREA)

# The container of the commands rests when the copy is killed; a dump younger than a tick of the clock would be copied twice.
NOTES_SOURCE = TreeSource(
    NOTES,
    None,
    "app_notes_data",
    "paused",
    None,
    max_pause=60,
    before=Command(("sh", "-c", "touch /data/seam-dump; sleep 0.1"), "app-notes", 30),
    after=Command(("mv", "/data/seam-dump", "/data/seam-done"), "app-notes", 30),
)
FILES_STOPPED = TreeSource(FILES, Path("/srv"), None, "stopped", None, max_pause=60, container=CONTAINER)
FILES_HOT = TreeSource(FILES, None, "seam_files", "hot", None, max_pause=60)

BACKUP: dict[str, Stage] = {
    "open": open_set,
    "prometheus": save_prometheus,
    "paused": partial(save_tree, NOTES_SOURCE),
    "stopped": partial(save_tree, FILES_STOPPED),
    "commit": partial(commit, SOURCES),
    "prune": prune,
}
SITE: dict[str, Stage] = {
    "open": open_set,
    "files": partial(save_tree, FILES_HOT),
    "generation": take_generation,
    "configuration": save_generation,
    "containers": save_containers,
    "grafana": save_drawn,
    "commit": partial(commit, SITE_SOURCES),
}


def restored(source: str, target: Path) -> dict[str, Stage]:
    """The stages of a restore."""
    return {
        "open": open_before_restore,
        "stage": partial(stage, source, target),
        "swap": partial(swap, source),
        "confirm": partial(confirm, source),
        "commit": commit_before_restore,
    }


RESTORE = restored(FILES, TARGET)
UNDO: dict[str, Stage] = {**dict(list(RESTORE.items())[:3]), "undo": undo, "abort": abort}
RESTORE_NET = restored(NET, TREES[NET])
RESTORE_GRAFANA: dict[str, Stage] = {
    "open": open_before_restore,
    "keep": partial(save_grafana, area=AREA),
    "objects": restore_grafana,
    "see": see_grafana,
    "commit": partial(commit, [GRAFANA], area=AREA),
}
SMALL: list[Stage] = [open_set, partial(save_tree, FILES_HOT), partial(commit, [FILES])]


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


def before_site() -> None:
    fill("saved")
    earlier_backups(list(SITE.values()), (1, 2, 3))


def before_restored_configuration() -> None:
    fill("saved")
    earlier_backups(list(SITE.values()), (1, 2))
    configure("present")


def before_restored_grafana() -> None:
    """Since it was saved two dashboards were deleted, and one was changed."""
    fill("saved")
    draw(dict.fromkeys(BOARDS, "saved"))
    earlier_backups([*SMALL[:2], save_grafana, partial(commit, [FILES, GRAFANA])], (1, 2))
    draw({BOARDS[0]: "changed", BOARDS[1]: "saved"})


def before_generation() -> None:
    """As many generations as are kept."""
    before_restore()
    earlier_backups([take_generation], (1, 2, 3))


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
    "backup": Operation(before_backup, BACKUP, list(BACKUP.values()), 1, 4, sources=SOURCES, makes=Area(ROOT)),
    "site": Operation(before_site, SITE, list(SITE.values()), 1, 4, sources=SITE_SOURCES, makes=Area(ROOT)),
    "generation": Operation(
        before_generation, {"generation": take_generation}, [take_generation], 0, 4, makes=GENERATIONS
    ),
    "restore": Operation(before_restore, RESTORE, list(RESTORE.values()), begin=2, day=4),
    "configuration": Operation(
        before_restored_configuration, RESTORE_NET, list(RESTORE_NET.values()), 2, 4, source=NET, target=TREES[NET]
    ),
    "grafana": Operation(
        before_restored_grafana, RESTORE_GRAFANA, list(RESTORE_GRAFANA.values()), 1, 4, sources=[FILES, GRAFANA]
    ),
    "undo": Operation(before_restore, UNDO, list(RESTORE.values()), begin=2, day=4),
    "prune": Operation(before_prune, {"prune": prune}, [prune], begin=0, day=8),
    "probe": Operation(
        before_restore, {"probe": probe_network}, [open_set, partial(abort, area="sets"), probe_network], begin=2, day=4
    ),
}
