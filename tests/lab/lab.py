# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: hosts on a network of their own, a backup volume that outlives them, and an inventory for Ansible."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from tests.lab.host import Host, remove_host_files
from tests.lab.image import Image, ensure_image
from tests.lab.image.data import GRAFANA_LOGIN
from tests.lab.machine import LABS, RUN, RUNS, LabError, call, lock, remove_tree, require_programs, step, try_lock
from tests.lab.podman import BRIDGE, Podman
from tests.lab.windows.gateway import Gateway
from tests.lab.windows.image import WindowsImage, ensure_windows_image

SEEDS = ("full", "empty")
GATEWAY = "gateway"


class Lab:
    """Everything of a lab lies below one directory; leaving the `with` block removes it, however it is left.

    A process owns a lab by the lock that it holds. The kernel frees the lock of a killed process, and the next lab
    that starts removes what that process left. A kept lab belongs to a person and stays until it is taken down.
    """

    def __init__(self, name: str, *, keep: bool = False) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", name):
            raise LabError(f"A lab's name has at most 16 characters of a-z, 0-9 and -, a letter first; got {name!r}.")
        self.name = name
        self.keep = keep
        self.directory = LABS / name
        self.podman = podman_of(name)
        self._lock: int | None = None
        self._handlers: dict[signal.Signals, signal._HANDLER] = {}

    @property
    def backup_volume(self) -> Path:
        """What every host of the lab sees as /backup: a disk that outlives them."""
        return self.directory / "backup"

    @property
    def inventory(self) -> Path:
        """An inventory of the hosts that exist, for ansible-playbook --inventory."""
        return self.directory / "inventory.json"

    @property
    def key(self) -> Path:
        """The private SSH key that every host of the lab accepts."""
        return self.directory / "ssh_key"

    @property
    def image(self) -> Image:
        """The image that the lab's hosts start from."""
        return Image((self.directory / "image").readlink())

    @property
    def windows_image(self) -> WindowsImage:
        """The image that the lab's gateways start from."""
        return WindowsImage((self.directory / "windows-image").readlink())

    @property
    def host_key(self) -> str:
        """The key by which every host of the lab is known."""
        return " ".join((self.image.rootfs / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def __enter__(self) -> Lab:
        require_programs()
        sweep()
        held = try_lock(lock_of(self.name))
        if held is None:
            raise LabError(f"Another process uses the lab {self.name!r}: wait until it ends, or give another name.")
        if self.exists():
            os.close(held)
            raise LabError(f"The lab {self.name!r} is kept for a person: take it down, or give another name.")
        self._lock = held
        self._terminate_by_exception()
        try:
            self._create()
        # Also Ctrl-C: what was made so far has to go.
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.keep and error is None:
            (self.directory / "keep").touch()
        else:
            remove_lab(self.name)
        if self._lock is not None:
            os.close(self._lock)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _terminate_by_exception(self) -> None:
        """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that they clean up as well."""

        def unwind(number: int, _frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, unwind)

    def _create(self) -> None:
        image = ensure_image()
        self.backup_volume.mkdir(parents=True)
        (self.directory / "image").symlink_to(image.path)
        self.podman.configure(network=reserve_network(self.podman.run))
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self.write_inventory()

    def exists(self) -> bool:
        """Whether the lab's directory is there."""
        return self.directory.exists()

    def hosts(self) -> list[Host]:
        """The WSL2-like hosts that exist."""
        return [Host(self, name) for name, group in self._groups().items() if group != GATEWAY]

    def gateways(self) -> list[Gateway]:
        """The gateways that exist."""
        return [Gateway(self, name) for name, group in self._groups().items() if group == GATEWAY]

    def _groups(self) -> dict[str, str]:
        """Every container of the lab, and the group of the inventory that it belongs to."""
        return {each["Name"]: each["Config"]["Labels"]["flatnet-lab-group"] for each in self.podman.containers()}

    def address(self, name: str) -> str:
        """The address of a host or gateway in the lab's network."""
        return self.podman("inspect", "--format", "{{.NetworkSettings.Networks.lab.IPAddress}}", name)

    def host(self, name: str) -> Host:
        """The host of this name."""
        for host in self.hosts():
            if host.name == name:
                return host
        raise LabError(f"The lab {self.name!r} has no host {name!r}.")

    def new_host(
        self,
        name: str,
        *,
        group: str = "wsl",
        seed: str = "full",
        admin_api: bool = False,
        start: bool = True,
        gateway: Gateway | None = None,
    ) -> Host:
        """Make a host: with data and running, or with empty volumes for a restore (`seed="empty", start=False`).

        :param gateway: the Windows that it is the WSL2 of; without one, /mnt/c is a copy of the site's files
        """
        if seed not in SEEDS:
            raise LabError(f"The seed of a host is one of {', '.join(SEEDS)}; got {seed!r}.")
        host = Host(self, name)
        with step(f"{name}: new host, seed {seed}"):
            host.create(group, seed, admin_api, gateway.drive if gateway else None)
            if gateway:
                gateway.attach(host)
            self.write_inventory()
        if start:
            with step(f"{name}: start of the stack"):
                host.start_stack()
        return host

    def new_gateway(self, name: str) -> Gateway:
        """Make a gateway: Windows runs, nginx does not yet."""
        link = self.directory / "windows-image"
        if not link.is_symlink():
            link.symlink_to(ensure_windows_image().path)
        gateway = Gateway(self, name)
        with step(f"{name}: new gateway"):
            gateway.create()
            self.write_inventory()
        return gateway

    def write_inventory(self) -> None:
        """Write the inventory and the host keys that SSH shall expect."""
        groups: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
            "wsl": {"hosts": {}},
            "drill": {"hosts": {}},
        }
        known = self.directory / "known_hosts"
        lines = []
        for name, label in self._groups().items():
            group = groups.setdefault(label, {"hosts": {}})
            if label == GATEWAY:
                group["hosts"][name] = Gateway(self, name).variables
                continue
            port = Host(self, name).port("ssh")
            lines.append(f"[127.0.0.1]:{port} {self.host_key}\n")
            group["hosts"][name] = {
                "ansible_host": "127.0.0.1",
                "ansible_port": port,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self.key),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
                "ansible_python_interpreter": "/usr/bin/python3",
                "flatnet_site": self.name,
                "flatnet_grafana": GRAFANA_LOGIN,
            }
        known.write_text("".join(lines))
        self.inventory.write_text(json.dumps({"all": {"children": groups}}, indent=2) + "\n")


