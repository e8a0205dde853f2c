#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say whether a host runs its own backups and drills."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule_info
short_description: Say whether a host runs its own backups and drills
version_added: 1.0.0
description:
  - Looks for what a timer on this host needs to run C(scripts/backup.sh), which are Ansible, this collection, and an inventory.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  schedule:
    description:
      - V(auto) schedules here if all is there, and else warns that the controller has to.
      - V(host) fails if something is missing.
      - V(none) says that something else schedules them, as cron on the controller or AWX does.
    type: str
    choices: [auto, host, none]
    default: auto
  inventory:
    description:
      - The inventory that the timers use.
    type: path
    default: /etc/flatnet-ops/inventory
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
"""

EXAMPLES = r"""
- name: Find out whether this host can run its own backups
  flatnet.ops.schedule_info:
  register: schedule
"""

RETURN = r"""
here:
  description: The host runs its own backups and drills.
  returned: success
  type: bool
programs:
  description: The directory of C(ansible-playbook); null if it is not there.
  returned: success
  type: str
  sample: /usr/bin
collection:
  description: The directory of this collection on the host; null if it is not there.
  returned: success
  type: str
  sample: /usr/share/ansible/collections/ansible_collections/flatnet/ops
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: UsageError
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.schedule import find_means


def look(schedule: str, inventory: Path) -> Outcome:
    """Decide where backups and drills are scheduled."""
    if schedule == "none":
        words = "backups and drills are scheduled elsewhere, as flatnet_setup_schedule says"
        return Outcome(False, words, values={"here": False, "programs": None, "collection": None})
    means = find_means(inventory)
    missing = " and ".join(means.missing)
    if missing and schedule == "host":
        raise UsageError(
            f"this host was expected to run its own backups, and {missing}: install what is missing; the inventory is the"
            " site's, with this host in its group wsl, and root's alone, since it may hold secrets"
        )
    words = (
        f"NO SCHEDULE ON THE HOST: {missing}; schedule flatnet.ops.backup and flatnet.ops.drill on the controller, by cron or AWX,"
        " and set flatnet_setup_schedule to none"
        if missing
        else f"backups and drills are scheduled here, with {means.collection} and {inventory}"
    )
    return Outcome(
        False,
        words,
        status="warning" if missing else "good",
        evidence={"missing": list(means.missing)},
        values={"here": not missing, "programs": text(means.programs), "collection": text(means.collection)},
    )


def text(path: Path | None) -> str | None:
    """A path for the result."""
    return None if path is None else str(path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "schedule": {"type": "str", "choices": ["auto", "host", "none"], "default": "auto"},
            "inventory": {"type": "path", "default": "/etc/flatnet-ops/inventory"},
        },
        supports_check_mode=True,
    )
    carry_out(module, "schedule", lambda: look(module.params["schedule"], Path(module.params["inventory"])))


if __name__ == "__main__":
    main()
