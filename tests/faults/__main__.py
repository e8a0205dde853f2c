# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make faults [ONLY=ID PREFIX]`: inject every fault and write what was found to docs/faults.json and docs/faults.md."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import asdict

from tests.docs.published import publish
from tests.faults import grafana, site
from tests.faults.world import World
from tests.lab import Lab
from tests.lab.play import OUTPUT, ROOT

FAULTS = [*site.FAULTS, *grafana.FAULTS]
HEADING = """# Faults

What `make faults` has injected, what the operator read, and what an independent look found afterwards.
[faults.json](faults.json) holds the same for tools; [the format](formats/faults.md) says what the columns mean."""


def main(prefix: str = "") -> int:
    """Inject the faults whose id begins with the prefix.

    :return: 1 if a promise was not kept, 2 if there is no such fault
    """
    chosen = [fault for fault in FAULTS if fault.id.startswith(prefix)]
    if not chosen:
        print(f"faults: an id that begins with '{prefix}' was expected; there are {', '.join(f.id for f in FAULTS)}")
        return 2
    reports = OUTPUT / "faults"
    shutil.rmtree(reports, ignore_errors=True)
    rows = []
    with Lab("faults") as lab:
        world = World(lab, reports)
        for fault in chosen:
            began = time.monotonic()
            print(f"faults: {fault.id} ...", end=" ", flush=True)
            world.renew()
            found = fault.inject(world)
            # Where this checkout lies concerns nobody.
            message = found.message.replace(f"{ROOT}/", "")
            rows.append({"id": fault.id, "injected": fault.injected, **asdict(found), "message": message})
            print(f"{'holds' if found.holds else 'DOES NOT HOLD'} ({time.monotonic() - began:.1f} s)", flush=True)
    publish("faults", HEADING, prefix, rows)
    broken = [row["id"] for row in rows if not row["holds"]]
    print(
        f"faults: {len(rows) - len(broken)} hold, {len(broken)} do not{': ' if broken else ''}{', '.join(map(str, broken))}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
