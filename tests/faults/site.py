# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of backup, verify and restore on the WSL2 host."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from functools import partial

from tests.faults import Fault, Faults, Found
from tests.faults.world import BACKUP, LEASE_SECONDS, NEW, SOURCE, VOLUME, YESTERDAY, Look, World
from tests.lab.host import ADMIN_API, COMPOSE
from tests.lab.machine import wait_until
from tests.lab.play import Ended

FAULTS = Faults()
LOKI = "/var/lib/containers/storage/volumes/loki_data/_data"
FAILED = 2
LATE = 10
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


@FAULTS.of("site-source-missing", "a rule of the inventory is about a volume that does not exist")
def source_missing(world: World) -> Found:
    ended = world.play("backup", flatnet_backup_volumes=[{"name": "unheard_of"}])
    return refused(world, ended, "UsageError", "unheard_of")


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
    # The good set of the day stays beside the one that was forced.
    holds = (ended.code, len(look.sets), look.broken, look.left) == (0, 3, (), ())
    return Found(ended.code, verdict(ended), str(look), holds)


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
    return refused(world, ended, "NoAnswer", "http://127.0.0.1:9090")


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
    with world.container("app-picky", "--volume", f"{VOLUME}:/srv", command=die):
        ended = world.play("restore", flatnet_restore_sources=[SOURCE])
        found = refused(world, ended, "NotReady", "app-picky", "everything is as it was before")
        back = world.reads(f"{world.data}/new") == NEW
    return Found(found.exit, found.message, found.state, found.holds and back)


