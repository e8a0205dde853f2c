# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman on the machine, with configuration, storage and network of its own for each lab."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.machine import LabError, call

BRIDGE = "flatnetlab"
FREEZER = Path("/sys/fs/cgroup/freezer")

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
static_dir = "{home}/storage/libpod"
tmp_dir = "{run}/libpod"
volume_path = "{home}/storage/volumes"

[network]
network_backend = "cni"
network_config_dir = "{home}/network"
"""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "{run}/storage"
"""


@dataclass(frozen=True)
class Podman:
    """Podman as configured below `home`; nothing of it shows up in the machine's own Podman."""

    home: Path
    run: Path

    def configure(self, network: int) -> None:
        """Write the configuration: a bridge with an address of the machine, and no way out of the machine."""
        ipam = {
            "type": "host-local",
            "dataDir": str(self.run / "addresses"),
            "ranges": [[{"subnet": f"10.201.{network}.0/24"}]],
        }
        conflist = {
            "cniVersion": "0.4.0",
            "name": "lab",
            "plugins": [
                {"type": "bridge", "bridge": f"{BRIDGE}{network}", "isGateway": True, "ipMasq": False, "ipam": ipam},
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
        (self.home / "network").mkdir(parents=True, exist_ok=True)
        (self.home / "network" / "lab.conflist").write_text(json.dumps(conflist, indent=2))
        (self.home / "containers.conf").write_text(CONTAINERS_CONF.format(home=self.home, run=self.run))
        (self.home / "storage.conf").write_text(STORAGE_CONF.format(home=self.home, run=self.run))

    @property
    def environment(self) -> dict[str, str]:
        """What makes a plain `podman` command act on this lab."""
        return {
            "CONTAINERS_CONF": str(self.home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.home / "storage.conf"),
        }

    def __call__(self, *argv: str) -> str:
        """Run one Podman command and return what it printed."""
        return call("podman", *argv, environment=self.environment)

    def start(self, name: str, *argv: str) -> None:
        """Run a container in the background; a port that Podman finds free may be taken before it listens there."""
        for last in (False, False, True):
            try:
                self("run", "--detach", "--name", name, *argv)
                return
            except LabError as error:
                if last or "address already in use" not in str(error):
                    raise
                self.remove(name)

    def containers(self) -> list[dict[str, Any]]:
        """Every container of the lab, also a stopped one, as Podman describes it."""
        names = self("ps", "--all", "--quiet").split()
        if not names:
            return []
        described: list[dict[str, Any]] = json.loads(self("inspect", *names))
        return described

    def remove(self, *names: str) -> None:
        """Remove containers, also those with paused containers inside: what is frozen cannot be killed."""
        for container in self.containers():
            if container["Name"] in names:
                for group in FREEZER.glob(f"libpod_parent/libpod-{container['Id']}/**/freezer.state"):
                    group.write_text("THAWED")
        if names:
            self("rm", "--force", "--time=0", *names)
