#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_info
short_description: Look at the gateway on a Windows host
version_added: 1.0.0
description:
  - Says whether the gateway (OpenResty, or any nginx) runs, since when, which version and which configuration is in effect, who
    answers on its port, and everything about it that is not as it should be. Changes nothing, and takes one round trip.
  - What is found is returned, and fails nothing; a play that wants a healthy gateway asserts that RV(findings) is empty.
  - The gateway itself is asked who it is, at C(/.flatnet/whoami), which M(flatnet.ops.gateway_config) gives it. Nothing is read
    from output that Windows translates.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
options:
  error_lines:
    description:
      - How many of the last lines of C(logs\error.log) that are errors, or worse, are returned. Its last 256 KiB are read.
    type: int
    default: 5
attributes:
  check_mode:
    description: Looks only.
    support: full
  diff_mode:
    description: Looks only, so nothing ever differs.
    support: N/A
  idempotent:
    description: Looks only.
    support: full
seealso:
  - module: flatnet.ops.gateway
"""

EXAMPLES = r"""
- name: Look at the gateway
  flatnet.ops.gateway_info:
  register: gateway

- name: Expect a gateway that runs and of which nothing is to be said
  ansible.builtin.assert:
    that:
      - gateway.state == 'running'
      - gateway.findings == []
    fail_msg: "{{ gateway.msg }}"
"""

RETURN = r"""
state:
  description:
    - V(running) with a master, V(foreign) where another program listens on the port and no nginx runs, else V(stopped).
  returned: success
  type: str
  choices: [running, stopped, foreign]
  sample: running
version:
  description: The version that answers on the port, or else that of the program that would be started.
  returned: success
  type: str
  sample: 1.27.1
since:
  description: When the oldest master was started, in UTC.
  returned: success
  type: str
  sample: '2026-11-24T02:15:00Z'
program:
  description: The program that runs, or would be started.
  returned: success
  type: str
  sample: C:\openresty\nginx.exe
identity:
  description: Who answers on the port, as it says itself; null where nobody of ours does.
  returned: success
  type: dict
  sample: {worker: 4012, version: 1.27.1, generation: 6b86b273ff34fce1}
masters:
  description: The process ids of the masters of nginx.
  returned: success
  type: list
  elements: int
  sample: [3988]
workers:
  description: The process ids of its workers.
  returned: success
  type: list
  elements: int
  sample: [4012]
configuration:
  description: The files below C(conf), but for those in C(conf\flatnet), which are this collection's own.
  returned: success
  type: list
  elements: str
  sample: [conf.d/gateway.conf, mime.types, nginx.conf]
generation:
  description: The SHA-256 of the configuration on the disk, over every file's path and content.
  returned: success
  type: str
  sample: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
errors:
  description: The last errors of the log.
  returned: success
  type: list
  elements: str
  sample: ['2026/11/24 02:15:00 [emerg] 3988#4001: unknown directive "liste"']
tasks:
  description: The tasks of this collection that the scheduler has, by name.
  returned: success
  type: dict
  sample: {flatnet-gateway: {enabled: true, command: 'C:\openresty\nginx.exe'}}
transactions:
  description:
    - What our modules have asked of the host and is not at its end yet, and the last of it that is, each with C(id), C(state) and
      C(message), the youngest first. The states are C(running), C(take_up) where it was cut, C(done), C(undone), C(stranded) and
      C(stranger).
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261129T001122Z-reload-3f9a01bc
      state: done
      message: 'the reload 20261129T001122Z-reload-3f9a01bc is done: the gateway runs with master 3988'
findings:
  description:
    - What is not as it should be, each with C(name) and C(message). The names are C(not_installed), C(orphan_workers),
      C(second_master), C(foreign_program), C(no_worker), C(not_listening), C(no_identity), C(stale_pid_file), C(task_missing),
      C(task_disabled), C(transaction_cut), C(transaction_stranded), C(transaction_unknown).
  returned: success
  type: list
  elements: dict
  sample: []
"""
