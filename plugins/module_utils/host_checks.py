# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host checks: what has to happen regularly on this host, and whether it did.

A timer calls this file as a program, without Ansible: ``python3 -m ansible_collections.flatnet.ops.plugins.module_utils.host_checks``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import OpsError
from ansible_collections.flatnet.ops.plugins.module_utils.sets import PARTLY, Area
from ansible_collections.flatnet.ops.plugins.module_utils.times import iso
from ansible_collections.flatnet.ops.plugins.module_utils.undo import STATE

HOUR = 3600.0
DAY = 24 * HOUR
DRILL = "site_drill"
METRICS = "flatnet_checks.prom"


@dataclass(frozen=True)
class Check:
    """When something happened last, in seconds since the epoch, and what is wrong with that; empty if nothing is."""

    name: str
    last: float | None
    problem: str = ""

    @property
    def sentence(self) -> str:
        """The check in one line."""
        if self.problem:
            return f"late: {self.problem}"
        return f"good: {self.name}, {'not yet' if self.last is None else f'last at {iso(self.last)}'}"


def first_run(records: Path) -> float:
    """When the first recorded run on this host ended: nothing can be late before; 0 without any record."""
    return min((path.stat().st_mtime for path in records.glob("*.jsonl")), default=0.0)


def newest_set(root: Path, begin: float, max_seconds: float, now: float) -> Check:
    """The newest set of the whole site that can be restored from.

    :param begin: since when sets are made
    :raises SetDamaged: what verifications have found cannot be read
    """
    area = Area(root)
    good = [name for name in area.good_ids() if area.manifest(name).purpose != PARTLY]
    last = area.manifest(good[-1]).finished if good else None
    remedy = "see 'journalctl --unit flatnet-backup' or the reports on the controller, and run flatnet.ops.backup"
    if last is not None and last > now:
        return Check(
            "backup",
            last,
            f"set {good[-1]} in {root} is dated in the future, {iso(last)}: set the clock right, or set the set aside by 'mv"
            f" {root / good[-1]} {root / good[-1]}.set-aside'",
        )
    return Check("backup", last, overdue(f"a good set in {root}", last, begin, max_seconds, now, remedy))


def newest_drill(records: Path, begin: float, max_seconds: float, now: float) -> Check:
    """The newest drill on this host that answered all its questions.

    :param begin: since when drills are made
    """
    last = max((time for time in map(drilled, records.glob("*-drill-*.jsonl")) if time is not None), default=None)
    remedy = "see 'journalctl --unit flatnet-drill' or the reports on the controller, and run flatnet.ops.drill"
    return Check("drill", last, overdue("a drill that proves a restore", last, begin, max_seconds, now, remedy))


def drilled(record: Path) -> float | None:
    """When a drill ended that did all its work; None if it failed, was killed, or is still at work."""
    try:
        steps = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        drills = [step["module"] == DRILL for step in steps if step["status"] != "failed"]
        return record.stat().st_mtime if any(drills) and len(drills) == len(steps) else None
    except (ValueError, KeyError, TypeError):
        return None


def timer(unit: str, max_seconds: float, now: float) -> Check:
    """A timer of systemd's: it is enabled, active, and has triggered lately.

    :raises CommandFailed: systemd does not answer
    """
    wanted = "LoadState,UnitFileState,ActiveState,ActiveEnterTimestamp,LastTriggerUSec"
    shown = run(["systemctl", "show", "--timestamp=unix", f"--property={wanted}", unit]).stdout
    state = dict(line.split("=", 1) for line in shown.splitlines())
    last = moment(state.get("LastTriggerUSec", ""))
    if state["LoadState"] != "loaded":
        problem = f"timer {unit} was expected on this host, and is {state['LoadState']}: run flatnet.ops.setup again"
    elif state["UnitFileState"] != "enabled" or state["ActiveState"] != "active":
        problem = (
            f"timer {unit} was expected to be enabled and active, and is {state['UnitFileState'] or 'unknown'} and"
            f" {state['ActiveState']}: run 'systemctl enable --now {unit}'"
        )
    else:
        begin = moment(state["ActiveEnterTimestamp"]) or 0
        remedy = f"see 'systemctl status {unit}'"
        problem = overdue(f"a run of timer {unit}", last, begin, max_seconds, now, remedy)
    return Check(unit, last, problem)


