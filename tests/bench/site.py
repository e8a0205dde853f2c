# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's backup, verification and restore against the tools that an operator has anyway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import Row
from tests.lab import Host, Lab
from tests.lab.machine import wait_until
from tests.lab.play import play, reports

VOLUME = "app_files_data"
SOURCE = f"volumes/{VOLUME}"
DATA = f"/var/lib/containers/storage/volumes/{VOLUME}/_data"
SETS, HAND, RESTORED = "/backup/flatnet", "/backup/hand", f"{DATA}.hand"
ROUNDS = 3
DAYS = 7
# Three gigabytes as blocks, chunks and small files have them, 100,000 files together; "again" writes one in twenty afresh.
FILL = """
import os, pathlib, random, sys
top, day = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for folder, count, size in (("blocks", 20, 64 << 20), ("chunks", 1700, 1 << 20), ("small", 98280, 0)):
    for number in range(count):
        directory = top / folder / f"{number % 300:03}"
        if not day:
            directory.mkdir(parents=True, exist_ok=True)
        if not day or number % 20 == day:
            with open(directory / str(number), "wb") as file:
                for _part in range(size >> 20):
                    file.write(os.urandom(1 << 20))
                file.write(os.urandom(0 if size else random.randint(1 << 10, 4 << 10)))
"""
BY_HAND = Path(__file__).with_name("by-hand.sh")
# ext4 looks past every inode that was freed in the last minutes: on a disk that is not new, who copies pays for what was removed.
# Without direct I/O, the machine copies each byte into its memory twice, as for no disk that somebody has.
NEW_DISK = """
set -eu
disk=/var/lib/containers/backup.img
if [ -e "$disk" ]; then umount /backup; rm "$disk"; fi
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
for number in $(seq 0 63); do [ -e "/dev/loop$number" ] || mknod "/dev/loop$number" b 7 "$number"; done
truncate --size=40G "$disk"
mkfs.ext4 -q -i 65536 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$disk"
device=$(losetup --find --show --direct-io=on "$disk")
mount "$device" /backup
losetup --detach "$device"  # when it is unmounted
mkdir "$@"
sync
"""


@dataclass(frozen=True)
class Ours:
    """One run of ours, as its report has it: what each step did on the host, and the seconds from first to last."""

    steps: list[dict[str, Any]]
    whole: float

    @property
    def work(self) -> float:
        """The seconds of all steps."""
        return sum(float(step["seconds"]) for step in self.steps)

    @property
    def pause(self) -> float:
        """For how long the application of the great volume rested."""
        return next(float(step["numbers"]["pause_seconds"]) for step in self.steps if step["step"] == SOURCE)

    def first(self, module: str) -> float:
        """The seconds of the first step by this module."""
        return next(float(step["seconds"]) for step in self.steps if step["module"] == module)


def measure(lab: Lab, reports_to: Path) -> Iterator[Row]:
    """Every row, each side in turn, the first round for warming up."""
    site = Site(lab.new_host("wsl1"), reports_to)
    play(lab, "setup", reports_to)
    wait_until("A first scrape", site.scraped, 30)
    site.fill(0)
    rounds = [site.round() for _round in range(ROUNDS + 1)][1:]
    seconds = {kind: median([each[kind] for each in rounds]) for kind in rounds[0]}
    yield Row("site-backup-verified", seconds["first"], seconds["sums by hand"], 0.5)
    yield Row("site-backup-copy", seconds["first"], seconds["plain by hand"], 1.3)
    yield Row("site-backup-restic", seconds["first"], seconds["restic by hand"], 0.7)
    yield Row("site-backup-again", seconds["again"], seconds["again by hand"], 2)
    yield Row("site-backup-playbook", seconds["playbook"], seconds["sums by hand"], 1)
    yield Row("site-verify", seconds["verify"], seconds["verify by hand"], 0.5)
    yield Row("site-restore", *site.restored(), 0.5)
    yield Row("site-pause", max(each["pause"] for each in rounds), None, 0.5)
    yield Row("site-space-seven-days", *site.space(), 1.4)


