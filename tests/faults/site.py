# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of backup, verify and restore on the WSL2 host."""

from __future__ import annotations

import json
import re
from functools import partial

from tests.faults import Fault, Faults, Found
from tests.faults.world import BACKUP, LEASE_SECONDS, NEW, SOURCE, VOLUME, YESTERDAY, Look, World
from tests.lab.host import ADMIN_API, COMPOSE
from tests.lab.play import Ended

FAULTS = Faults()
FAILED = 2
BACKUP_TASKS = {
    "opening": "Open a set",
    "prometheus": "Save Prometheus",
    "volume": "Save a volume",
    "commit": "Complete the set",
    "prune": "Remove the sets whose days are over",
}
RESTORE_TASKS = {
    "verify": "Read the whole set and compare it with what it says about itself",
    "stage": "Stage each source beside its target, and verify the copy",
    "swap": "Swap each source in",
    "ready": "Start what did not run, and wait until the stack is ready on the restored data",
    "probe": "Ask the applications what they were asked when the set was made",
    "confirm": "Keep what was there before",
    "commit": "Complete the set of what was replaced",
}


def refused(world: World, ended: Ended, error: str, *words: str) -> Found:
    """A run that had to be refused: it names the fault, and nothing of the site is other than it was."""
    look = world.look()
    named = f'"error": "{error}"' in ended.output and all(word in ended.error for word in words)
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and untouched(look))


def untouched(look: Look) -> bool:
    """Both earlier sets are whole, and nothing else is there."""
    return (len(look.sets), look.replaced, look.broken, look.left) == (2, [], (), ())


def verdict(ended: Ended) -> str:
    """The sentence with which a run ended well."""
    found = re.findall(r'"msg": "((?:GOOD|WARNING|FAILED): .*)"', ended.output)
    return found[-1] if found else ended.error


def went_on(ended: Ended, look: Look, replaced: int = 0) -> bool:
    """The run after a dead one ended well, both good sets of two days are whole, and nothing is left behind."""
    return (ended.code, len(look.sets), len(look.replaced), look.broken, look.left) == (0, 2, replaced, (), ())


def kill_backup(task: str, world: World) -> Found:
    """The controller dies as a task of a backup begins; the next backup follows."""
    with world.started("backup", flatnet_backup_lease_seconds=LEASE_SECONDS) as running:
        running.wait_for(f" : {task}]")
        running.kill()
    ended = world.play_next("backup")
    look = world.look()
    return Found(None, verdict(ended), str(look), went_on(ended, look))


def kill_restore(task: str, world: World) -> Found:
    """The controller dies as a task of a restore begins; the same restore follows. Whatever was written is kept."""
    world.host.write(f"{world.data}/new", NEW.encode())
    given = {"flatnet_restore_lease_seconds": LEASE_SECONDS, "flatnet_restore_sources": [SOURCE, "prometheus"]}
    with world.started("restore", **given) as running:
        running.wait_for(f" : {task}]")
        running.kill()
    world.host.write(f"{world.data}/later", NEW.encode())
    ended = world.play_next("restore", **given)
    look = world.look()
    kept = world.keeps("new") and world.keeps("later")
    restored = world.reads(f"{world.data}/new") is None
    return Found(None, verdict(ended), str(look), kept and restored and went_on(ended, look, len(look.replaced)))


for name, task in BACKUP_TASKS.items():
    FAULTS.append(
        Fault(
            f"site-kill-backup-{name}",
            f"kill -9 of the controller at '{task}', then a backup",
            partial(kill_backup, task),
        )
    )
for name, task in RESTORE_TASKS.items():
    FAULTS.append(
        Fault(
            f"site-kill-restore-{name}",
            f"kill -9 of the controller at '{task}', then the same restore",
            partial(kill_restore, task),
        )
    )


@FAULTS.of("site-two-backups", "a second backup while one is at work")
def two_backups(world: World) -> Found:
    with world.started("backup") as first:
        first.wait_for(" : Save Prometheus]")
        second = world.play("backup")
        ended = first.end()
    look = world.look()
    holds = second.code == FAILED and "LeaseHeld" in second.output and went_on(ended, look)
    return Found(second.code, second.error, str(look), holds)


@FAULTS.of("site-lease-of-a-dead-run", "a run of this boot died a moment ago, and its lease stands")
def lease_of_a_dead_run(world: World) -> Found:
    world.lease(boot_id=world.host.output("cat", "/proc/sys/kernel/random/boot_id"))
    return refused(world, world.play("backup"), "LeaseHeld", "20260101T000000Z-backup-dead", "run again in")


@FAULTS.of("site-lease-of-another-boot", "the host was rebooted while a run held the lease")
def lease_of_another_boot(world: World) -> Found:
    world.lease(boot_id="00000000-0000-0000-0000-000000000000")
    ended = world.play("backup")
    look = world.look()
    return Found(ended.code, verdict(ended), str(look), went_on(ended, look))


