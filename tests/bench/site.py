# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's backup against `rsync -a`, with and without the sums that make a copy trustworthy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import Row
from tests.lab import Host, Lab
from tests.lab.machine import wait_until
from tests.lab.play import play, reports

VOLUME = "app_files_data"
ROUNDS = 3
# Three gigabytes: few large files, many of one megabyte, thousands of small ones.
FILL = """
import os, pathlib, sys
for folder, count, size in (("large", 5, 256 << 20), ("middle", 1700, 1 << 20), ("small", 5000, 4 << 10)):
    directory = pathlib.Path(sys.argv[1], folder)
    directory.mkdir()
    for number in range(count):
        (directory / str(number)).write_bytes(os.urandom(size))
"""
BY_HAND = Path(__file__).with_name("by-hand.sh")


@dataclass(frozen=True)
class Ours:
    """One backup of ours, as its report has it: seconds of work on the host, the longest pause, from first step to last."""

    work: float
    pause: float
    whole: float


def measure(lab: Lab, reports_to: Path) -> Iterator[Row]:
    """Every row, each side in turn, the first round for warming up."""
    host = lab.new_host("wsl1", seed="empty")
    host.run(["python3", "-c", FILL, str(Path("/var/lib/containers/storage/volumes", VOLUME, "_data"))])
    play(lab, "setup", reports_to)
    wait_until(
        "A first scrape", lambda: bool(host.get("prometheus", "/api/v1/query", query="up")["data"]["result"]), 30
    )
    first: list[Ours] = []
    again: list[Ours] = []
    hand: dict[str, list[float]] = {"plain": [], "sums": [], "again": []}
    for _round in range(ROUNDS + 1):
        host.run(["rm", "-rf", "/backup/flatnet", "/backup/hand"])
        host.run(["mkdir", "/backup/flatnet"])
        first.append(back_up(lab, reports_to))
        again.append(back_up(lab, reports_to))
        hand["plain"].append(by_hand(host, "plain", "/backup/hand/plain"))
        hand["sums"].append(by_hand(host, "sums", "/backup/hand/sums"))
        hand["again"].append(by_hand(host, "sums", "/backup/hand/again", "/backup/hand/sums"))
    work, promise = median([one.work for one in first[1:]]), median(hand["sums"][1:])
    yield Row("site-backup-verified", work, promise, 0.5)
    yield Row("site-backup-copy", work, median(hand["plain"][1:]), 1.3)
    yield Row("site-backup-again", median([one.work for one in again[1:]]), median(hand["again"][1:]), 0.5)
    yield Row("site-backup-playbook", median([one.whole for one in first[1:]]), promise, 1)
    yield Row("site-pause", max(one.pause for one in first + again), None, 0.5)


def back_up(lab: Lab, reports_to: Path) -> Ours:
    """One backup by the playbook, read from its report."""
    lab.host("wsl1").run(["sync"])
    play(lab, "backup", reports_to)
    report = json.loads(reports(reports_to, "backup")[-1].with_name("report.json").read_text("utf-8"))
    (host,) = report["hosts"]
    pauses = [step["numbers"].get("pause_seconds", 0.0) for step in host["steps"]]
    return Ours(sum(step["seconds"] for step in host["steps"]), max(pauses), report["seconds"])


def by_hand(host: Host, *arguments: str) -> float:
    """The same by hand, in seconds."""
    host.run(["sync"])
    done = host.run(["bash", "-s", "--", *arguments], input=BY_HAND.read_bytes())
    began, ended = map(float, done.stdout.split())
    return ended - began
