#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_tasks``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_tasks
short_description: Install the scheduled tasks that keep and change the gateway
version_added: 1.0.0
description:
  - Makes the task C(flatnet-gateway), which starts the gateway at boot and again within a minute when it has ended, and takes over
    one that somebody has started by hand; the task C(flatnet-transaction), which carries out what M(flatnet.ops.gateway) asks
    for; the task C(flatnet-log-rotation), which rotates O(logs); the scripts that they run; and the folders that these need.
  - With O(distribution), makes the task C(flatnet-wsl) as well, which starts that distribution of WSL2 at boot, again within a
    minute when it has ended, and keeps it from ending for want of work; and waits until it is up. The account has to own it.
  - Expects the gateway's program and its configuration where O(program) and O(configuration) say, and fails by name, changing
    nothing, where they are not, or where a file is in the place of a folder.
  - O(state_directory) is left to administrators and the system alone, because what lies there is run with the highest privileges.
  - As the task C(flatnet-gateway) begins to work at once, a gateway that was stopped is started within a minute.
  - A task that exists is left as it is, enabled or disabled, unless this version of the collection defines it differently.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
options:
  account:
    description:
      - The account that the tasks run as, without anybody logged in. It has to be an administrator, and the owner of the WSL2
        distribution, because distributions belong to accounts.
    type: str
    required: true
  logs:
    description:
      - The logs that are rotated, below O(prefix) unless they begin with a drive. The first run of the task on a day, and any run that
        finds one too large, renames it to its name with the time in UTC after it, and has nginx open a new one; no line is lost. One that
        nothing writes to is left alone, and so are all where the list is empty.
    type: list
    elements: str
    default:
      - logs\error.log
      - logs\access.log
  log_keep_days:
    description:
      - After how many days what was put aside of a log is deleted.
    type: int
    default: 30
  log_megabytes:
    description:
      - From which size in MiB on a log is rotated before the day is over. The task looks every hour.
    type: int
    default: 100
  distribution:
    description:
      - The distribution of WSL2 that the host starts at boot and keeps, by its name. Where empty, there is no task that does, and
        one that an earlier run has made is removed.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would be made.
    support: full
  diff_mode:
    description: Shows every script and every task that differs, and names the folders.
    support: full
  idempotent:
    description: Makes only what is not there as it should be.
    support: full
seealso:
  - module: flatnet.ops.gateway
  - module: flatnet.ops.gateway_firewall
"""

EXAMPLES = r"""
- name: Install what keeps the gateway
  flatnet.ops.gateway_tasks:
    account: operator
"""

RETURN = r"""
made:
  description: The folders, files and tasks that were not as they should be.
  returned: success
  type: list
  elements: str
  sample: ['C:\ProgramData\flatnet', task flatnet-gateway]
"""