def lock_of(name: str) -> Path:
    """Return the lock that the owner of the lab holds."""
    return LABS / f"{name}.lock"


def podman_of(name: str) -> Podman:
    """Podman as the lab of this name uses it."""
    return Podman(home=LABS / name / "podman", run=RUN / name)


def reserve_network(run: Path) -> int:
    """A number that no other lab on this machine has for its network."""
    with lock(RUNS / "networks.lock"):
        used = {int(path.name.removeprefix("network-")) for path in RUNS.glob("*/*/network-*")}
        number = min(set(range(1, 255)) - used)
        run.mkdir(parents=True)
        (run / f"network-{number}").touch()
    return number


def lab_names() -> list[str]:
    """The names of all labs in this cache, also of those whose owner died."""
    return sorted(path.name for path in LABS.glob("*/"))


def sweep() -> None:
    """Remove the labs whose owner died, and kept ones that a reboot of the machine has ended."""
    for name in lab_names():
        kept = (LABS / name / "keep").exists() and (RUN / name).exists()
        held = None if kept else try_lock(lock_of(name))
        if held is not None:
            with step(f"lab {name}, left by a run that was killed: removal"):
                remove_lab(name)
            os.close(held)


def remove_lab(name: str) -> None:
    """Remove containers, network and files of a lab, however far its making got."""
    podman = podman_of(name)
    if (podman.home / "storage.conf").exists():
        podman.remove(*(container["Name"] for container in podman.containers()))
    for host in (LABS / name / "hosts").glob("*/"):
        remove_host_files(host)
    for reservation in podman.run.glob("network-*"):
        bridge = reservation.name.replace("network-", BRIDGE)
        if Path("/sys/class/net", bridge).exists():
            call("ip", "link", "delete", bridge)
    remove_tree(podman.run)
    remove_tree(LABS / name)
