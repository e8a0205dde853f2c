#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_config``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_config
short_description: Roll out a configuration of the gateway on a Windows host
version_added: 1.0.0
description:
  - Puts a tree of configuration beside the live one, tries it with the gateway's own program, swaps the two, reloads, and asks for
    what has to be answered. What does not come out well brings the old tree back, and a reload with it.
  - Trying, swapping and proving are one transaction on the host, as with M(flatnet.ops.gateway); a connection that is cut meanwhile
    leaves the old configuration or the new one in effect, and the next command says which.
  - The tree has to include C(flatnet/identity*.conf) in the server on O(port), which answers C(/.flatnet/whoami) to this host alone.
    That answer proves that a new worker serves the new configuration. What lies in C(conf\flatnet) is this collection's own,
    and is carried over.
  - A file that differs from the live one in its line ends alone is the same, and a file that is replaced keeps the line ends that
    it had. Everything else is carried byte by byte, whatever it is encoded in.
  - Where the gateway does not run, the tree is tried and swapped in, and stays for the next start.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.gateway_probes
  - flatnet.ops.recorded
options:
  src:
    description:
      - The folder with the configuration on the controller, with C(nginx.conf) at its top. A file whose name ends with C(.j2) is a
        template, and comes out without that ending.
      - Either this or O(tree) is required.
    type: path
  tree:
    description:
      - In place of O(src), a configuration that was the gateway's own, as one text that M(flatnet.ops.backup_tree_info) has read from a
        backup. It is put back byte by byte, line ends too, but for what lies in C(flatnet).
    type: str
  purge:
    description:
      - Remove the files that lie in the live configuration and not in O(src) or O(tree).
    type: bool
    default: false
attributes:
  check_mode:
    description: The tree is put beside the live one, tried with the gateway's program, and removed.
    support: full
  diff_mode:
    description: Shows each file that would be written or removed.
    support: full
  idempotent:
    description: A tree that lies there and is in effect is left alone.
    support: full
seealso:
  - module: flatnet.ops.gateway
  - module: flatnet.ops.generation
"""

EXAMPLES = r"""
- name: Roll out the configuration of the gateway
  flatnet.ops.gateway_config:
    src: "{{ playbook_dir }}/files/conf"
    probes:
      - path: /healthz
        pattern: ok
"""

RETURN = r"""
added:
  description: The files that were not there.
  returned: success
  type: list
  elements: str
  sample: [conf.d/notes.conf]
replaced:
  description: The files that had another content.
  returned: success
  type: list
  elements: str
  sample: [nginx.conf]
removed:
  description: The files that went, with O(purge=true).
  returned: success
  type: list
  elements: str
  sample: []
transaction:
  description: The transaction that was carried out; null where nothing had to be done, and in check mode.
  returned: success
  type: str
  sample: 20261124T021500Z-rollout-3f9a01bc
transaction_state:
  description:
    - How the transaction stands that did not do what was asked, where one was begun. With C(undone), C(refused) and C(waiting) all is as
      before; what anything else has left is for M(flatnet.ops.gateway_info) to say.
  returned: failed
  type: str
  sample: undone
gap_ms:
  description: For how many milliseconds the gateway did not answer; null where nothing was interrupted.
  returned: success
  type: int
  sample: 0
"""
