# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make faults [ONLY=ID PREFIX]`: inject every fault and write what was found to docs/faults.json and docs/faults.md."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.docs.published import publish
from tests.faults import Fault, gateway, grafana, site
from tests.faults.computer import Computer
from tests.faults.world import World
from tests.lab import Lab
from tests.lab.play import OUTPUT, ROOT
from tests.lab.windows.powershell import missing

REPORTS = OUTPUT / "faults"
FAULTS: list[tuple[type[World | Computer], list[Fault]]] = [
    (World, [*site.FAULTS, *grafana.FAULTS]),
    (Computer, [*gateway.FAULTS]),
]
HEADING = """# Faults

What `make faults` has injected, what the operator read, and what an independent look found afterwards.
[faults.json](faults.json) holds the same for tools; [the format](formats/faults.md) says what the columns mean."""


def main(prefix: str = "") -> int:
    """Inject the faults whose id begins with the prefix.

    :return: 1 if a promise was not kept, 2 if there is no such fault, or none could be injected
    """
    every = [fault.id for _world, faults in FAULTS for fault in faults]
    if not any(each.startswith(prefix) for each in every):
        print(f"faults: an id that begins with '{prefix}' was expected; there are {', '.join(every)}")
        return 2
    shutil.rmtree(REPORTS, ignore_errors=True)
    rows = []
    for world, faults in FAULTS:
        chosen = [fault for fault in faults if fault.id.startswith(prefix)]
        if world is Computer and chosen and missing():
            print(f"faults: {len(chosen)} of the gateway are not injected: {missing()}")
        elif chosen:
            rows += injected(world, chosen)
    for part in dict.fromkeys(row["id"].partition("-")[0] for row in rows):
        found = [row for row in rows if row["id"].startswith(f"{part}-")]
        publish("faults", HEADING, prefix if prefix.startswith(part) else part, found)
    broken = [row["id"] for row in rows if not row["holds"]]
    print(f"faults: {len(rows) - len(broken)} hold, {len(broken)} do not{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0 if rows else 2


def injected(world: type[World | Computer], faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Inject faults into a world of their own, and say what was found."""
    rows = []
    with Lab("faults") as lab:
        made = world(lab, REPORTS)
        for fault in faults:
            began = time.monotonic()
            print(f"faults: {fault.id} ...", end=" ", flush=True)
            made.renew()
            found = fault.inject(made)
            # Where this checkout lies concerns nobody.
            message = found.message.replace(f"{ROOT}/", "")
            rows.append({"id": fault.id, "injected": fault.injected, **asdict(found), "message": message})
            print(f"{'holds' if found.holds else 'DOES NOT HOLD'} ({time.monotonic() - began:.1f} s)", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
