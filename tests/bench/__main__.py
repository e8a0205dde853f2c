# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make bench [ONLY=site]`: measure, and write docs/benchmarks.json and docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from tests.bench.site import measure
from tests.docs.published import publish
from tests.lab import Lab
from tests.lab.play import OUTPUT

PARTS = {"site": measure}
HEADING = """# Benchmarks

What `make bench` has measured: seconds of ours and of the same promise by other means, side by side in one run, the median of three rounds.
[benchmarks.json](benchmarks.json) holds the same for tools; [the format](formats/benchmarks.md) says what the columns mean.

| id | ours | peer |
|---|---|---|
| `site-backup-verified` | the work on the host of a first backup, 3 GB: snapshot, copy, sums, metadata, sync | the same by `rsync -a`, `sha256sum`, `sync` |
| `site-backup-copy` | the same | `rsync -a`, `sync`: no sums, nothing to verify a copy by |
| `site-backup-again` | a second backup, hardly anything changed | `rsync -a --link-dest`, `sha256sum`, `sync` |
| `site-backup-playbook` | the whole playbook for a first backup, Ansible's own time included | as for `site-backup-verified` |
| `site-pause` | the longest pause of an application in any round | |"""


def machine() -> str:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.freedesktop_os_release()['PRETTY_NAME']}"


def main(prefix: str = "") -> int:
    """Measure the parts whose name, or row, begins with the prefix.

    :return: 1 if a target was missed, 2 if there is no such part
    """
    chosen = {part: measures for part, measures in PARTS.items() if prefix.partition("-")[0] in ("", part)}
    if not chosen:
        print(f"bench: one of {', '.join(PARTS)} was expected, and it is called '{prefix}'")
        return 2
    rows: list[dict[str, str | float | bool | None]] = []
    for part, measures in chosen.items():
        reports = OUTPUT / "bench" / part
        shutil.rmtree(reports, ignore_errors=True)
        with Lab("bench") as lab:
            rows.extend(row.dump() for row in measures(lab, reports))
    publish("benchmarks", HEADING, prefix.partition("-")[0], rows, machine=machine())
    for row in rows:
        print(f"bench: {row}")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
