#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save a directory or a Podman volume into the open backup set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_backup
short_description: Save a directory or a Podman volume into the open backup set
version_added: 1.0.0
description:
  - Copies a tree into the set that this run has opened with M(flatnet.ops.backup_set), with owners, modes, times, ACLs,
    extended attributes, hard links and holes.
  - Copies twice. The second time, only what has changed since the first is copied, while the containers that use the tree
    are paused or stopped; this is measured and reported.
  - Containers that were at rest before stay so. Those that this module put to rest are taken up again on every way out; if
    the module is killed, a guard on the host does it at once.
  - Files that have not changed become hard links to the newest set that has them.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that has opened the set.
    required: true
  source:
    description:
      - The name of the source, which is its path in the set as well.
    type: str
    required: true
  path:
    description:
      - The directory to save.
    type: path
  volume:
    description:
      - The Podman volume to save.
    type: str
  consistency:
    description:
      - V(paused) freezes the containers for the second copy, so that it holds one moment of the tree.
      - V(stopped) stops them, for programs that keep what matters in memory until they end.
      - V(hot) leaves them alone. Files that change meanwhile may be inconsistent with each other; the set says so.
    type: str
    choices: [hot, paused, stopped]
    default: paused
  containers:
    description:
      - The containers that have to rest. All running containers that mount the tree where not given.
    type: list
    elements: str
  max_pause:
    description:
      - For how many seconds containers may rest. Then they are taken up again, and the copy fails.
    type: int
    default: 60
attributes:
  check_mode:
    description: Looks for the tree and its containers; copies nothing and pauses nothing.
    support: full
  diff_mode:
    description: A copy into a new set has no state before it.
    support: none
  idempotent:
    description: Copies each time that it is called.
    support: none
requirements:
  - rsync and, for volumes and containers, Podman 4 on the host
  - systemd on the host, for the guard
seealso:
  - module: flatnet.ops.backup_set
  - module: flatnet.ops.tree_restore
"""

EXAMPLES = r"""
- name: Save a volume, its containers paused for a moment
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: volumes/app_notes_data
    volume: app_notes_data

- name: Save a directory that nobody writes to
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: stack
    path: /opt/flatnet/monitoring
    consistency: hot
"""

RETURN = r"""
saved:
  description: What the set holds of this source, as its manifest says it.
  returned: success, outside of check mode
  type: dict
  contains:
    files:
      description: Regular files.
      type: int
    bytes:
      description: Their size; a file with several names counts once.
      type: int
    linked_bytes:
      description: How much of it is shared with earlier sets.
      type: int
    pause_seconds:
      description: For how long the containers rested, at most; null if none had to.
      type: float
      sample: 0.31
    containers:
      description: The containers that rested.
      type: list
      elements: str
    changed_while_copied:
      description: With O(consistency=hot), names that changed while they were copied.
      type: int
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SourceRefused
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area, check_source_name
from ansible_collections.flatnet.ops.plugins.module_utils.tree_backup import TreeBackup, TreeSource


def save(module: AnsibleModule) -> Outcome:
    """Copy the tree into the set."""
    params = module.params
    effects = Effects()
    source = TreeSource(
        name=check_source_name(params["source"]),
        path=Path(params["path"]) if params["path"] else None,
        volume=params["volume"],
        consistency=params["consistency"],
        containers=tuple(params["containers"]) if params["containers"] is not None else None,
        max_pause=params["max_pause"],
    )
    backup = TreeBackup(effects, Podman(), source)
    if module.check_mode:
        rest = ", ".join(backup.running()) or "no container"
        return Outcome(True, f"{backup.directory()} would be saved; {rest} would rest ({source.consistency})")
    area = Area(Path(params["root"]), params["area"])
    with Lifecycle(area, effects).filling(params["run"]) as filling:
        saved = backup.save(filling)
    numbers: dict[str, float] = {"files": saved.files, "bytes": saved.bytes, "linked_bytes": saved.linked_bytes}
    rested = "no container had to rest"
    if saved.pause_seconds is not None:
        numbers["pause_seconds"] = saved.pause_seconds
        rested = f"{', '.join(saved.containers)} {saved.consistency} for {saved.pause_seconds:.2f} s"
    moved = f"; {saved.changed_while_copied} names changed while they were copied" if saved.changed_while_copied else ""
    return Outcome(
        True,
        f"{saved.origin} is saved: {saved.files:,} files, {saved.bytes:,} bytes, of which {saved.linked_bytes:,} are shared"
        f" with earlier sets; {rested}{moved}",
        status="warning" if moved else "good",
        numbers=numbers,
        evidence={"consistency": saved.consistency, "changed_while_copied": saved.changed_while_copied},
        values={"saved": asdict(saved)},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "source": {"type": "str", "required": True},
            "path": {"type": "path"},
            "volume": {"type": "str"},
            "consistency": {"type": "str", "choices": ["hot", "paused", "stopped"], "default": "paused"},
            "containers": {"type": "list", "elements": "str"},
            "max_pause": {"type": "int", "default": 60},
        },
        mutually_exclusive=[("path", "volume")],
        required_one_of=[("path", "volume")],
        supports_check_mode=True,
    )
    carry_out(module, module.params["source"], lambda: save(module))


if __name__ == "__main__":
    main()
