# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of saving and restoring the content of Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.faults import Fault, Faults, Found
from tests.faults.site import FAILED, refused
from tests.faults.world import BACKUP, Look, World
from tests.lab.image.data import GRAFANA_PASSWORD
from tests.lab.machine import wait_until
from tests.lab.play import Ended
from tests.lab.standins.grafana.client import Client, basic

FAULTS = Faults()
CONTAINER = "flatnet-grafana"
CONTROL = "/-/lab"
FOLDER = "boards"
BOARDS = [f"board-{number}" for number in range(12)]
DASHBOARD = "/api/dashboards/uid/"
GRAFANA = {"flatnet_backup_sources": ["grafana"]}
RESTORED = {"flatnet_restore_sources": ["grafana"]}


class Dashboards:
    """The dashboards of the host's Grafana, as somebody makes, changes and loses them."""

    def __init__(self, world: World) -> None:
        """A Grafana with twelve dashboards, and nothing that goes wrong."""
        self._world = world
        self._client = Client(world.host.url("grafana"), basic("admin", GRAFANA_PASSWORD))
        self.recover()
        self._client.ask("DELETE", f"/api/folders/{FOLDER}")
        self._client.send("POST", "/api/folders", {"uid": FOLDER, "title": "Boards"})
        for uid in BOARDS:
            self.save(uid, "as it was saved")

    def save(self, uid: str, description: str) -> None:
        """Make or change one."""
        board = {"uid": uid, "title": uid, "description": description, "schemaVersion": 38, "panels": []}
        self._client.send("POST", "/api/dashboards/db", {"dashboard": board, "folderUid": FOLDER, "overwrite": True})

    def lose(self, *uids: str) -> None:
        """Delete some."""
        for uid in uids:
            self._client.send("DELETE", DASHBOARD + uid)

    def says(self, uid: str) -> str:
        """The description of one."""
        return str(self._client.get(DASHBOARD + uid)["dashboard"]["description"])

    @property
    def there(self) -> list[str]:
        """Which of them there are."""
        return [uid for uid in BOARDS if self._client.ask("GET", DASHBOARD + uid)[0] == 200]

    def suffer(self, **fault: Any) -> None:
        """Let something go wrong with the requests that follow."""
        self.recover()
        self._client.send("PUT", CONTROL, {"faults": [fault]})

    def recover(self) -> None:
        """Let nothing go wrong any more, and forget the requests so far."""
        self._client.send("DELETE", CONTROL)

    def written(self) -> int:
        """How many requests have written a dashboard, or have tried to."""
        asked: list[list[str]] = self._client.get(CONTROL)
        return asked.count(["POST", "/api/dashboards/db"])

    def ready(self) -> None:
        """Wait until it answers again."""
        wait_until("Grafana", partial(self._world.host.ready, "grafana"), 60)
        self._client.close()


def saved(world: World) -> Ended:
    """A backup of Grafana's content."""
    return world.play("backup", **GRAFANA)


def in_order(look: Look) -> bool:
    """The set of the dashboards is there beside both earlier ones, all are whole, and nothing is left behind."""
    return (len(look.sets), look.broken, look.left) == (3, (), ())


def suffering(world: World, error: str, words: str, fault: Mapping[str, Any]) -> Found:
    """A backup of a Grafana with which something goes wrong."""
    dashboards = Dashboards(world)
    dashboards.suffer(**fault)
    ended = saved(world)
    dashboards.recover()
    return refused(world, ended, error, words)


SUFFERED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "login-page": (
        "a proxy in front of Grafana answers every request with its login page",
        "NotGrafana",
        "a page to log in at",
        {"status": 200, "body": "<!DOCTYPE html><title>Log in</title>", "content_type": "text/html"},
    ),
    "half-an-answer": (
        "the connection to Grafana ends in the middle of an answer",
        "AnswerCut",
        "/api/search",
        {"path": "^/api/search", "cut": True},
    ),
    "unreadable-dashboard": (
        "Grafana lists a dashboard that it cannot read, the seventh of twelve",
        "ReadingIncomplete",
        "database is locked",
        {"path": DASHBOARD, "after": 6, "times": 1, "status": 500, "body": '{"message": "database is locked"}'},
    ),
}
for name, (what, error, words, fault) in SUFFERED.items():
    FAULTS.append(
        Fault(f"grafana-{name}", f"{what}; a backup", partial(suffering, error=error, words=words, fault=fault))
    )


@FAULTS.of("grafana-down", "the container of Grafana is stopped; a backup")
def down(world: World) -> Found:
    world.host.run(["podman", "stop", CONTAINER])
    ended = saved(world)
    world.host.run(["podman", "start", CONTAINER])
    wait_until("Grafana", partial(world.host.ready, "grafana"), 60)
    return refused(world, ended, "NoAnswer", "http://127.0.0.1:3000")


