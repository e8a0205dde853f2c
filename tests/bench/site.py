# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's backup against `rsync -a`, with and without the sums that make a copy trustworthy."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import Row
from tests.lab import Host, Lab
from tests.lab.machine import wait_until
from tests.lab.play import play, reports

VOLUME = "app_files_data"
ROUNDS = 3
# A gigabyte and more: few large files, many of one megabyte, thousands of small ones.
FILL = """
import os, pathlib, sys
for folder, count, size in (("large", 2, 256 << 20), ("middle", 700, 1 << 20), ("small", 5000, 4 << 10)):
    directory = pathlib.Path(sys.argv[1], folder)
    directory.mkdir()
    for number in range(count):
        (directory / str(number)).write_bytes(os.urandom(size))
"""
# What an operator would type: the same snapshot and volumes, copied; with "sums", verifiable afterwards as our sets are.
BY_HAND = """
import subprocess, sys, time
kind, previous, target = sys.argv[1:4]
volumes = "/var/lib/containers/storage/volumes"
link = f"--link-dest={previous}/" if previous else ""
script = f'''
set -euo pipefail
name=$(curl --silent --fail -X POST http://127.0.0.1:9090/api/v1/admin/tsdb/snapshot | python3 -c "import json, sys; print(json.load(sys.stdin)['data']['name'])")
mkdir -p {target}/prometheus {target}/app_notes_data {target}/app_files_data
rsync -a {link and link + "prometheus"} "{volumes}/prometheus_data/_data/snapshots/$name/" {target}/prometheus/
rm -r "{volumes}/prometheus_data/_data/snapshots/$name"
for volume in app_notes_data app_files_data; do
    rsync -a {link and link + "$volume"} "{volumes}/$volume/_data/" "{target}/$volume/"
done
if [ {kind} = sums ]; then
    cd {target}
    find . -type f ! -name SHA256SUMS -print0 | sort --zero-terminated | xargs --null sha256sum > SHA256SUMS
fi
sync
'''
began = time.monotonic()
subprocess.run(["bash", "-c", script], check=True)
print(time.monotonic() - began)
"""


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
    for _ in range(ROUNDS + 1):
        host.run(["rm", "-rf", "/backup/flatnet", "/backup/hand"])
        host.run(["mkdir", "/backup/flatnet"])
        host.run(["sync"])
        first.append(back_up(lab, reports_to))
        again.append(back_up(lab, reports_to))
        for name, kind, previous in (
            ("plain", "plain", ""),
            ("sums", "sums", ""),
            ("again", "sums", "/backup/hand/sums"),
        ):
            host.run(["sync"])
            hand[name].append(by_hand(host, kind, previous, f"/backup/hand/{name}"))
    work, promise = median(one.work for one in first[1:]), median(hand["sums"][1:])
    yield Row("site-backup-verified", work, promise, 0.5)
    yield Row("site-backup-copy", work, median(hand["plain"][1:]), 1.3)
    yield Row("site-backup-again", median(one.work for one in again[1:]), median(hand["again"][1:]), 0.5)
    yield Row("site-backup-playbook", median(one.whole for one in first[1:]), promise, 1)
    yield Row("site-pause", max(one.pause for one in first + again), None, 0.5)


def median(values: Iterator[float] | list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def back_up(lab: Lab, reports_to: Path) -> Ours:
    """One backup by the playbook, read from its report."""
    play(lab, "backup", reports_to)
    report = json.loads(reports(reports_to, "backup")[-1].with_name("report.json").read_text("utf-8"))
    (host,) = report["hosts"]
    pauses = [step["numbers"].get("pause_seconds", 0.0) for step in host["steps"]]
    return Ours(sum(step["seconds"] for step in host["steps"]), max(pauses), report["seconds"])


def by_hand(host: Host, kind: str, previous: str, target: str) -> float:
    """The same by hand, in seconds."""
    return float(host.output("python3", "-c", BY_HAND, kind, previous, target))
