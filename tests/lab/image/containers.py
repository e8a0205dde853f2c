# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container images inside a host: Debian's real programs, laid out as the official images are."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.machine import RUN, call, step


@dataclass(frozen=True)
class ContainerImage:
    """What goes into one image: programs and trees of the root file system, our own files, directories for volumes."""

    name: str
    entrypoint: str
    programs: dict[str, str] = field(default_factory=dict)
    trees: tuple[str, ...] = ()
    user: int = 0
    directories: tuple[str, ...] = ()
    files: dict[str, Path] = field(default_factory=dict)


NOBODY = 65534


def container_images(scripts: Path) -> tuple[ContainerImage, ...]:
    """The images of the monitoring stack and of the two applications."""
    return (
        ContainerImage(
            name="localhost/prometheus:2.42.0",
            programs={"bin/prometheus": "usr/bin/prometheus", "bin/promtool": "usr/bin/promtool"},
            entrypoint='["/bin/prometheus"]',
            user=NOBODY,
            directories=("prometheus", "etc/prometheus"),
        ),
        ContainerImage(
            name="localhost/alertmanager:0.25.0",
            programs={"bin/alertmanager": "usr/bin/prometheus-alertmanager"},
            trees=("usr/share/prometheus/alertmanager",),
            entrypoint='["/bin/alertmanager"]',
            user=NOBODY,
            directories=("alertmanager", "etc/alertmanager"),
        ),
        ContainerImage(
            name="localhost/node-exporter:1.5.0",
            programs={"bin/node_exporter": "usr/bin/prometheus-node-exporter"},
            entrypoint='["/bin/node_exporter"]',
            user=NOBODY,
        ),
        ContainerImage(
            name="localhost/app-notes:1.0",
            files={"app-notes": scripts / "app-notes.sh"},
            entrypoint='["/app-notes"]',
            user=1000,
            directories=("data",),
        ),
        ContainerImage(
            name="localhost/app-files:1.0",
            files={"app-files": scripts / "app-files.sh"},
            entrypoint='["/app-files"]',
            directories=("srv",),
        ),
    )


def build_images(rootfs: Path, store: Path, scripts: Path) -> None:
    """Import every image into a store that Podman inside the hosts reads but never writes."""
    with step("container images"):
        for image in container_images(scripts):
            with tempfile.TemporaryDirectory(dir=rootfs.parent) as directory:
                lay_out(image, rootfs, Path(directory))
                import_image(image, Path(directory), store)
        for lock in ("overlay-images/images.lock", "overlay-layers/layers.lock"):
            (store / lock).touch()


def lay_out(image: ContainerImage, rootfs: Path, root: Path) -> None:
    """Put the image's files where they belong, with busybox as the shell and the libraries that the programs name."""
    root.chmod(0o755)
    for directory in ("bin", "etc", "tmp", *image.directories):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for directory in image.directories:
        os.chown(root / directory, image.user, image.user)
    shutil.copy(rootfs / "usr/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "cat", "httpd", "ls", "mv", "sleep", "tail", "touch"):
        (root / "bin" / applet).symlink_to("busybox")
    for target, source in image.programs.items():
        shutil.copy(rootfs / source, root / target)
        for library in libraries(rootfs, source):
            (root / library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(rootfs / library, root / library)
    for tree in image.trees:
        shutil.copytree(rootfs / tree, root / tree, symlinks=True)
    for target, path in image.files.items():
        shutil.copy(path, root / target)


def libraries(rootfs: Path, program: str) -> list[str]:
    """The shared libraries of a program, as paths relative to the root."""
    return [path.lstrip("/") for path in re.findall(r"/\S+", call("chroot", rootfs, "ldd", f"/{program}"))]


def import_image(image: ContainerImage, root: Path, store: Path) -> None:
    """Hand the files to `podman import` as an archive."""
    archive = root.with_suffix(".tar")
    call("tar", "-C", root, "-cf", archive, ".")
    podman = ["podman", "--root", str(store), "--runroot", str(RUN / ".image"), "--storage-driver", "overlay"]
    changes = ["--change", f"ENTRYPOINT {image.entrypoint}", "--change", f"USER {image.user}"]
    call(*podman, "import", "--quiet", *changes, archive, image.name)
    archive.unlink()
