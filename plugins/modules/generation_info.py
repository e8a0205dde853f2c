#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the generations of a configuration, with what differs from the present."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generation_info
short_description: List the generations of a configuration
version_added: 1.0.0
description:
  - Lists every configuration that was in use, newest first, with the names that differ from what is there now.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.recorded
options:
  kind:
    description:
      - Which configuration.
    type: str
    choices: [gateway, cni]
    required: true
  id:
    description:
      - Only this generation, with the text of what differs.
    type: str
    default: ""
  tree:
    description:
      - What is there now of the gateway's configuration, as one text that another task has read on its host, where the host does
        not see it.
    type: str
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only, so nothing ever differs.
    support: N/A
  idempotent:
    description: Reads only.
    support: full
seealso:
  - module: flatnet.ops.generation
"""

EXAMPLES = r"""
- name: Which configurations has CNI had?
  flatnet.ops.generation_info:
    kind: cni
"""

RETURN = r"""
generations:
  description: The generations, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its name.
      type: str
      sample: 20261124T021000Z-df98ae5066a7
    path:
      description: Where it lies.
      type: str
    taken:
      description: When, in seconds since the epoch.
      type: float
    reason:
      description: Why, as C(timer).
      type: str
    added:
      description: Names that are there now and were not then.
      type: list
      elements: str
    removed:
      description: Names that were there then and are not now.
      type: list
      elements: str
    changed:
      description: Names whose content is another one now.
      type: list
      elements: str
    diff:
      description: With O(id), a unified diff from the generation to the present; programs are only named.
      type: str
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: NoSuchSet
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.generations import Generations, copied
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import GENERATIONS


def look(generations: Generations, wanted: str) -> Outcome:
    """List them, newest first."""
    names = [generations.area.find(wanted)] if wanted else list(reversed(generations.area.readable_ids()))
    found = [asdict(generations.compared(name, with_text=bool(wanted))) for name in names]
    return Outcome(False, f"{len(found)} generations in {generations.area.directory}", values={"generations": found})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "root": {"type": "path", "default": "/backup/flatnet"},
            "kind": {"type": "str", "choices": list(GENERATIONS), "required": True},
            "id": {"type": "str", "default": ""},
            "tree": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work() -> Outcome:
        with copied(params["kind"], params["tree"]) as copies:
            return look(Generations(Path(params["root"]), params["kind"], Effects(), copies=copies), params["id"])

    carry_out(module, "generations", work)


if __name__ == "__main__":
    main()
