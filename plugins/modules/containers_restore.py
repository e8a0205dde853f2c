#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the containers of a backup set again that a host lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers_restore
short_description: Make the containers of a backup set again that a host lacks
version_added: 1.0.0
description:
  - Makes each container of the set that does not exist on this host, as M(flatnet.ops.containers_backup) has saved it, without
    starting it. Containers that exist are left alone, whatever they are like.
  - A container of a compose project is made by its compose file, which has to be there already. One of a systemd unit gets its
    unit or quadlet, and exists when that is started. Any other one is made by the command that made it first, as
    C(podman create); no image is ever pulled.
  - What these containers need is made before, where it is missing. Images are loaded from the set if they were saved. Volumes and
    networks get the options and labels that they had; volumes are empty. A network of a plugin's own comes with the
    configuration of CNI.
  - When one cannot be made, those made before it are gone again.
  - The run needs an open set of O(area=before-restore) (see M(flatnet.ops.backup_set)), as for M(flatnet.ops.tree_restore).
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that restores.
    required: true
  area:
    description:
      - Where O(id) is.
  id:
    description:
      - The set.
    type: str
    required: true
  state:
    description:
      - V(present) makes what is missing.
      - V(started) starts those of O(containers) that ran when they were saved, once their data is back.
      - V(absent) stops and removes O(containers) and their units when a restore is given up, and refuses if one was there before this
        run opened its set. Networks, volumes and images stay.
    type: str
    choices: [present, started, absent]
    default: present
  containers:
    description:
      - The containers. All of the set where not given; with O(state=started) and O(state=absent) they have to be named.
    type: list
    elements: str
attributes:
  check_mode:
    description: Says what would be made, started or removed. Whether compose files and plugins are there already is not asked.
    support: full
  diff_mode:
    description: Shows what is made, started or removed, by kind and name.
    support: full
  idempotent:
    description: The second time nothing is missing.
    support: full
requirements:
  - Podman 4 on the host
  - podman-compose 1.1 or later on the host, for containers of compose projects
  - systemd on the host, for containers of units
seealso:
  - module: flatnet.ops.containers_backup
  - module: flatnet.ops.tree_restore
"""

EXAMPLES = r"""
- name: Open the set that takes in what is replaced
  flatnet.ops.backup_set:
    run: 20261124T041500Z-restore-51e0
    area: before-restore
    state: opened
    purpose: restore

- name: Make every container of the newest set that is missing here
  flatnet.ops.containers_restore:
    run: 20261124T041500Z-restore-51e0
    id: latest
  register: made

- name: Start those that ran when they were saved
  flatnet.ops.containers_restore:
    run: 20261124T041500Z-restore-51e0
    id: latest
    state: started
    containers: "{{ made.created }}"

- name: Remove them again
  flatnet.ops.containers_restore:
    run: 20261124T041500Z-restore-51e0
    id: latest
    state: absent
    containers: "{{ made.created }}"

- name: Give up the restore
  flatnet.ops.backup_set:
    run: 20261124T041500Z-restore-51e0
    area: before-restore
    state: aborted
"""

RETURN = r"""
created:
  description: The containers that this task has made, or would make.
  returned: with O(state=present)
  type: list
  elements: str
  sample: [app-notes]
units:
  description: The units, of the containers in RV(created), that make their container when they are started.
  returned: with O(state=present)
  type: list
  elements: str
  sample: []
started:
  description: The containers that this task has started, or would start.
  returned: with O(state=started)
  type: list
  elements: str
  sample: [app-notes]
removed:
  description: The containers that this task has removed, or would remove.
  returned: with O(state=absent)
  type: list
  elements: str
  sample: []
skipped_containers:
  description: The containers of the set that are missing and cannot be made again by a command, with the reason.
  returned: with O(state=present)
  type: dict
  sample: {}
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: UsageError
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.container_restore import ContainersRestore, SavedContainers
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area


