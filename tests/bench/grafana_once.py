# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup or restore of ours in a process of its own: `python -m tests.bench.grafana_once WHAT URL TOKEN DIRECTORY WORKERS [KIND…]`.

Prints what it took: seconds, the memory that it had at most in bytes, and how many files it wrote.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import GrafanaBackup, Place
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import GRAFANA_OPTIONS, chosen, connected
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import GrafanaRestore, Progress, Step, select


class Timed(GrafanaRestore):
    """A restore that says how long the writing took."""

    writing = 0.0

    def _write_all(self, steps: Sequence[Step], progress: Progress) -> None:
        began = time.monotonic()
        super()._write_all(steps, progress)
        self.writing = time.monotonic() - began


def main(what: str, url: str, token: str, directory: str, workers: str, *kinds: str) -> None:
    """Do it once."""
    effects = Effects()
    params: dict[str, Any] = {name: option.get("default") for name, option in GRAFANA_OPTIONS.items()}
    params.update(url=url, token=token, workers=int(workers), kinds=kinds or None)
    place = Path(directory)
    server = connected(params, effects)
    took = {}
    began = time.monotonic()
    if what == "backup":
        GrafanaBackup(server, chosen(params), params["workers"]).save(Place(effects, place, place, 0o600))
    else:
        tree = Tree(place)
        restore = Timed(server, tree, workers=params["workers"])
        restore.apply(restore.plan(select(tree, params["kinds"])))
        took["writing"] = restore.writing
    took["seconds"] = time.monotonic() - began
    took["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    took["written"] = float(sum(effect.kind in ("put", "write") for effect in effects.log))
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
