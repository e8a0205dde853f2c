#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_firewall``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_firewall
short_description: Have Windows' firewall let the gateway be reached
version_added: 1.0.0
description:
  - Makes one inbound rule, C(flatnet gateway), that allows TCP to O(port). A rule of that name that says something else goes when
    C(netsh) has taken the new one, which is called C(flatnet gateway (new)) until then, so that what C(netsh) refuses closes no port.
  - The rules are read from the registry, because what C(netsh) prints is in the language of the host, and changed by C(netsh).
  - Fails, and changes nothing, where a rule that is active blocks that port or the gateway's program, because the firewall gives
    it precedence. Windows itself makes such rules when somebody closes its question whether a program may be reached.
  - Where a group policy says that the host's own rules do not count, the rule is made all the same, and has no effect.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
options:
  state:
    description: Whether the rule has to be there.
    type: str
    choices: [present, absent]
    default: present
  remote:
    description:
      - From where the gateway may be reached, as C(netsh) takes it, such as V(10.0.0.0/8), V(10.0.0.5-10.0.0.9) or V(LocalSubnet).
        Anywhere where empty.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reads the rules, and says whether one would be made, replaced or removed.
    support: full
  diff_mode:
    description: Shows our rules as the registry has them, and the commands that make another one.
    support: full
  idempotent:
    description: A rule that is as it should be is left alone.
    support: full
seealso:
  - module: flatnet.ops.gateway_tasks
"""

EXAMPLES = r"""
- name: Let the neighbours reach the gateway
  flatnet.ops.gateway_firewall:
    remote: [LocalSubnet]

- name: Let everybody reach the gateway
  flatnet.ops.gateway_firewall:

- name: Leave the firewall as it was before this collection
  flatnet.ops.gateway_firewall:
    state: absent
"""

RETURN = r"""
rules:
  description: Our rules, as the registry has them now; in check mode, as it has them before.
  returned: success
  type: list
  elements: str
  sample: ['v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name=flatnet gateway|']
"""
