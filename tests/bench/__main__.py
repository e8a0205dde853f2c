# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make bench [ONLY=site]`: measure, and write docs/benchmarks.json and docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import Row, gateway, grafana, site
from tests.docs.published import publish
from tests.lab import Lab
from tests.lab.play import OUTPUT
from tests.lab.windows.powershell import missing

HEADING = """# Benchmarks

What `make bench` has measured: ours and the same by other means, side by side in one run; seconds, where it does not say
bytes or files. [benchmarks.json](benchmarks.json) holds the same for tools; [the format](formats/benchmarks.md) says what
the columns mean. A part that a run leaves out keeps its rows, which an earlier run may have measured in another way than is
said here.

## site

Ours are seconds of work on the host, as the run record has them; the median of three rounds, a restore's of one.

The site has 4 GB, and 100,000 files in one volume: blocks, chunks, small files. The backup disk is new in each round, and takes
direct I/O; whoever verifies or restores begins with nothing in the cache.

| id | ours | peer |
|---|---|---|
| `site-backup-verified` | a first backup of the whole site: snapshot, pauses, copy, sums, metadata, sync | the same by `rsync -a`, `sha256sum`, `sync` |
| `site-backup-copy` | the same | `rsync -a`, `sync`: no sums, nothing to verify a copy by |
| `site-backup-restic` | the same | `restic backup` to a repository on the same disk |
| `site-backup-again` | a second backup, hardly anything changed | `rsync -a --link-dest`, `sync`: no sums |
| `site-backup-playbook` | the whole playbook for a first backup, Ansible's own time included | as for `site-backup-verified` |
| `site-verify` | a set is verified: every sum, every name, all metadata | `sha256sum -c`: content alone |
| `site-restore` | the volume with 100,000 files is copied beside its target, and the copy is verified | `sha256sum -c`, `cp -a` |
| `site-pause` | the longest pause, in any round, of the application whose volume has 100,000 files | |
| `site-space-seven-days` | bytes of the sets of seven days, one file in twenty changed each day | bytes of the first of them |

## grafana

1,000 dashboards of 20 panels on a stand-in for Grafana 9.4 that answers each request after 100 ms, as the recorded server did, or
after 10 ms; the dashboards alone, as the loop takes them, in one round.

| id | ours | peer |
|---|---|---|
| `grafana-backup-100ms` | a backup by 16 workers, every answer after 100 ms | the requirements' loop of `curl` |
| `grafana-backup-100ms-default` | the same by 8 workers, as is the default | the same |
| `grafana-backup-100ms-single` | the same by one worker | the same |
| `grafana-backup-10ms` | a backup by 16 workers, every answer after 10 ms | the same loop |
| `grafana-unchanged-files` | the files that a second backup writes when nothing has changed | |
| `grafana-memory` | bytes of memory, at most, for 1,000 dashboards | for 200 |
| `grafana-second-client` | the median answer that somebody else gets during a backup | before it |
| `grafana-everything` | a backup of all kinds by 8 workers after 10 ms: dashboards, permissions, alerting and whatever else | |
| `grafana-restore-100ms` | the writes of a restore of 160 dashboards by 8 workers, every answer after 100 ms | a loop of `curl` that posts them |
| `grafana-restore-100ms-proved` | the whole restore: compared before, written, read back and compared | the same loop, which proves nothing |

## gateway

A gateway of the lab: nginx for Windows, PowerShell 7 and WinRM over HTTPS under Wine. 50 files of configuration; the medians of seven
tasks, by turns in one playbook. Reload, rollout and return happen under at least 100 requests a second from outside.

| id | ours | peer |
|---|---|---|
| `gateway-info` | seconds of a task `gateway_info` | a task `win_ping` |
| `gateway-config-unchanged` | seconds of a task `gateway_config` with nothing to change | the same |
| `gateway-reload-failed` | requests that failed around a reload by `gateway` | around `nginx -s reload` |
| `gateway-reload-gap` | the longest time without a good answer around that reload | around `nginx -s reload` |
| `gateway-rollout-failed` | requests that failed around a rollout by `gateway_config` | around a copy, `nginx -t`, `nginx -s reload` |
| `gateway-rollout-gap` | the longest time without a good answer around that rollout | the same |
| `gateway-return` | seconds from the first answer of a bad configuration, which says 500, to the last | |

## Measured"""


def machine() -> str:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.freedesktop_os_release()['PRETTY_NAME']}"


def of_site(reports: Path) -> Iterator[Row]:
    """A whole site in a lab."""
    with Lab("bench") as lab:
        yield from site.measure(lab, reports)


def of_grafana(reports: Path) -> Iterator[Row]:
    """The content of a Grafana."""
    yield from grafana.measure(reports)


def of_gateway(reports: Path) -> Iterator[Row]:
    """A gateway in a lab."""
    with Lab("bench-gateway") as lab:
        yield from gateway.measure(lab, reports)


PARTS = {"site": of_site, "grafana": of_grafana, "gateway": of_gateway}


def main(prefix: str = "") -> int:
    """Measure the parts whose name, or row, begins with the prefix.

    :return: 1 if a target was missed, 2 if there is no such part, or none could be measured
    """
    chosen = {part: measures for part, measures in PARTS.items() if prefix.partition("-")[0] in ("", part)}
    if not chosen:
        print(f"bench: one of {', '.join(PARTS)} was expected, and it is called '{prefix}'")
        return 2
    rows: list[dict[str, str | float | bool | None]] = []
    for part, measures in chosen.items():
        if part == "gateway" and missing():
            print(f"bench: the gateway is not measured: {missing()}")
            continue
        reports = OUTPUT / "bench" / part
        shutil.rmtree(reports, ignore_errors=True)
        measured = [row.dump() for row in measures(reports)]
        publish("benchmarks", HEADING, part, measured, machine=machine())
        rows.extend(measured)
    for row in rows:
        print(f"bench: {row}")
    return 2 if not rows else 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
