# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Podman as the workflows see it: containers, what they mount, and how they are quiesced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, UsageError

STOP_SECONDS = 30


@dataclass(frozen=True)
class Mount:
    """A place of the host that a container sees."""

    source: Path
    destination: Path
    volume: str | None
    writable: bool = True


@dataclass(frozen=True)
class Container:
    """One container as Podman describes it."""

    name: str
    status: str
    mounts: tuple[Mount, ...]
    image: str

    @property
    def running(self) -> bool:
        """Its processes run now."""
        return self.status == "running"

    @property
    def at_rest(self) -> bool:
        """It has no processes."""
        return self.status in ("configured", "created", "exited", "initialized", "stopped")

    def host_path(self, inside: Path) -> Path | None:
        """Where on the host a path inside the container lies, if a mount covers it."""
        for mount in sorted(self.mounts, key=lambda mount: len(mount.destination.parts), reverse=True):
            if mount.destination == inside or mount.destination in inside.parents:
                return mount.source / inside.relative_to(mount.destination)
        return None


class Podman:
    """The ``podman`` command of this host."""

    def containers(self) -> list[Container]:
        """Every container, running or not, by name."""
        return [_container(one) for one in self.described()]

    def described(self) -> list[dict[str, Any]]:
        """Every container in Podman's own words, by name; one that vanishes meanwhile is left out."""
        names = self._names()
        while names:
            got = run(["podman", "container", "inspect", *names], expect=(0, 125))
            if got.code == 0:
                described: list[dict[str, Any]] = json.loads(got.stdout)
                return sorted(described, key=lambda one: str(one.get("Name")))
            now = self._names()
            if now == names:
                raise CommandFailed(
                    "'podman container inspect' was expected to describe every container of this host, and said"
                    f" '{got.stderr.strip()[-300:]}': see what it says to the containers of 'podman ps --all'"
                )
            names = now
        return []

    def container(self, name: str) -> Container:
        """One container.

        :raises UsageError: it does not exist
        """
        got = run(["podman", "container", "inspect", name], expect=(0, 125))
        if got.code:
            known = ", ".join(container.name for container in self.containers()) or "none"
            raise UsageError(f"container '{name}' was expected on this host; 'podman ps --all' shows {known}")
        return _container(json.loads(got.stdout)[0])

    def statuses(self, names: list[str]) -> dict[str, str]:
        """The states of some containers, by one question; ``removed`` where one is gone."""
        got = run(["podman", "container", "inspect", "--format", "{{.State.Status}}", *names], expect=(0, 125))
        if got.code == 0:
            return dict(zip(names, got.stdout.split()))
        there = {container.name: container.status for container in self.containers()}
        return {name: there.get(name, "removed") for name in names}

    def mountpoint(self, volume: str) -> Path | None:
        """Where a volume's files lie; None if there is no such volume."""
        got = run(["podman", "volume", "inspect", "--format", "{{.Mountpoint}}", volume], expect=(0, 125))
        return Path(got.stdout.strip()) if got.code == 0 else None

    def images(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """These images in Podman's own words."""
        return _inspected("image", sorted(ids))

    def networks(self) -> list[dict[str, Any]]:
        """Every network in Podman's own words, by name."""
        return _inspected("network", sorted(run(["podman", "network", "ls", "--quiet"]).stdout.split()))

    def volumes(self) -> list[dict[str, Any]]:
        """Every volume in Podman's own words, by name."""
        return _inspected("volume", sorted(run(["podman", "volume", "ls", "--quiet"]).stdout.split()))

    def pods(self) -> list[dict[str, Any]]:
        """Every pod in Podman's own words, by name."""
        names = sorted(run(["podman", "pod", "ls", "--format", "{{.Name}}"]).stdout.split())
        # Podman 4 describes one pod at a time, and not in a list.
        found = [json.loads(run(["podman", "pod", "inspect", name]).stdout) for name in names]
        return [pod for one in found for pod in (one if isinstance(one, list) else [one])]

    def exists(self, what: str, name: str) -> bool:
        """Whether there is a ``container``, ``image``, ``network``, ``pod`` or ``volume`` of this name."""
        return run(["podman", what, "exists", name], expect=(0, 1)).code == 0

    def created(self, container: str) -> int:
        """When a container was made, in seconds since the epoch."""
        return int(run(["podman", "container", "inspect", "--format", "{{.Created.Unix}}", container]).stdout)

    def image_id(self, name: str) -> str:
        """Which image has this name."""
        return run(["podman", "image", "inspect", "--format", "{{.Id}}", name]).stdout.strip()

    def version(self) -> str:
        """The version of Podman."""
        return run(["podman", "--version"]).stdout.split()[-1]

    def _names(self) -> list[str]:
        return run(["podman", "ps", "--all", "--quiet", "--no-trunc"]).stdout.split()

    def using(self, path: Path, writing: bool = False) -> list[Container]:
        """The containers that mount this path or something below it, or that can write to it by a directory above it.

        :param writing: only those that can write there
        """
        wanted = path.resolve()

        def touches(mount: Mount) -> bool:
            source = mount.source.resolve()
            inside = source == wanted or wanted in source.parents
            return (inside or (source in wanted.parents and mount.writable)) and (mount.writable or not writing)

        return [container for container in self.containers() if any(map(touches, container.mounts))]


def quiesce_command(how: str, names: list[str]) -> list[str]:
    """The command line that puts running containers to rest, stopped ones with the time that their databases need.

    :param how: ``paused`` or ``stopped``
    """
    return ["podman", "pause", *names] if how == "paused" else ["podman", "stop", "--time", str(STOP_SECONDS), *names]


def resume_command(how: str, names: list[str]) -> list[str]:
    """The command line that undoes :func:`quiesce_command`."""
    return ["podman", "unpause" if how == "paused" else "start", *names]


def resting(how: str) -> tuple[str, ...]:
    """The states in which a container at rest may be found."""
    return ("paused",) if how == "paused" else ("exited", "stopped")


def _inspected(what: str, names: Sequence[str]) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = json.loads(run(["podman", what, "inspect", *names]).stdout) if names else []
    return described


def _container(described: dict[str, Any]) -> Container:
    try:
        return Container(
            name=described["Name"],
            status=described["State"]["Status"],
            mounts=tuple(
                Mount(
                    Path(mount["Source"]), Path(mount["Destination"]), mount.get("Name") or None, mount.get("RW", True)
                )
                for mount in described["Mounts"]
            ),
            image=described["ImageName"],
        )
    except KeyError as error:
        raise CommandFailed(
            f"'podman container inspect' was expected to say {error}, and did not: Podman 4 or later is needed"
        ) from error
