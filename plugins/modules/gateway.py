#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway
short_description: Start, stop, reload or restart the gateway on a Windows host
version_added: 1.0.0
description:
  - What has to be done is deposited on the host as a transaction, which the scheduled task C(flatnet-transaction) carries out to its
    end, or back to its beginning. A connection that is cut, an interrupt or a reboot meanwhile leaves the gateway in one or the
    other, never stopped without a word, and the next transaction settles it first.
  - The gateway runs by the task C(flatnet-gateway), whoever started it. M(flatnet.ops.gateway_tasks) makes both tasks.
  - Fails where the transaction was refused or undone, with the reason and with what runs now.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.gateway_probes
  - flatnet.ops.recorded
options:
  state:
    description:
      - V(started) is one master that listens, kept by its task, which starts it at boot and again within a minute when it has ended.
      - V(stopped) is no process of it, and a task that starts none. It is asked to end when its requests have ended, then to stop,
        and killed at last, by process id and path.
      - V(reloaded) puts the configuration that lies there into effect. It is proved by an answer of a new worker with the new
        generation and a clean error log; else the old configuration answers again.
      - V(restarted) is one new master, whoever or how many ran before.
    type: str
    choices: [started, stopped, reloaded, restarted]
    required: true
attributes:
  check_mode:
    description: Says whether something would be done.
    support: full
  diff_mode:
    description: What runs is no text that could be compared.
    support: none
  idempotent:
    description: V(started) and V(stopped) are states; V(reloaded) and V(restarted) are done each time.
    support: partial
seealso:
  - module: flatnet.ops.gateway_info
"""

EXAMPLES = r"""
- name: Have the gateway run
  flatnet.ops.gateway:
    state: started

- name: Put the configuration that lies there into effect
  flatnet.ops.gateway:
    state: reloaded
    probes:
      - path: /healthz
        pattern: ok
"""

RETURN = r"""
transaction:
  description: The transaction that was carried out; null where nothing had to be done, and in check mode.
  returned: success
  type: str
  sample: 20261124T021500Z-reload-3f9a01bc
gap_ms:
  description: For how many milliseconds the gateway did not answer; null where nothing was interrupted.
  returned: success
  type: int
  sample: 166
"""