class Restore:
    """The containers of one set, there or not."""

    def __init__(self, module: AnsibleModule) -> None:
        self._params = module.params
        self._check_mode = module.check_mode
        self._area = Area(Path(self._params["root"]), self._params["area"])
        self._effects = Effects()
        self._lifecycle = Lifecycle(Area(self._area.root, "before-restore"), self._effects)

    def present(self) -> Outcome:
        """Make what is missing."""
        restore, name = self._restore()
        plan = restore.plan(self._params["containers"])
        created = sorted(plan.names)
        if created and not self._check_mode:
            with self._lifecycle.filling(self._params["run"]):
                created = restore.make(plan)
        remarks = [f"{one} cannot be made again by a command: {why}" for one, why in plan.skipped.items()]
        words = "".join(f"; {remark}" for remark in [*remarks, *plan.notes])
        made = f"{', '.join(created) or 'no container'} of set {name} {'would be' if self._check_mode else 'is'} made"
        units = sorted(one.made_by.unit for one in plan.definitions if one.made_by.unit)
        kinds = {
            "image": [image.names[0] if image.names else image.id for image in plan.images],
            "network": plan.networks,
            "volume": plan.volumes,
            "pod": [str(pod["Name"]) for pod in plan.pods],
            "container": created,
            "unit": units,
        }
        return Outcome(
            bool(created),
            f"{made}{words}",
            status="warning" if words else "good",
            numbers={"containers": len(created), "images": len(plan.images)},
            evidence={kind: list(names) for kind, names in kinds.items()},
            values={"created": created, "units": units, "skipped_containers": dict(plan.skipped)},
            diff={"before": "", "after": lines(kinds)},
        )

    def started(self) -> Outcome:
        """Start what ran."""
        restore, _name = self._restore()
        resting = restore.to_start(self._params["containers"])
        if resting and not self._check_mode:
            with self._lifecycle.filling(self._params["run"]):
                restore.start(resting)
        started = [one.name for one in resting]
        return Outcome(
            bool(started),
            f"{', '.join(started) or 'no container'} {'would be' if self._check_mode else 'is'} started",
            numbers={"containers": len(started)},
            values={"started": started},
            diff={"before": "", "after": lines({"running container": started})},
        )

    def absent(self) -> Outcome:
        """Remove what this run has made."""
        restore, _name = self._restore()
        names = self._params["containers"]
        if self._check_mode:
            containers, units = restore.made_since(names, since=0)
        else:
            with self._lifecycle.filling(self._params["run"]) as filling:
                containers, units = restore.made_since(names, filling.opening.started)
                restore.remove(containers, units)
        removed = sorted({one.name for one in [*containers, *units]})
        kinds = {"container": removed, "unit": sorted(one.made_by.unit for one in units)}
        return Outcome(
            bool(removed),
            f"{', '.join(removed) or 'no container'} {'would be' if self._check_mode else 'is'} removed",
            numbers={"containers": len(removed)},
            values={"removed": removed},
            diff={"before": lines(kinds), "after": ""},
        )

    def _restore(self) -> tuple[ContainersRestore, str]:
        name = self._area.find(self._params["id"])
        return ContainersRestore(self._effects, Podman(), SavedContainers(self._area, name)), name


def lines(kinds: Mapping[str, Sequence[str]]) -> str:
    """What there is, one name a line, for diff mode."""
    return "".join(f"{kind} {name}\n" for kind, names in kinds.items() for name in names)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "started", "absent"], "default": "present"},
            "containers": {"type": "list", "elements": "str"},
        },
        required_if=[("state", "started", ["containers"]), ("state", "absent", ["containers"])],
        supports_check_mode=True,
    )
    restore = Restore(module)
    states = {"present": restore.present, "started": restore.started, "absent": restore.absent}
    carry_out(module, "containers", states[module.params["state"]])


if __name__ == "__main__":
    main()
