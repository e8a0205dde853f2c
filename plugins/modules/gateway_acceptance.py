#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_acceptance``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_acceptance
short_description: Try on a real Windows host what no other one can show
version_added: 1.0.0
description:
  - Looks at what the collection takes for granted of Windows and could never be tried in a test, says of each whether it is so, with
    the evidence, and writes that to a file on the controller. Fails where a check has failed.
  - Each check is V(verified), V(failed) or V(not_tried), which never counts as verified. On a host that is not a real Windows, nothing
    is verified.
  - Reloads the gateway, where the configuration that lies there is the one that is in effect, so that nothing else comes into effect.
  - Run it once on a host that M(flatnet.ops.gateway_tasks) has prepared, and again after an upgrade of Windows.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
options:
  account:
    description:
      - The account that the tasks run as, as O(flatnet.ops.gateway_tasks#module:account) was given it.
    type: str
    required: true
  distribution:
    description:
      - The distribution of WSL2 that is kept, as O(flatnet.ops.gateway_tasks#module:distribution) was given it. Nothing is said of WSL2
        where it is empty.
    type: str
    default: ""
  path:
    description:
      - Where the result is written on the controller, as JSON. C(docs/formats/windows-acceptance.md) describes it.
    type: path
    required: true
  reboot:
    description:
      - Roll out a copy of the configuration that is in effect; restart Windows, and see the gateway come back; then end its processes,
        and see it come back again. Requests fail meanwhile, for some minutes.
    type: bool
    default: false
attributes:
  check_mode:
    description: Looks only, neither reloads nor restarts, and writes nothing.
    support: full
  diff_mode:
    description: What it does leaves nothing different.
    support: none
  idempotent:
    description: Reloads the gateway each time.
    support: none
seealso:
  - module: flatnet.ops.gateway_info
  - module: flatnet.ops.gateway_tasks
"""

EXAMPLES = r"""
- name: Try what only a real Windows host can show
  flatnet.ops.gateway_acceptance:
    account: operator
    path: acceptance-{{ inventory_hostname }}.json
"""

RETURN = r"""
checks:
  description: Every check, with C(id), C(verdict) and what was C(found).
  returned: always
  type: list
  elements: dict
  sample:
    - {id: powershell, verdict: verified, found: 'version 5.1.26100.2161, edition Desktop, FullLanguage'}
path:
  description: The file with the evidence; null in check mode.
  returned: always
  type: str
  sample: /home/operator/flatnet-reports/20261201T092914Z-windows_acceptance-3f9a/acceptance-gateway1.json
"""
