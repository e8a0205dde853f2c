#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Save a configuration if it has changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generation
short_description: Save a configuration if it has changed
version_added: 1.0.0
description:
  - Compares names and contents of a configuration with its newest generation, and takes a new one where they differ. Each
    generation is a complete set in the area C(generations/KIND) of the backup directory.
  - Can also enter the newest generation into the set that this run has opened, its files linked.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that takes or saves it.
    required: true
  kind:
    description:
      - Which configuration.
    type: str
    choices: [gateway, cni]
    required: true
  state:
    description:
      - V(taken) makes sure that the newest generation is what is there now.
      - V(saved) enters the newest generation into the open set (see M(flatnet.ops.backup_set)).
    type: str
    choices: [taken, saved]
    required: true
  trees:
    description:
      - With O(state=taken), the directories of the configuration by the name of their source, as C(cni/net.d).
    type: dict
    default: {}
  tree:
    description:
      - With O(state=taken), the configuration of the gateway as one text that another task has read on its host, where the host
        does not see the directory that O(trees) names. What is taken is the same, but its owners and modes are always
        those of root, and files that have not changed are not linked to the generation before.
    type: str
  area:
    description:
      - With O(state=saved), where the run has opened the set.
    type: str
    choices: [sets, before-restore]
    default: sets
  reason:
    description:
      - Why it is taken.
    type: str
    choices: [backup, before, after, timer]
    default: backup
  missing_ok:
    description:
      - With O(state=taken), directories that are missing or empty, as on a new host, are left out; without any, nothing is taken.
    type: bool
    default: false
  site:
    description:
      - The name of the site. The host's own name where not given.
    type: str
    default: ""
  host:
    description:
      - The host's name in the inventory. The host's own name where not given.
    type: str
    default: ""
  keep:
    description:
      - How many generations stay, the newest ones; with O(reason=before), none is removed.
    type: int
    default: 30
attributes:
  check_mode:
    description: Compares only.
    support: full
  diff_mode:
    description: Shows what differs between the newest generation and what is there now.
    support: full
  idempotent:
    description: With O(state=taken), nothing is taken where nothing has changed; O(state=saved) copies each time.
    support: partial
    details:
      - O(state=saved) fills a new set each time that it is called.
requirements:
  - rsync on the host
seealso:
  - module: flatnet.ops.generation_info
  - module: flatnet.ops.backup_set
"""

EXAMPLES = r"""
- name: Save the configuration of CNI if it has changed
  flatnet.ops.generation:
    run: 20261124T021500Z-backup-3f9a
    kind: cni
    state: taken
    trees:
      cni/net.d: /etc/cni/net.d
      cni/bin: /opt/cni/bin

- name: Enter it into the open set
  flatnet.ops.generation:
    run: 20261124T021500Z-backup-3f9a
    kind: cni
    state: saved
"""

RETURN = r"""
id:
  description: The newest generation; null if there is none.
  returned: success
  type: str
  sample: 20261124T021000Z-df98ae5066a7
saved:
  description: The sources that were entered, with O(state=saved).
  returned: success
  type: list
  elements: str
  sample: [cni/bin, cni/net.d]
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SourceRefused
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.generations import KEEP, Generations, copied, described
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import GENERATIONS, Area, check_source_name


def taken(module: AnsibleModule, generations: Generations, effects: Effects) -> Outcome:
    """Take one if something has changed."""
    del effects
    params = module.params
    kind = params["kind"]
    trees = {check_source_name(source): Path(path) for source, path in params["trees"].items()}
    newest = generations.newest()
    if params["missing_ok"]:
        trees = generations.there(trees)
    if not trees:
        return Outcome(
            False, f"there is no configuration of {kind} on this host yet", values={"id": newest, "saved": []}
        )
    present = generations.present(trees)
    diff = {"before": described(generations.readable(newest)), "after": described(present)}
    if module.check_mode:
        differs = generations.differs(present)
        words = "would be taken" if differs else "is what is there now"
        return Outcome(differs, f"a generation of {kind} {words}", values={"id": newest, "saved": []}, diff=diff)
    name = os.uname().nodename
    done = generations.take(
        params["run"], trees, params["reason"], params["site"] or name, params["host"] or name, params["keep"]
    )
    words = "is new" if done.new else "is what is there now"
    return Outcome(
        done.new,
        f"generation {done.id} of {kind} {words}: {done.files:,} files",
        numbers={"files": done.files},
        evidence={"generation": done.id},
        values={"id": done.id, "saved": []},
        diff=diff,
    )


def saved(module: AnsibleModule, generations: Generations, effects: Effects) -> Outcome:
    """Enter the newest one into the open set."""
    params = module.params
    newest = generations.newest()
    if module.check_mode:
        return Outcome(True, f"generation {newest} would be saved", values={"id": newest, "saved": []})
    with Lifecycle(Area(Path(params["root"]), params["area"]), effects).filling(params["run"]) as filling:
        sources = generations.save(filling)
    files, size = sum(source.files for source in sources), sum(source.bytes for source in sources)
    return Outcome(
        True,
        f"generation {newest} of {params['kind']} is saved: {files:,} files, {size:,} bytes, linked",
        numbers={"files": files, "bytes": size, "linked_bytes": sum(source.linked_bytes for source in sources)},
        evidence={"generation": newest, "software": {name: dict(s.software) for s in sources for name in [s.name]}},
        values={"id": newest, "saved": [source.name for source in sources]},
    )


STATES = {"taken": taken, "saved": saved}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "kind": {"type": "str", "choices": list(GENERATIONS), "required": True},
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "trees": {"type": "dict", "default": {}},
            "tree": {"type": "str", "no_log": True},
            "area": {"type": "str", "choices": ["sets", "before-restore"], "default": "sets"},
            "reason": {"type": "str", "choices": ["backup", "before", "after", "timer"], "default": "backup"},
            "missing_ok": {"type": "bool", "default": False},
            "site": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "keep": {"type": "int", "default": KEEP},
        },
        required_if=[("state", "taken", ["trees"])],
        supports_check_mode=True,
    )
    params = module.params

    def work() -> Outcome:
        effects = Effects()
        with copied(params["kind"], params["tree"]) as copies:
            generations = Generations(Path(params["root"]), params["kind"], effects, copies=copies)
            return STATES[params["state"]](module, generations, effects)

    carry_out(module, params["kind"], work)


if __name__ == "__main__":
    main()