@dataclass(frozen=True)
class Site:
    """A site with much to lose."""

    host: Host
    reports_to: Path

    def scraped(self) -> bool:
        """Prometheus has something to save."""
        return bool(self.host.get("prometheus", "/api/v1/query", query="up")["data"]["result"])

    def fill(self, day: int) -> None:
        """Write the files of an application: all of them on day 0, one in twenty on each of the days after it."""
        self.host.run(["python3", "-c", FILL, DATA, str(day)])

    def new_disk(self) -> None:
        """Begin again with no copy of the site."""
        self.host.run(["sh", "-c", NEW_DISK, "sh", SETS, HAND])

    def round(self) -> dict[str, float]:
        """Everything once, in seconds."""
        self.new_disk()
        first = self.ours("backup")
        self.date_back(1)
        by_hand = {
            "plain by hand": self.by_hand("plain", f"{HAND}/plain"),
            "sums by hand": self.by_hand("sums", f"{HAND}/sums"),
            "restic by hand": self.by_hand("restic", f"{HAND}/restic"),
        }
        again = self.ours("backup")
        by_hand["again by hand"] = self.by_hand("plain", f"{HAND}/again", f"{HAND}/plain")
        verified = self.ours("verify")
        by_hand["verify by hand"] = self.by_hand("verify", self.newest())
        return {
            "first": first.work,
            "again": again.work,
            "playbook": first.whole,
            "pause": max(first.pause, again.pause),
            "verify": verified.work,
            **by_hand,
        }

    def restored(self) -> tuple[float, float]:
        """The seconds of a restore, and of the same by hand; only once, as it frees what the volume had."""
        by_hand = self.by_hand("restore", self.newest(), SOURCE, RESTORED)
        restored = self.ours("restore", flatnet_restore_sources=[SOURCE])
        return restored.first("tree_restore"), by_hand

    def space(self) -> tuple[float, float]:
        """The bytes of the sets of seven days, and of the first of them alone."""
        self.new_disk()
        sizes = []
        for day in range(DAYS):
            if day:
                self.fill(day)
            self.ours("backup")
            self.date_back(DAYS - day)
            sizes.append(float(self.host.output("du", "--summarize", "--block-size=1", SETS).split()[0]))
        return sizes[-1], sizes[0]

    def date_back(self, days: int) -> None:
        """Let the newest set be so many days old: retention keeps one of each day."""
        newest = self.newest()
        made = datetime.strptime(newest.rpartition("/")[2], "%Y%m%dT%H%M%S%z") - timedelta(days=days)
        self.host.run(["mv", newest, f"{SETS}/{made:%Y%m%dT%H%M%SZ}"])

    def newest(self) -> str:
        """Where the newest set lies."""
        return f"{SETS}/" + [name for name in self.host.output("ls", SETS).split() if name.endswith("Z")][-1]

    def settle(self) -> None:
        """Let the disks come to rest, with nothing of what they hold in memory, as after a day: who goes first warms nothing."""
        self.host.run(["sh", "-c", "sync && echo 3 > /proc/sys/vm/drop_caches"])

    def ours(self, playbook: str, **variables: object) -> Ours:
        """One run of a playbook, read from its report."""
        self.settle()
        play(self.host.lab, playbook, self.reports_to, **variables)
        report = json.loads(reports(self.reports_to, playbook)[-1].with_name("report.json").read_text("utf-8"))
        (host,) = report["hosts"]
        return Ours(host["steps"], report["seconds"])

    def by_hand(self, *arguments: str) -> float:
        """The same by hand, in seconds."""
        self.settle()
        done = self.host.run(["bash", "-s", "--", *arguments], input=BY_HAND.read_bytes())
        began, ended = map(float, done.stdout.split())
        return ended - began
