#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add a step to the record of a run: what another host has done for this one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_note
short_description: Add a step to the record of a run
version_added: 1.0.0
description:
  - Records what a task that was delegated to another host has done for this one, or what an operator has to know, so that the report
    of this host says it.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  step:
    description:
      - What the report calls it.
    type: str
    required: true
  text:
    description:
      - What was done, in one sentence.
    type: str
    required: true
  changed:
    description:
      - Something was changed.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says the same, and records nothing.
    support: full
  diff_mode:
    description: Changes nothing by itself.
    support: N/A
  idempotent:
    description: Records a step each time that it is called.
    support: N/A
"""

EXAMPLES = r"""
- name: Note what the gateway has done
  flatnet.ops.run_note:
    run: 20261124T031500Z-restore-77b2
    step: gateway
    text: on gateway1, its configuration of yesterday is rolled out
    changed: true
"""

RETURN = r"""
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: UsageError
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "step": {"type": "str", "required": True},
            "text": {"type": "str", "required": True},
            "changed": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    carry_out(module, params["step"], lambda: Outcome(params["changed"], params["text"]))


if __name__ == "__main__":
    main()
