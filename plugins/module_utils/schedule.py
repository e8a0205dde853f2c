# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host can run its own backups: Ansible, this collection and an inventory are there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import run

PROGRAM = "ansible-playbook"
COLLECTION = "flatnet.ops"


@dataclass(frozen=True)
class Means:
    """What it takes, as far as it is there; ``missing`` says what is not."""

    programs: Path | None
    collection: Path | None
    missing: tuple[str, ...]


def find_means(inventory: Path) -> Means:
    """Look for all that a timer on this host needs.

    :raises CommandFailed: Ansible is there and cannot say where its collections are
    """
    found = shutil.which(PROGRAM)
    programs = Path(found).parent if found else None
    collection = find_collection(programs) if programs else None
    missing = (
        *(() if programs else (f"{PROGRAM} is not installed",)),
        *(() if collection or not programs else (f"the collection {COLLECTION} is not installed",)),
        *(() if inventory.exists() else (f"there is no inventory {inventory}",)),
    )
    return Means(programs, collection, missing)


def find_collection(programs: Path) -> Path | None:
    """Where Ansible finds the collection; None if it does not."""
    galaxy = str(programs / "ansible-galaxy")
    listed = run([galaxy, "collection", "list", COLLECTION, "--format", "json"], expect=(0, 5)).stdout
    places = json.loads(listed[listed.find("{") :] or "{}")
    holding = [Path(place, *COLLECTION.split(".")) for place, held in places.items() if COLLECTION in held]
    return holding[0] if holding else None