@FAULTS.of("grafana-token-gone", "somebody has deleted the token in the inventory; a backup")
def token_gone(world: World) -> Found:
    ended = world.play("backup", **GRAFANA, flatnet_backup_grafana={"token": "glsa_gone"})
    return refused(world, ended, "CredentialsRefused", "check the token")


@FAULTS.of("grafana-shrunk", "somebody has deleted nine of twelve dashboards since the last backup; a backup")
def shrunk(world: World) -> Found:
    dashboards = Dashboards(world)
    first = saved(world)
    dashboards.lose(*BOARDS[:9])
    ended = saved(world)
    look = world.look()
    named = '"error": "SourceRefused"' in ended.output and "went from 33 to 15" in ended.error
    return Found(
        ended.code, ended.error, str(look), (first.code, ended.code) == (0, FAILED) and named and in_order(look)
    )


@FAULTS.of("grafana-disk-full", "the backup disk has less room than the content of Grafana needs; a backup")
def disk_full(world: World) -> Found:
    small = "/backup/small"
    dashboards = Dashboards(world)
    dashboards.save(BOARDS[0], "x" * (3 << 20))
    world.host.small_disk(small, 2)
    ended = world.play("backup", **GRAFANA, flatnet_backup_root=small)
    left = world.host.output("find", small, "-mindepth", "1", "-not", "-name", ".lease.lock")
    world.host.run(["umount", small])
    found = refused(world, ended, "DiskFull", small)
    state = f"{found.state}; on the full disk: {left or 'nothing'}"
    return Found(found.exit, found.message, state, found.holds and not left)


@FAULTS.of("grafana-damaged-set", "the file of a dashboard in the set is damaged; then a restore of what was deleted")
def damaged_set(world: World) -> Found:
    dashboards = Dashboards(world)
    first = saved(world)
    newest = world.look().sets[-1]
    path = world.host.output("find", f"{BACKUP}/{newest}/grafana/dashboards", "-name", f"*{BOARDS[7]}.json")
    world.host.write(path, world.host.read(path)[:-2])
    dashboards.lose(BOARDS[3])
    ended = world.play("restore", **RESTORED)
    look = world.look()
    there = dashboards.there
    named = f"{BOARDS[7]}.json" in ended.error and there == [uid for uid in BOARDS if uid != BOARDS[3]]
    holds = (first.code, ended.code, [*look.broken], look.left) == (0, FAILED, [newest], ()) and named
    return Found(ended.code, ended.error, f"{look}; {len(there)} of {len(BOARDS)} dashboards are there", holds)


@FAULTS.of("grafana-newer", "somebody has changed a dashboard since the backup; a restore that is to refuse that")
def newer(world: World) -> Found:
    dashboards = Dashboards(world)
    first = saved(world)
    dashboards.lose(BOARDS[3])
    dashboards.save(BOARDS[4], "newer")
    ended = world.play("restore", **RESTORED, flatnet_restore_grafana_existing="refuse")
    says = dashboards.says(BOARDS[4])
    kept = says == "newer" and BOARDS[3] not in dashboards.there
    look = world.look()
    named = '"error": "WouldOverwrite"' in ended.output and BOARDS[4] in ended.error
    holds = (first.code, ended.code) == (0, FAILED) and named and kept and in_order(look)
    return Found(ended.code, ended.error, f"{look}; the dashboard that was changed is the {says} one", holds)


@FAULTS.of("grafana-restarts", "somebody restarts Grafana while dashboards are put back; then the same restore")
def restarts(world: World) -> Found:
    dashboards = Dashboards(world)
    first = saved(world)
    dashboards.lose(*BOARDS)
    # Some are written, and the restart finds others under way.
    dashboards.suffer(method="POST", path="^/api/dashboards/db", after=4, delay=10)
    with world.started("restore", **RESTORED) as running:
        running.wait_for(" : Put back the objects of the set]")
        wait_until("A dashboard that is under way", lambda: dashboards.written() > 4, 60)
        world.host.run(["podman", "restart", "--time", "0", CONTAINER])
        broken = running.end()
    dashboards.ready()
    written = len(dashboards.there)
    ended = world.play("restore", **RESTORED)
    there = dashboards.there
    look = world.look()
    ends = (first.code, broken.code, ended.code) == (0, FAILED, 0)
    holds = ends and in_order(look) and 0 < written < len(BOARDS) and there == BOARDS
    state = (
        f"{look}; {written} of {len(BOARDS)} dashboards were back after the first run, {len(there)} after the second"
    )
    return Found(broken.code, broken.error, state, holds)
