#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_config_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_config_info
short_description: Read the configuration of the gateway on a Windows host
version_added: 1.0.0
description:
  - Returns every file of the configuration, byte for byte, as one text that M(flatnet.ops.generation) takes on a host which does not
    see the gateway's drive. Changes nothing, and takes one round trip.
  - A configuration that somebody changes while it is read is refused.
  - The text may hold secrets. A task that registers it should say C(no_log).
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
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
  - module: flatnet.ops.gateway_config
  - module: flatnet.ops.generation
"""

EXAMPLES = r"""
- name: Read the configuration of the gateway
  flatnet.ops.gateway_config_info:
  register: found
  no_log: true

- name: Put it back, whatever has become of it meanwhile
  flatnet.ops.gateway_config:
    tree: "{{ found.tree }}"
    purge: true
"""

RETURN = r"""
tree:
  description: The folder of O(configuration) with everything in it, as one text.
  returned: success
  type: str
files:
  description: How many files it holds.
  returned: success
  type: int
  sample: 12
bytes:
  description: Their size.
  returned: success
  type: int
  sample: 30211
"""