@FAULTS.of("site-flipped-bit", "one bit of one file of the newest set is flipped; verify, then a backup")
def flipped_bit(world: World) -> Found:
    newest = world.look().sets[-1]
    path = f"{BACKUP}/{newest}/{SOURCE}/file 7"
    content = bytearray(world.host.read(path))
    content[1000] ^= 1
    world.host.write(path, bytes(content))
    ended = world.play("verify")
    again = world.play("backup")
    look = world.look()
    named = f"{SOURCE}/file 7 has sha256" in ended.error and again.code == 0
    whole_again = len(look.sets) == 2 and look.sets[-1:] > [*look.broken] == [newest]
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and whole_again)


@FAULTS.of("site-source-missing", "a volume of the inventory does not exist on the host")
def source_missing(world: World) -> Found:
    ended = world.play("backup", flatnet_backup_volumes=[{"name": VOLUME}, {"name": "unheard_of"}])
    return refused(world, ended, "SourceRefused", "volume 'unheard_of'")


@FAULTS.of("site-source-empty", "a volume is empty")
def source_empty(world: World) -> Found:
    world.host.run(["find", world.data, "-mindepth", "1", "-delete"])
    return refused(world, world.play("backup"), "SourceRefused", SOURCE, "is empty")


@FAULTS.of("site-source-shrunk", "a volume has lost 90 % of its files")
def source_shrunk(world: World) -> Found:
    world.host.run(["find", world.data, "-name", "file [1-3]*", "-delete"])
    world.host.run(["find", world.data, "-name", "file [5-9]", "-delete"])
    return refused(world, world.play("backup"), "SourceRefused", SOURCE, "-95 %")


@FAULTS.of("site-source-shrunk-forced", "a volume has lost 90 % of its files, rightly, and is forced")
def source_shrunk_forced(world: World) -> Found:
    world.host.run(["find", world.data, "-name", "file [1-3]*", "-delete"])
    ended = world.play("backup", flatnet_backup_force=[SOURCE])
    look = world.look()
    return Found(ended.code, verdict(ended), str(look), went_on(ended, look))


@FAULTS.of("site-clock-a-day-back", "the host's clock is a day late")
def clock_a_day_back(world: World) -> Found:
    ended = world.play("backup", ansible_python_interpreter=YESTERDAY)
    return refused(world, ended, "ClockBehind", "set-aside")


@FAULTS.of("site-admin-api-off", "Prometheus runs without its admin API")
def admin_api_off(world: World) -> Found:
    compose = world.host.read(COMPOSE)
    try:
        world.recompose(compose.replace(f"      - {ADMIN_API}\n".encode(), b""))
        return refused(world, world.play("backup"), "AdminApiOff", ADMIN_API)
    finally:
        world.recompose(compose)


@FAULTS.of("site-prometheus-down", "the container of Prometheus is stopped")
def prometheus_down(world: World) -> Found:
    world.host.run(["podman", "stop", "flatnet-prometheus"])
    ended = world.play("backup")
    world.host.run(["podman", "start", "flatnet-prometheus"])
    return refused(world, ended, "ServerError", "http://127.0.0.1:9090")


@FAULTS.of("site-disk-full", "the backup disk has less room than a volume needs")
def disk_full(world: World) -> Found:
    small = "/backup/small"
    world.host.small_disk(small, 8)
    world.host.write(f"{world.data}/big", b"\1" * (12 << 20))
    ended = world.play("backup", flatnet_backup_root=small, flatnet_backup_sources=["volumes"])
    left = world.host.output("find", small, "-mindepth", "1", "-not", "-name", ".lease.lock")
    world.host.run(["umount", small])
    found = refused(world, ended, "DiskFull", "bytes free", "needs")
    return Found(
        found.exit, found.message, f"{found.state}; on the full disk: {left or 'nothing'}", found.holds and not left
    )


@FAULTS.of("site-backup-disk-not-mounted", "the backup directory is not there")
def backup_disk_not_mounted(world: World) -> Found:
    return refused(world, world.play("backup", flatnet_backup_root="/backup/unmounted"), "UsageError", "mount it")


