# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throwaway container that joins a network: the proof that CNI works."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, NotReady
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY, guarded, quote

GUARD_SECONDS = 120


@dataclass(frozen=True)
class Joined:
    """How a container has joined a network; ``seconds`` from its creation to its removal."""

    address: str
    image: str
    seconds: float


class NetworkProbe:
    """Lets a container join a network, and removes it again."""

    def __init__(self, effects: Effects, undo_directory: Path = UNDO_DIRECTORY) -> None:
        self._effects = effects
        self._undo_directory = undo_directory

    def image(self) -> str | None:
        """An image that a container of this host is made of: nothing of it runs; None if there is none."""
        return next(iter(run(["podman", "ps", "--all", "--format", "{{.ImageID}}"]).stdout.split()), None)

    def join(self, network: str, image: str) -> Joined:
        """Set up a container in the network, up to the point where its program would start.

        :raises NotReady: CNI does not let it in, or gives it no address
        """
        began = time.monotonic()
        name = f"flatnet-probe-{secrets.token_hex(4)}"
        remove = ["podman", "rm", "--force", "--volumes", "--time", "0", name]
        with guarded(self._effects, "probe", GUARD_SECONDS, self._undo_directory) as guard:
            guard.promise([f"! {quote(['podman', 'container', 'exists', name])} || {quote(remove)}"])
            try:
                guard.run(["podman", "create", "--pull=never", "--name", name, "--network", network, image])
                guard.run(["podman", "init", name])
            except CommandFailed as error:
                raise NotReady(
                    f"a container was expected to join network {network}, and could not: {error}; look at /etc/cni/net.d and at"
                    " the plugins in /opt/cni/bin"
                ) from error
            described = json.loads(run(["podman", "container", "inspect", name]).stdout)[0]
            address = described["NetworkSettings"]["Networks"][network]["IPAddress"]
            guard.run(remove)
            guard.keep()
        if not address:
            raise NotReady(
                f"network {network} was expected to give a container an address, and gave none: look at its ipam"
            )
        return Joined(address, image, time.monotonic() - began)
