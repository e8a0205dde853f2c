# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host of a lab starts from: a root file system, container images and data, built once and cached."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import podman_compose

from tests.lab.image.ansible_core import ansible_versions
from tests.lab.image.containers import REGISTRY, STANDINS, build_images
from tests.lab.image.data import (
    make_application_files,
    make_dashboards,
    make_notes,
    make_prometheus_blocks,
    make_uploads,
)
from tests.lab.image.rootfs import build_rootfs
from tests.lab.machine import CACHE, LABS, lock, remove_tree, step

HERE = Path(__file__).parent
GENERATIONS = 2


@dataclass(frozen=True)
class Image:
    """A finished image in the cache; hosts only read it."""

    path: Path

    @property
    def rootfs(self) -> Path:
        """The root file system, used as the lower layer of an overlay."""
        return self.path / "rootfs"

    @property
    def images(self) -> Path:
        """An image store that Podman inside the hosts reads as an additional one."""
        return self.path / "images"

    @property
    def data(self) -> Path:
        """The content of the volumes of a full host, a directory per volume."""
        return self.path / "data"

    @property
    def files(self) -> Path:
        """What a full host has outside its volumes, laid out from its root."""
        return self.path / "files"


def compose_program() -> Path:
    """podman-compose as the lock file pins it: one file that runs with Debian's python3-yaml and python3-dotenv."""
    return Path(podman_compose.__file__)


def definition() -> str:
    """The hash of everything that decides how an image turns out."""
    digest = hashlib.sha256(f"{ansible_versions()} {REGISTRY}".encode())
    ours = sorted([*HERE.rglob("*"), *STANDINS.rglob("*")])
    files = [path for path in ours if path.is_file() and "__pycache__" not in path.parts]
    for path in [*files, compose_program()]:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def ensure_image() -> Image:
    """The image of this definition, from the cache or built now."""
    target = CACHE / f"lab-{definition()}"
    with lock(CACHE / "lab.lock"):
        remove_old_images()
        if not target.exists():
            build(target)
        os.utime(target)
    return Image(target)


def build(target: Path) -> None:
    """Build beside the target and rename: an image that exists is complete."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    image = Image(partial)
    build_rootfs(image.rootfs, HERE / "machine", compose_program())
    build_images(image.rootfs, image.images, HERE)
    with step("data: samples of Prometheus"):
        make_prometheus_blocks(image.rootfs, image.data / "prometheus_data")
    with step("data: files of the applications"):
        make_notes(image.data / "app_notes_data")
        make_application_files(image.data / "app_files_data")
        make_uploads(image.files / "srv/app-uploads")
    with step("data: dashboards of Grafana"):
        make_dashboards(image.data / "grafana_data")
    partial.rename(target)


def remove_old_images() -> None:
    """Keep the newest generations and what a lab still runs on; the caller holds the lock."""
    in_use = {link.readlink() for link in LABS.glob("*/image")}
    finished = sorted(CACHE.glob("lab-*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [*finished[GENERATIONS:], *CACHE.glob(".lab-*/")]:
        if path not in in_use:
            remove_tree(path)
