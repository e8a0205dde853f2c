# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of a host that behaves as WSL2 with Debian does."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.image.ansible_core import install_ansible
from tests.lab.machine import call, step

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "acl",
    "attr",
    "busybox-static",
    "containernetworking-plugins",
    "crun",
    "curl",
    "dbus",
    "faketime",
    "iproute2",
    "iptables",
    "less",
    "libnginx-mod-http-lua",
    "nginx-light",
    "openssh-server",
    "podman",
    "procps",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "python3",
    "python3-dotenv",
    "python3-apt",
    "python3-requests",
    "python3-yaml",
    "restic",
    "rsync",
    "systemd",
    "systemd-sysv",
)
MASKED = (
    "getty.target",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
)
DISABLED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "nginx.service",
    "podman-auto-update.service",
    "podman-auto-update.timer",
    "podman-restart.service",
    "podman.service",
    "podman.socket",
    "prometheus-alertmanager.service",
    "prometheus-node-exporter.service",
    "prometheus.service",
)


def build_rootfs(rootfs: Path, machine: Path, compose: Path) -> None:
    """Debian's packages, the files below `machine`, podman-compose, ansible-core, and only the services that the lab wants."""
    rootfs.mkdir(parents=True)
    with step(f"root file system: debootstrap of {SUITE}, about 90 s"):
        debootstrap(rootfs)
    with step("root file system: configuration"):
        shutil.copytree(machine, rootfs, dirs_exist_ok=True)
        program = rootfs / "usr/local/bin/podman-compose"
        shutil.copy(compose, program)
        program.chmod(0o755)
        install_ansible(rootfs)
        systemctl(rootfs, "mask", *MASKED)
        systemctl(rootfs, "disable", *DISABLED)
        systemctl(rootfs, "enable", "lab-cgroups.service")
        for path in (rootfs / "var/cache/apt/archives").glob("*.deb"):
            path.unlink()


def debootstrap(rootfs: Path) -> None:
    """Run debootstrap with mounts and processes of its own, so that a killed build leaves neither behind."""
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    call(*alone, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, rootfs, MIRROR)


def systemctl(rootfs: Path, *argv: str) -> None:
    """Change the enablement of units in a root file system that does not run."""
    call("chroot", rootfs, "systemctl", "--quiet", *argv)
