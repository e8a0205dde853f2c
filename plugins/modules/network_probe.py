#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that containers can join a network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network_probe
short_description: Prove that containers can join a network
version_added: 1.0.0
description:
  - Sets up a container in the network, as far as its address; its program is never started. Then the container is removed, also
    if the module is killed.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  network:
    description:
      - The network.
    type: str
    default: flatnet
  image:
    description:
      - The image to make the container of; never pulled. That of some container of the host where not given; without any, nothing is
        proved, which is a warning.
    type: str
attributes:
  check_mode:
    description: Does nothing.
    support: full
  diff_mode:
    description: The host is afterwards as it was before.
    support: N/A
  idempotent:
    description: The host is afterwards as it was before.
    support: full
requirements:
  - Podman 4 and systemd on the host
seealso:
  - module: flatnet.ops.tree_restore
"""

EXAMPLES = r"""
- name: Does CNI let containers into flatnet?
  flatnet.ops.network_probe:
    network: flatnet
"""

RETURN = r"""
address:
  description: The address that the container was given; null if nothing could be proved.
  returned: success, outside of check mode
  type: str
  sample: 10.100.0.17
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: NotReady
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.network_probe import NetworkProbe
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS


def prove(module: AnsibleModule) -> Outcome:
    """Let a container in, and out again."""
    network = module.params["network"]
    if module.check_mode:
        return Outcome(False, f"a container would join network {network}")
    probe = NetworkProbe(Effects())
    image = module.params["image"] or probe.image()
    if image is None:
        words = f"network {network} is not proved: this host has no container whose image could join it"
        return Outcome(False, words, status="warning", values={"address": None})
    joined = probe.join(network, image)
    return Outcome(
        False,
        f"network {network} has let a container in, with address {joined.address}, and out again",
        evidence={"address": joined.address, "image": joined.image},
        values={"address": joined.address},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "network": {"type": "str", "default": "flatnet"},
            "image": {"type": "str"},
        },
        supports_check_mode=True,
    )
    carry_out(module, f"network {module.params['network']}", lambda: prove(module))


if __name__ == "__main__":
    main()
