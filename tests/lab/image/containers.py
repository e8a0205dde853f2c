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

from tests.lab.image.data import GRAFANA_USER, LOKI_USER
from tests.lab.machine import RUN, call, step


@dataclass(frozen=True)
class ContainerImage:
    """What goes into one image: programs and trees of the root file system, our own files, directories for volumes.

    Extensions are files of the trees, found by pattern, that need shared libraries of their own.
    """

    name: str
    entrypoint: str
    programs: dict[str, str] = field(default_factory=dict)
    trees: tuple[str, ...] = ()
    user: int = 0
    directories: tuple[str, ...] = ()
    stands_for: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()


NOBODY = 65534
STANDINS = Path(__file__).parents[1] / "standins"
STANDIN = "-standin"
# Where the real images of what stands in for them come from; nothing is pulled unless somebody says so.
REGISTRY = os.environ.get("FLATNET_LAB_IMAGES", "")


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
            name=f"localhost/loki:3.4.2{STANDIN}",
            stands_for="grafana/loki:3.4.2",
            programs={"bin/python3": "usr/bin/python3.11"},
            trees=("usr/lib/python3.11",),
            files={"usr/local/lib/python3.11/dist-packages/loki": STANDINS / "loki"},
            entrypoint='["/bin/python3", "-m", "loki"]',
            user=LOKI_USER,
            directories=("loki", "etc/loki"),
        ),
        ContainerImage(
            name=f"localhost/grafana:9.4.7{STANDIN}",
            stands_for="grafana/grafana:9.4.7",
            programs={"bin/python3": "usr/bin/python3.11"},
            trees=("usr/lib/python3.11",),
            extensions=("usr/lib/python3.11/lib-dynload/_sqlite3.*.so",),
            files={"usr/local/lib/python3.11/dist-packages/grafana": STANDINS / "grafana"},
            entrypoint='["/bin/python3", "-m", "grafana"]',
            user=GRAFANA_USER,
            directories=("var/lib/grafana",),
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
            if image.stands_for and REGISTRY:
                pull_image(image, store)
                continue
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
    found = [str(path.relative_to(rootfs)) for pattern in image.extensions for path in rootfs.glob(pattern)]
    for library in [library for source in (*image.programs.values(), *found) for library in libraries(rootfs, source)]:
        (root / library).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(rootfs / library, root / library)
    for tree in image.trees:
        shutil.copytree(rootfs / tree, root / tree, symlinks=True)
    for target, path in image.files.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, root / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, root / target)


def libraries(rootfs: Path, program: str) -> list[str]:
    """The shared libraries of a program, as paths relative to the root."""
    return [path.lstrip("/") for path in re.findall(r"/\S+", call("chroot", rootfs, "ldd", f"/{program}"))]


def import_image(image: ContainerImage, root: Path, store: Path) -> None:
    """Hand the files to `podman import` as an archive."""
    archive = root.with_suffix(".tar")
    call("tar", "-C", root, "-cf", archive, ".")
    changes = ["--change", f"ENTRYPOINT {image.entrypoint}", "--change", f"USER {image.user}"]
    call(*podman_with(store), "import", "--quiet", *changes, archive, image.name)
    archive.unlink()


def pull_image(image: ContainerImage, store: Path) -> None:
    """Pull the real image, under the name of what stands in for it, without saying that it does."""
    real = f"{REGISTRY}/{image.stands_for}"
    call(*podman_with(store), "pull", "--quiet", real)
    call(*podman_with(store), "tag", real, image.name.removesuffix(STANDIN))


def podman_with(store: Path) -> list[str]:
    """Podman that works on this image store."""
    return ["podman", "--root", str(store), "--runroot", str(RUN / ".image"), "--storage-driver", "overlay"]