def moment(shown: str) -> float | None:
    """Seconds since the epoch, as ``systemctl show --timestamp=unix`` prints them; None for never."""
    return float(shown[1:]) if shown.startswith("@") and shown != "@0" else None


def overdue(what: str, last: float | None, begin: float, max_seconds: float, now: float, remedy: str) -> str:
    """The sentence for what is too old; empty if it is not.

    :param begin: since when it can have happened
    """
    if now - max(last or 0, begin) <= max_seconds:
        return ""
    newest = "there is none" if last is None else f"the last one was {span(now - last)} ago"
    return f"{what} was expected at least every {span(max_seconds)}, and {newest}: {remedy}"


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds >= 3 * DAY:
        return f"{seconds / DAY:.0f} days"
    return f"{seconds / HOUR:.0f} h" if seconds >= 2 * HOUR else f"{seconds / 60:.0f} min"


def metrics(checks: Sequence[Check], now: float) -> bytes:
    """The checks for node_exporter's textfile collector."""
    lines = []
    for family, help_text, values in (
        (
            "flatnet_check_last_timestamp_seconds",
            "When it happened last; 0 if never.",
            [check.last or 0 for check in checks],
        ),
        ("flatnet_check_late", "1 if it should have happened since.", [float(bool(check.problem)) for check in checks]),
    ):
        lines += [f"# HELP {family} {help_text}", f"# TYPE {family} gauge"]
        lines += [f'{family}{{check="{check.name}"}} {value:.0f}' for check, value in zip(checks, values)]
    family = "flatnet_checks_timestamp_seconds"
    lines += [f"# HELP {family} When the checks ran.", f"# TYPE {family} gauge", f"{family} {now:.0f}"]
    return "\n".join([*lines, ""]).encode("ascii")


def named_seconds(given: str) -> tuple[str, float]:
    """A timer's name, and after how many seconds without it something is wrong."""
    name, _equals, seconds = given.rpartition("=")
    return name, float(seconds)


def main(argv: list[str] | None = None) -> int:
    """Make all checks, one line each.

    :return: 1 if something is late, or cannot be checked
    """
    parser = argparse.ArgumentParser(description="Check that backups, drills and timers happen.")
    parser.add_argument("--root", type=Path, default=Path("/backup/flatnet"), help="the backup directory")
    parser.add_argument("--records", type=Path, default=STATE / "runs", help="the directory of run records")
    parser.add_argument("--backup-max-age-hours", type=float, default=26.0)
    parser.add_argument("--drill-max-age-days", type=float, default=35.0)
    parser.add_argument("--timer", type=named_seconds, action="append", default=[], metavar="UNIT=SECONDS")
    parser.add_argument("--metrics", type=Path, metavar="DIRECTORY", help="where node_exporter reads text files")
    options = parser.parse_args(argv)
    now = time.time()
    try:
        begin = first_run(options.records)
        checks = [
            newest_set(options.root, begin, options.backup_max_age_hours * HOUR, now),
            newest_drill(options.records, begin, options.drill_max_age_days * DAY, now),
            *(timer(unit, seconds, now) for unit, seconds in options.timer),
        ]
        if options.metrics is not None:
            Effects().write(options.metrics / METRICS, metrics(checks, now), 0o644)
    except (OpsError, OSError) as error:
        sys.stdout.write(f"the checks were expected to look at everything, and could not: {error}\n")
        return 1
    for check in checks:
        sys.stdout.write(f"{check.sentence}\n")
    return 1 if any(check.problem for check in checks) else 0


if __name__ == "__main__":
    raise SystemExit(main())