@FAULTS.of("site-restore-unknown-data-beside", "data of nobody knows whom lies where a restore keeps the old tree")
def restore_unknown_data_beside(world: World) -> Found:
    world.host.run(["mkdir", f"{world.data}.flatnet-old"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    world.host.run(["rmdir", f"{world.data}.flatnet-old"])
    return refused(world, ended, "UsageError", "move it away")


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
    ended = world.play(
        "restore",
        flatnet_restore_targets={"prometheus": {"container": "flatnet-prometheus", "path": "/var/lib/prometheus"}},
    )
    look = world.look()
    named = "a mount of container flatnet-prometheus was expected to cover /var/lib/prometheus" in ended.error
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and untouched(look))


@FAULTS.of("site-gateway-not-mounted", "the Windows drive with the gateway's configuration is not mounted")
def gateway_not_mounted(world: World) -> Found:
    ended = world.play("backup", flatnet_backup_sources=["gateway"], flatnet_backup_gateway_dir="/mnt/d/openresty/conf")
    return refused(world, ended, "SourceRefused", "/mnt/d/openresty/conf", "mount it")


@FAULTS.of("site-uncovered-mount", "a container mounts a directory that no rule covers")
def uncovered_mount(world: World) -> Found:
    world.host.run(["mkdir", "-p", "/var/spool/odd"])
    with world.container("app-odd", "--volume", "/var/spool/odd:/srv"):
        ended = world.play("backup")
        look = world.look()
    named = verdict(ended).startswith("WARNING") and "nothing saves /var/spool/odd of app-odd" in verdict(ended)
    return Found(ended.code, verdict(ended), str(look), named and went_on(ended, look))


@FAULTS.of("site-volume-removed", "an application and its volume, which the last set has, were removed")
def volume_removed(world: World) -> Found:
    with world.container("app-gone", "--volume", "gone_data:/srv"):
        world.host.run(["podman", "exec", "app-gone", "touch", "/srv/file"])
        first = world.play("backup")
    world.host.run(["podman", "volume", "rm", "gone_data"])
    ended = world.play("backup")
    look = world.look()
    named = '"error": "SourceRefused"' in ended.output and "volumes/gone_data" in ended.error
    holds = first.code == 0 and ended.code == FAILED and named and (look.broken, look.left) == ((), ())
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("site-volume-vanishes", "an application and its volume are removed while a backup is at work")
def volume_vanishes(world: World) -> Found:
    with world.container("app-gone", "--volume", "a_gone_data:/srv"):
        world.host.run(["podman", "exec", "app-gone", "touch", "/srv/file"])
        with world.started("backup") as running:
            running.wait_for(" : Save Prometheus]")
            world.host.run(["podman", "rm", "--force", "--time", "0", "app-gone"])
            world.host.run(["podman", "volume", "rm", "a_gone_data"])
            ended = running.end()
    return refused(world, ended, "SourceRefused", "volume a_gone_data was expected")


@FAULTS.of("site-volume-appears", "an application with a volume is made while a backup is at work; then a backup")
def volume_appears(world: World) -> Found:
    with world.started("backup") as running:
        running.wait_for(" : Save Prometheus]")
        with world.container("app-new", "--volume", "new_data:/srv"):
            world.host.run(["podman", "exec", "app-new", "touch", "/srv/file"])
            first = running.end()
            ended = world.play("backup")
            look = world.look()
    world.host.run(["podman", "volume", "rm", "new_data"])
    saved = world.reads(f"{BACKUP}/{look.sets[-1]}/volumes/new_data/file") == ""
    return Found(ended.code, verdict(ended), str(look), first.code == 0 and saved and went_on(ended, look))


# The kernel's own word on a container that is paused comes at once; to ask Podman takes as long as a copy does.
MEDDLE = """
id=$(podman container inspect --format '{{{{.Id}}}}' {container})
states=$(find /sys/fs/cgroup -path "*$id/*" '(' -name freezer.state -o -name cgroup.freeze ')')
(until grep -qsx -e FROZEN -e 1 $states; do :; done; {command} {container}) >/dev/null 2>&1 &
"""


def meddled(world: World, container: str, command: str) -> Ended:
    """A backup while which somebody does something to a container as soon as it is paused."""
    script = "/run/meddle"
    world.host.write(script, MEDDLE.format(container=container, command=command).encode())
    rule = {"name": VOLUME, "before": {"command": ["sh", script]}}
    with ExitStack() as others:
        # Containers are paused one after the other: these, by name the last, leave time to meddle with the first.
        for number in range(LATE):
            others.enter_context(world.container(f"app-late-{number}", "--volume", f"{VOLUME}:/srv"))
        return world.play("backup", flatnet_backup_volumes=[rule])


@FAULTS.of("site-container-removed", "somebody removes a container while it is paused for its copy")
def container_removed(world: World) -> Found:
    with world.container("app-gone", "--volume", f"{VOLUME}:/srv"):
        ended = meddled(world, "app-gone", "podman rm --force --time 0")
    return refused(world, ended, "QuiesceLost", "app-gone was expected to stay paused", "removed")


@FAULTS.of("site-container-taken-up", "somebody takes a container up again as soon as it is paused for its copy")
def container_taken_up(world: World) -> Found:
    return refused(world, meddled(world, "app-files", "podman unpause"), "QuiesceLost", "app-files", "is running")


@FAULTS.of("site-command-before-fails", "the command that makes a database's dump fails")
def command_before_fails(world: World) -> Found:
    rule = {
        "name": VOLUME,
        "before": {"command": ["sh", "-c", "echo the database is locked >&2; exit 3"]},
        "after": {"command": ["touch", f"{world.data}/after"]},
    }
    ended = world.play("backup", flatnet_backup_volumes=[rule])
    found = refused(world, ended, "CommandFailed", "the database is locked")
    return Found(found.exit, found.message, found.state, found.holds and world.reads(f"{world.data}/after") == "")


@FAULTS.of(
    "site-names-with-newlines",
    "a volume has names with line feeds, blanks and bytes that are no text; backup, loss, restore",
)
def names_with_newlines(world: World) -> Found:
    make = r"""cd "$1"; for n in "$(printf 'two\nlines')" ' blank ' -dash "$(printf 'latin1-\351')" '東京'; do echo "$n" > "./$n"; done"""
    count = r"""cd "$1"; for n in "$(printf 'two\nlines')" ' blank ' -dash "$(printf 'latin1-\351')" '東京'; do [ "$(cat "./$n")" = "$n" ]; done"""
    world.host.run(["sh", "-euc", make, "sh", world.data])
    first = world.play("backup")
    world.host.run(["find", world.data, "-mindepth", "1", "-delete"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    look = world.look()
    back = world.host.run(["sh", "-euc", count, "sh", world.data], check=False).returncode == 0
    return Found(ended.code, verdict(ended), str(look), first.code == 0 and back and went_on(ended, look, replaced=1))


HOSTILE = {
    "path": ("a name with '..'", 's#"path": "file 7"#"path": "../../file 7"#', "leads out of the source"),
    "absolute": ("an absolute name", 's#"path": "file 7"#"path": "/etc/file 7"#', "leads out of the source"),
}


def hostile_listing(change: str, words: str, world: World) -> Found:
    """Somebody has made a set whose listing leads elsewhere, with sums that agree; then a restore."""
    newest = world.look().sets[-1]
    listing = f"{BACKUP}/{newest}/listings/{SOURCE}.jsonl"
    world.host.run(["sed", "-i", change, listing])
    script = r'cd "$1"; sum=$(sha256sum "$2"); sed -i "s#^[0-9a-f]*  $2\$#$sum#" SHA256SUMS'
    world.host.run(["sh", "-euc", script, "sh", f"{BACKUP}/{newest}", f"listings/{SOURCE}.jsonl"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    look = world.look()
    holds = ended.code == FAILED and words in ended.error and (len(look.sets), look.left) == (2, ())
    return Found(ended.code, ended.error, str(look), holds)


for name, (what, change, words) in HOSTILE.items():
    FAULTS.append(
        Fault(
            f"site-hostile-{name}",
            f"a set with {what} in a listing, with sums that agree; then a restore",
            partial(hostile_listing, change, words),
        )
    )


@FAULTS.of("site-hostile-link", "a set whose source is a symbolic link to /etc; then a restore")
def hostile_link(world: World) -> Found:
    source = f"{BACKUP}/{world.look().sets[-1]}/{SOURCE}"
    world.host.run(["sh", "-euc", 'rm -r "$1"; ln -s /etc "$1"', "sh", source])
    world.host.write(f"{world.data}/new", NEW.encode())
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    look = world.look()
    same = world.reads(f"{world.data}/new") == NEW
    holds = ended.code == FAILED and SOURCE in ended.error and same and look.left == ()
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("site-hostile-device", "a set with a device file, that its listing knows; then a restore")
def hostile_device(world: World) -> Found:
    world.host.run(["mknod", f"{world.data}/disk", "b", "7", "0"])
    first = world.play("backup")
    world.host.run(["rm", f"{world.data}/disk"])
    ended = world.play("restore", flatnet_restore_sources=[SOURCE])
    look = world.look()
    named = "disk is a block device" in ended.error and "everything is as it was before" in ended.error
    holds = first.code == 0 and ended.code == FAILED and named and (look.broken, look.left) == ((), ())
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("site-hostile-setuid", "a set of the stack's folder with a set-user-ID program; then a restore")
def hostile_setuid(world: World) -> Found:
    program = "/opt/flatnet/monitoring/tool"
    world.host.write(program, b"#!/bin/sh\n", 0o4755)
    first = world.play("backup", flatnet_backup_sources=["stack"])
    world.host.run(["rm", program])
    ended = world.play("restore", flatnet_restore_sources=["stack"])
    look = world.look()
    named = "tool is a set-user-ID or set-group-ID program" in ended.error
    gone = world.reads(program) is None
    holds = first.code == 0 and ended.code == FAILED and named and gone and (look.broken, look.left) == ((), ())
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("site-restore-broken-cni", "a generation of CNI whose plugin does not work is restored")
def restore_broken_cni(world: World) -> Found:
    plugin = "/opt/cni/bin/flatnet-cni"
    works = world.host.read(plugin)
    first = world.play("backup", flatnet_backup_sources=["cni"])
    world.host.write(plugin, works.replace(b"set -eu", b"exit 1 "), 0o755)
    broken = world.play("backup", flatnet_backup_sources=["cni"])
    world.host.write(plugin, works, 0o755)
    newest = world.host.output("sh", "-c", f"ls {BACKUP}/generations/cni | tail -n 1")
    ended = world.play("restore", flatnet_restore_area="generations/cni", flatnet_restore_id=newest)
    look = world.look()
    named = "was expected to join network flatnet" in ended.error and "everything is as it was before" in ended.error
    holds = (first.code, broken.code, ended.code) == (0, 0, FAILED) and named and world.host.read(plugin) == works
    return Found(ended.code, ended.error, str(look), holds and (look.broken, look.left) == ((), ()))


@FAULTS.of(
    "site-set-from-the-future",
    "the newest set is dated in the future; it is set aside as the message says, then a backup",
)
def set_from_the_future(world: World) -> Found:
    world.host.run(["cp", "-a", f"{BACKUP}/{world.look().sets[-1]}", f"{BACKUP}/20991231T000000Z"])
    first = world.play("backup")
    (way_out,) = re.findall(r"'(mv [^']+ [^']+\.set-aside)'", first.error)[:1]
    world.host.run(way_out.split())
    ended = world.play("backup")
    look = world.look()
    world.host.run(["rm", "-r", f"{BACKUP}/20991231T000000Z.set-aside"])
    holds = first.code == FAILED and '"error": "ClockBehind"' in first.output and went_on(ended, look)
    return Found(first.code, first.error, str(look), holds)


def down(container: str, source: str, url: str, world: World) -> Found:
    """An application that is asked about its data is stopped."""
    world.host.run(["podman", "stop", container])
    ended = world.play("backup", flatnet_backup_sources=[source])
    world.host.run(["podman", "start", container])
    return refused(world, ended, "NoAnswer", url)


FAULTS.append(
    Fault(
        "site-loki-down",
        "the container of Loki is stopped",
        partial(down, "flatnet-loki", "loki", "http://127.0.0.1:3100"),
    )
)
FAULTS.append(
    Fault(
        "site-alertmanager-down",
        "the container of Alertmanager is stopped",
        partial(down, "flatnet-alertmanager", "alertmanager", "http://127.0.0.1:9093"),
    )
)


@FAULTS.of("site-loki-restarts", "somebody restarts Loki while it is copied; then a backup")
def loki_restarts(world: World) -> Found:
    world.host.write(f"{LOKI}/big", b"\1" * (64 << 20))
    world.host.run(["chown", "10001:10001", f"{LOKI}/big"])
    with world.started("backup", flatnet_backup_sources=["loki"]) as running:
        running.wait_for(" : Save Loki]")
        world.host.run(["podman", "restart", "--time", "1", "flatnet-loki"])
        first = running.end()
    wait_until("Loki", partial(world.host.ready, "loki"), 60)
    ended = world.play("backup", flatnet_backup_sources=["loki"])
    world.host.run(["rm", f"{LOKI}/big"])
    look = world.look()
    told = first.code == 0 or '"error": "' in first.output
    holds = told and ended.code == 0 and len(look.sets) > 2 and (look.broken, look.left) == ((), ())
    return Found(first.code, first.error if first.code else verdict(first), str(look), holds)


@FAULTS.of(
    "site-loki-other-schema", "Loki runs with another schema than the set's lines were written with; then a restore"
)
def loki_other_schema(world: World) -> Found:
    config = "/opt/flatnet/monitoring/loki.yml"
    schema = world.host.read(config)
    first = world.play("backup", flatnet_backup_sources=["loki"])
    world.host.write(config, schema.replace(b"schema: v13", b"schema: v12"))
    world.host.run(["podman", "restart", "flatnet-loki"])
    ended = world.play("restore", flatnet_restore_sources=["loki"])
    world.host.write(config, schema)
    world.host.run(["podman", "restart", "flatnet-loki"])
    look = world.look()
    named = "was expected to run with the schema" in ended.error and "everything is as it was before" in ended.error
    holds = (first.code, ended.code) == (0, FAILED) and named and (look.broken, look.left) == ((), ())
    return Found(ended.code, ended.error, str(look), holds)
