# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save what it takes to make every container of a host again: who made it and how, its image, networks, volumes and pod.

``CONTAINER/inspect.json`` is what Podman says of it, ``CONTAINER/made-by.json`` how it came to be. ``images.json``,
``networks.json``, ``volumes.json`` and ``pods.json`` describe what containers need, and ``images/ID.tar`` is an image itself.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.create_command import create_again
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, disk_full, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, DiskFull, SourceRefused
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import Previous

SOURCE = "containers"
COMPOSE, UNIT, COMMAND, UNKNOWN = "compose", "unit", "command", "unknown"
INSPECT, MADE_BY = "inspect.json", "made-by.json"
IMAGES, NETWORKS, VOLUMES, PODS = "images.json", "networks.json", "volumes.json", "pods.json"
ARCHIVES = "images"
# Where an administrator's units and quadlets are; those of packages come with their package, all others go with a reboot.
UNIT_DIRECTORIES = (
    Path("/etc/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/etc/containers/systemd"),
    Path("/usr/share/containers/systemd"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OCI = "application/vnd.oci."


@dataclass(frozen=True)
class UnitFile:
    """A file that systemd reads, directly or through Podman's generator."""

    path: str
    text: str


@dataclass(frozen=True)
class MadeBy:
    """What made a container; what does not apply is empty."""

    how: str
    command: tuple[str, ...] = ()
    project: str = ""
    directory: str = ""
    files: tuple[str, ...] = ()
    service: str = ""
    unit: str = ""
    enabled: bool = False
    unit_files: tuple[UnitFile, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Image:
    """An image that containers use; ``archive`` is its file in the set, if it was saved."""

    id: str
    names: tuple[str, ...]
    digest: str
    pull: tuple[str, ...]
    containers: tuple[str, ...]
    archive: str | None


@dataclass(frozen=True)
class Definition:
    """One container: what Podman says of it, and what made it."""

    inspect: Mapping[str, Any]
    made_by: MadeBy

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.inspect["Name"])

    @property
    def image(self) -> str:
        """The id of its image; empty if it has none."""
        return str(self.inspect["Image"])

    @property
    def image_name(self) -> str:
        """What its image was called when it was made."""
        return str(self.inspect["ImageName"])

    @property
    def networks(self) -> list[str]:
        """The networks that it is connected to."""
        return list(self.inspect["NetworkSettings"].get("Networks") or ())

    @property
    def volumes(self) -> list[str]:
        """The volumes that it mounts."""
        return [mount["Name"] for mount in self.inspect["Mounts"] if mount.get("Type") == "volume"]


class ContainersBackup:
    """Saves the definitions of all containers."""

    def __init__(self, effects: Effects, podman: Podman, images: bool) -> None:
        """:param images: save the images as well, which a host without a registry needs"""
        self._effects = effects
        self._podman = podman
        self._images = images

    def found(self) -> list[Definition]:
        """Every container of this host, by name; what Podman itself adds to a pod comes with the pod.

        :raises SourceRefused: the name of one cannot be a name in the set
        """
        own = (IMAGES, NETWORKS, VOLUMES, PODS, ARCHIVES)
        found = [one for one in self._podman.described() if not one.get("IsInfra")]
        for one in found:
            if not _NAME.fullmatch(one["Name"]) or one["Name"] in own:
                raise SourceRefused(
                    f"container '{tree.shown(one['Name'])}' was expected to have a name that can be a directory's beside"
                    f" {', '.join(own)}: give it another one with 'podman rename'; the earlier sets are untouched"
                )
        return [Definition(one, made_by(one)) for one in found]

    def save(self, filling: Filling, found: Sequence[Definition]) -> Source:
        """Write the definitions into the set and enter them there.

        :param found: as :meth:`found` has returned it
        :raises DiskFull: there is no room for an image
        """
        began = time.monotonic()
        shelf = _Shelf(self._effects, filling.place(SOURCE), filling.previous(SOURCE))
        for one in found:
            shelf.put(f"{one.name}/{INSPECT}", one.inspect)
            shelf.put(f"{one.name}/{MADE_BY}", {name: value for name, value in asdict(one.made_by).items() if value})
        images = self._saved_images(shelf, found)
        networks, volumes, pods = self._podman.networks(), self._podman.volumes(), self._podman.pods()
        shelf.put(IMAGES, [asdict(image) for image in images])
        for name, described in ((NETWORKS, networks), (VOLUMES, volumes), (PODS, pods)):
            shelf.put(name, described)
        listing = tree.list_tree(shelf.place, shelf.known)
        totals = tree.totals(listing)
        ways = [one.made_by.how for one in found]
        source = Source(
            name=SOURCE,
            kind=SOURCE,
            origin="podman",
            consistency="snapshot",
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=len(shelf.linked),
            linked_bytes=sum(listing[name].size for name in shelf.linked),
            seconds=time.monotonic() - began,
            containers=tuple(one.name for one in found),
            software={"podman": self._podman.version()},
            facts={
                "containers": len(found),
                **{way: ways.count(way) for way in (COMPOSE, UNIT, COMMAND, UNKNOWN)},
                "images": len(images),
                "images_saved": len([image for image in images if image.archive]),
                "networks": len(networks),
                "volumes": len(volumes),
                "pods": len(pods),
            },
        )
        filling.add(source, listing)
        return source

    def _saved_images(self, shelf: _Shelf, found: Sequence[Definition]) -> list[Image]:
        described = self._podman.images({one.image for one in found if one.image})
        images = []
        for one in sorted(described, key=lambda one: str(one["Id"])):
            archive = None
            if self._images:
                archive = f"{ARCHIVES}/{one['Id']}.tar"
                # An image that is converted has another id when it is loaded.
                form = "oci-archive" if one["ManifestType"].startswith(_OCI) else "docker-archive"
                shelf.put_image(archive, one["Id"], form)
            images.append(
                Image(
                    id=one["Id"],
                    names=tuple(sorted(one.get("RepoTags") or ())),
                    digest=one["Digest"],
                    pull=tuple(sorted(one.get("RepoDigests") or ())),
                    containers=tuple(each.name for each in found if each.image == one["Id"]),
                    archive=archive,
                )
            )
        return images


class _Shelf:
    """The files of the source; one that the earlier set has alike becomes a hard link to it."""

    def __init__(self, effects: Effects, place: Path, previous: Previous | None) -> None:
        self._effects = effects
        self._previous = previous
        self.place = place
        self.known: dict[bytes, str] = {}
        self.linked: list[str] = []
        effects.make_directory(place, 0o700)

    def put(self, name: str, content: object) -> None:
        """Write an object as JSON."""
        path = self._path(name)
        data = dump(content)
        earlier = self._previous.path / name if self._previous else None
        if earlier is not None and earlier.is_file() and earlier.read_bytes() == data:
            self._link(earlier, path, name)
        else:
            self._effects.write(path, data)

    def put_image(self, name: str, image: str, form: str) -> None:
        """Save an image, unless the earlier set has it: an id stands for one content."""
        path = self._path(name)
        earlier = self._previous.path / name if self._previous else None
        item = self._previous.listing.get(name) if self._previous else None
        usable = self._previous is not None and name not in self._previous.unusable
        if earlier and item and item.sha256 and usable and earlier.is_file() and earlier.stat().st_size == item.size:
            self._link(earlier, path, name)
            self.known[tree.raw(name)] = item.sha256
            return
        argv = ["podman", "save", "--quiet", "--format", form, "--output", str(path), image]
        try:
            self._effects.run(argv, bound=True)
        except CommandFailed as error:
            if "no space left on device" not in str(error).lower():
                raise
            raise DiskFull(disk_full(path, str(error))) from error
        self._effects.run(["chmod", "0400", str(path)])

    def _path(self, name: str) -> Path:
        path = self.place / name
        self._effects.make_directory(path.parent, 0o700)
        return path

    def _link(self, earlier: Path, path: Path, name: str) -> None:
        self._effects.link(earlier, path)
        self.linked.append(name)


def dump(content: object) -> bytes:
    """An object as its file holds it."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def load(data: bytes) -> Any:
    """The object that a file holds.

    :raises ValueError: it holds none
    """
    return json.loads(data.decode("utf-8", "surrogateescape"))


def load_made_by(stored: Mapping[str, Any]) -> MadeBy:
    """What made a container, from its file."""
    lists = {name: tuple(stored[name]) for name in ("command", "files") if name in stored}
    units = tuple(UnitFile(**file) for file in stored.get("unit_files", ()))
    return MadeBy(**{**stored, **lists, "unit_files": units})


def load_image(stored: Mapping[str, Any]) -> Image:
    """An image of :data:`IMAGES`."""
    lists = {name: tuple(stored[name]) for name in ("names", "pull", "containers")}
    return Image(**{**stored, **lists})


def made_by(container: Mapping[str, Any]) -> MadeBy:
    """What made a container, by what it carries: a compose file, a unit of systemd, or a command."""
    labels = container["Config"].get("Labels") or {}
    if labels.get("io.podman.compose.project"):
        directory = labels.get("com.docker.compose.project.working_dir", "")
        names = labels.get("com.docker.compose.project.config_files", "").split(",")
        return MadeBy(
            how=COMPOSE,
            project=labels["io.podman.compose.project"],
            directory=directory,
            files=tuple(str(Path(directory, name)) for name in names),
            service=labels.get("com.docker.compose.service", ""),
        )
    unit = labels.get("PODMAN_SYSTEMD_UNIT")
    by_unit = _by_unit(unit) if unit else None
    if by_unit is not None:
        return by_unit
    command = tuple(container["Config"].get("CreateCommand") or ())
    try:
        create_again(container)
    except ValueError as error:
        return MadeBy(UNKNOWN, command, problem=str(error))
    return MadeBy(COMMAND, command)


def _by_unit(unit: str) -> MadeBy | None:
    """The unit and its drop-ins; None if they would not be there after a reboot, or come with a package."""
    wanted = "--property=FragmentPath,SourcePath,DropInPaths,UnitFileState"
    lines = run(["systemctl", "show", wanted, "--", unit]).stdout.splitlines()
    shown = {name: value for name, _equals, value in (line.partition("=") for line in lines)}
    main = Path(shown.get("SourcePath") or shown.get("FragmentPath") or "/")
    if not is_unit_file(main):
        return None
    drop_ins = [Path(path) for path in shown.get("DropInPaths", "").split()]
    files = [main, *(path for path in drop_ins if is_unit_file(path))]
    return MadeBy(
        how=UNIT,
        unit=unit,
        enabled=shown.get("UnitFileState") == "enabled",
        unit_files=tuple(UnitFile(str(path), path.read_text("utf-8", "surrogateescape")) for path in files),
    )


def is_unit_file(path: Path) -> bool:
    """Whether a file is in one of an administrator's directories of units."""
    return ".." not in path.parts and any(directory in path.parents for directory in UNIT_DIRECTORIES)
