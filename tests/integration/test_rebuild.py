# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that has nothing of the site becomes the site again by one restore."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab import Host, Lab
from tests.lab.host import APPLICATIONS, STACK
from tests.lab.play import play

pytestmark = pytest.mark.site

# What a new host has of its own are packages; the images are in a store that the lab's hosts share.
WIPE = """
podman rm --all --force --time 0
podman volume prune --force
rm -rf /opt/flatnet /mnt/c/openresty /srv/app-uploads /opt/cni/bin/flatnet-cni /etc/cni/net.d/flatnet.conflist
"""
HOURS = 20


def files(host: Host) -> str:
    """Every file of the applications, with its sum."""
    places = "/var/lib/containers/storage/volumes/app_files_data/_data /srv/app-uploads /mnt/c/openresty/conf /opt/flatnet/monitoring"
    return host.output("sh", "-c", f"find {places} -type f -print0 | sort -z | xargs -0 sha256sum")


def test_one_restore_makes_a_new_host_the_site(tmp_path: Path) -> None:
    with Lab(f"rebuild-{os.getpid()}") as lab:
        site = lab.new_host("wsl1")
        play(lab, "setup", tmp_path)
        play(lab, "backup", tmp_path)
        held = (site.samples(), site.lines(HOURS), files(site))
        site.destroy()
        new = lab.new_host("wsl1", seed="empty", start=False)
        new.run(["sh", "-euc", WIPE])
        play(lab, "setup", tmp_path)
        play(lab, "restore", tmp_path, "--check")
        assert new.output("podman", "ps", "--all", "--quiet") == ""
        play(lab, "restore", tmp_path)

        running = new.output("podman", "ps", "--format", "{{.Names}}").split()
        assert sorted(running) == sorted([*STACK, *APPLICATIONS])
        assert (new.samples(), new.lines(HOURS), files(new)) == held