@FAULTS.of("site-restore-damaged-set", "the set to restore has a damaged file")
def restore_damaged_set(world: World) -> Found:
    newest = world.look().sets[-1]
    path = f"{BACKUP}/{newest}/{SOURCE}/file 7"
    content = world.host.read(path)
    world.host.write(path, content[:-1])
    ended = world.play("restore")
    again = world.play("backup")
    look = world.look()
    afresh = again.code == 0 and newest not in look.whole and look.sets[-1:] > [newest]
    holds = ended.code == FAILED and f"{SOURCE}/file 7" in ended.error and afresh and look.left == ()
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of(
    "site-damage-and-shrink",
    "a file that all sets share is damaged, and found; then the volume loses 90 % of its files",
)
def damage_and_shrink(world: World) -> Found:
    path = f"{BACKUP}/{world.look().sets[-1]}/{SOURCE}/file 7"
    content = world.host.read(path)
    world.host.write(path, content[:-1])
    found = world.play("verify")
    world.host.write(path, content)
    world.host.run(["find", world.data, "-name", "file [1-3]*", "-delete"])
    world.host.run(["find", world.data, "-name", "file [5-9]", "-delete"])
    result = refused(world, world.play("backup"), "SourceRefused", SOURCE, "-95 %")
    return Found(result.exit, result.message, result.state, result.holds and found.code == FAILED)


@FAULTS.of("site-restore-paused-container", "somebody has paused the application whose data is restored")
def restore_paused_container(world: World) -> Found:
    world.host.run(["podman", "pause", "app-files"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    state = world.host.output("podman", "container", "inspect", "--format", "{{.State.Status}}", "app-files")
    world.host.run(["podman", "unpause", "app-files"])
    found = refused(world, ended, "UsageError", "app-files is neither")
    return Found(found.exit, found.message, found.state, found.holds and state == "paused")


@FAULTS.of("site-restore-application-dies", "an application ends on its restored data")
def restore_application_dies(world: World) -> Found:
    die = "trap 'exit 0' TERM; while sleep 0.2; do if [ -e /srv/new ]; then :; else exit 1; fi; done"
    world.host.write(f"{world.data}/new", NEW.encode())
    create = ["podman", "create", "--name", "app-picky", "--network", "none", "--volume", f"{VOLUME}:/srv"]
    world.host.run([*create, "--entrypoint", json.dumps(["/bin/sh", "-c", die]), "localhost/app-files:1.0"])
    world.host.run(["podman", "start", "app-picky"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    found = refused(world, ended, "NotReady", "app-picky", "everything is as it was before")
    back = world.reads(f"{world.data}/new") == NEW
    world.host.run(["podman", "rm", "--force", "--time", "0", "app-picky"])
    return Found(found.exit, found.message, found.state, found.holds and back)


@FAULTS.of("site-restore-unknown-data-beside", "data of nobody knows whom lies where a restore keeps the old tree")
def restore_unknown_data_beside(world: World) -> Found:
    world.host.run(["mkdir", f"{world.data}.flatnet-old"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    world.host.run(["rmdir", f"{world.data}.flatnet-old"])
    return refused(world, ended, "UsageError", "move it away")


@FAULTS.of("site-no-volumes", "the inventory names no volume")
def no_volumes(world: World) -> Found:
    ended = world.play("backup", flatnet_backup_volumes=[])
    look = world.look()
    named = "flatnet_backup_volumes was expected to name the volumes" in ended.error
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and untouched(look))


@FAULTS.of("site-restore-other-answers", "the restored Prometheus answers other than when the set was made")
def restore_other_answers(world: World) -> Found:
    world.host.write(f"{world.data}/new", NEW.encode())
    manifest = f"{BACKUP}/{world.look().sets[-1]}/manifest.json"
    stored = json.loads(world.host.read(manifest))
    stored["sources"]["prometheus"]["probes"][0]["answer"] = "1"
    world.host.write(manifest, json.dumps(stored).encode())
    world.sign(manifest)
    ended = world.play("restore")
    look = world.look()
    back = world.reads(f"{world.data}/new") == NEW
    holds = ended.code == FAILED and "everything is as it was before" in ended.error and back and untouched(look)
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("site-restore-dead-prometheus", "Prometheus does not start on its data any more; then a restore")
def restore_dead_prometheus(world: World) -> Found:
    data = "/var/lib/containers/storage/volumes/prometheus_data/_data"
    world.host.run(["podman", "stop", "flatnet-prometheus"])
    world.host.run(["sh", "-c", 'rm -rf "$1"/* && mkdir "$1/wal" && chmod 0 "$1" && chown 0:0 "$1"', "sh", data])
    dead = world.host.run(["podman", "start", "--attach", "flatnet-prometheus"], check=False).returncode
    ended = world.play("restore")
    look = world.look()
    return Found(ended.code, verdict(ended), str(look), dead != 0 and went_on(ended, look, replaced=1))


@FAULTS.of(
    "site-restore-unused-volume", "the inventory names a data directory that Prometheus' container does not have"
)
def restore_unused_volume(world: World) -> Found:
    ended = world.play("restore", flatnet_restore_prometheus_path="/var/lib/prometheus")
    look = world.look()
    named = "a mount of container flatnet-prometheus was expected to cover /var/lib/prometheus" in ended.error
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and untouched(look))
