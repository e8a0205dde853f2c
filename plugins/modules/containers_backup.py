#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save the definition of every container into the open backup set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers_backup
short_description: Save the definition of every container into the open backup set
version_added: 1.0.0
description:
  - Enters source C(containers) into the set that this run has opened with M(flatnet.ops.backup_set). It holds what it takes to
    make every container of the host again with M(flatnet.ops.containers_restore), as readable JSON.
  - By container, what Podman says of it and what made it, which is a compose file, a unit or quadlet of systemd, or a command.
    Beside that the images, networks, volumes and pods. The data of volumes is saved by M(flatnet.ops.tree_backup).
  - The definitions hold the environment of the containers, secrets included, as does Podman itself. Secrets of C(podman secret)
    are not in them.
  - Nothing on the host is changed, paused or stopped.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that has opened the set.
    required: true
  images:
    description:
      - Saves the images as well, with C(podman save), as a host needs it that cannot get them from a registry. An image that the
        last set has becomes a hard link to it.
      - When it is turned off again, the source shrinks, and the guard of the set has to be forced once.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would be saved; reads only.
    support: full
  diff_mode:
    description: A copy into a new set has no state before it.
    support: none
  idempotent:
    description: Saves each time that it is called.
    support: none
requirements:
  - Podman 4 on the host
  - systemd on the host, where containers are made by units
seealso:
  - module: flatnet.ops.containers_restore
  - module: flatnet.ops.backup_set
  - module: flatnet.ops.tree_backup
"""

EXAMPLES = r"""
- name: Save the definition of every container
  flatnet.ops.containers_backup:
    run: 20261124T021500Z-backup-3f9a

- name: Save the images as well
  flatnet.ops.containers_backup:
    run: 20261124T021500Z-backup-3f9a
    images: true
"""

RETURN = r"""
saved:
  description: What the set holds of this source, as its manifest says it.
  returned: success, outside of check mode
  type: dict
  contains:
    files:
      description: Files.
      type: int
    bytes:
      description: Their size.
      type: int
    linked_bytes:
      description: How much of it is shared with earlier sets.
      type: int
    facts:
      description:
        - How many C(containers), and how many of them were made by C(compose), a C(unit), a C(command) or in an C(unknown) way;
          how many C(images), and how many of them are saved; how many C(networks), C(volumes) and C(pods).
      type: dict
      sample: {"containers": 5, "compose": 3, "unit": 0, "command": 2, "unknown": 0, "images": 5, "images_saved": 0,
               "networks": 2, "volumes": 4, "pods": 1}
unknown:
  description: The containers that M(flatnet.ops.containers_restore) cannot make again, with the reason.
  returned: success
  type: dict
  sample: {}
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SourceRefused
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import UNKNOWN, ContainersBackup
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area


def save(module: AnsibleModule) -> Outcome:
    """Write the definitions into the set."""
    params = module.params
    effects = Effects()
    backup = ContainersBackup(effects, Podman(), params["images"])
    found = backup.found()
    unknown = {one.name: one.made_by.problem for one in found if one.made_by.how == UNKNOWN}
    by_hand = "".join(f"; {name} cannot be made again by a command: {problem}" for name, problem in unknown.items())
    names = ", ".join(one.name for one in found) or "no container"
    if module.check_mode:
        return Outcome(True, f"the definitions of {names} would be saved{by_hand}", values={"unknown": unknown})
    with Lifecycle(Area(Path(params["root"]), params["area"]), effects).filling(params["run"]) as filling:
        saved = backup.save(filling, found)
    return Outcome(
        True,
        f"the definitions of {len(found)} containers are saved, with {saved.facts['images_saved']} of their"
        f" {saved.facts['images']} images: {saved.bytes:,} bytes, of which {saved.linked_bytes:,} are shared with earlier"
        f" sets{by_hand}",
        status="warning" if unknown else "good",
        numbers={"files": saved.files, "bytes": saved.bytes, "linked_bytes": saved.linked_bytes},
        evidence=dict(saved.facts),
        values={"saved": asdict(saved), "unknown": unknown},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "images": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    carry_out(module, "containers", lambda: save(module))


if __name__ == "__main__":
    main()
