# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Podman as the workflows see it: containers, what they mount, and how they are quiesced."""

from __future__ import annotations

import json
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
        names = run(["podman", "ps", "--all", "--quiet", "--no-trunc"]).stdout.split()
        if not names:
            return []
        described = json.loads(run(["podman", "container", "inspect", *names]).stdout)
        return sorted((_container(one) for one in described), key=lambda container: container.name)

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
        """The states of some containers, by one question."""
        got = run(["podman", "container", "inspect", "--format", "{{.State.Status}}", *names])
        return dict(zip(names, got.stdout.split()))

    def mountpoint(self, volume: str) -> Path | None:
        """Where a volume's files lie; None if there is no such volume."""
        got = run(["podman", "volume", "inspect", "--format", "{{.Mountpoint}}", volume], expect=(0, 125))
        return Path(got.stdout.strip()) if got.code == 0 else None

    def using(self, path: Path) -> list[Container]:
        """The containers that mount this path, something below it, or a directory above it."""
        wanted = path.resolve()

        def touches(source: Path) -> bool:
            return source == wanted or source in wanted.parents or wanted in source.parents

        return [
            container
            for container in self.containers()
            if any(touches(mount.source.resolve()) for mount in container.mounts)
        ]


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


def _container(described: dict[str, Any]) -> Container:
    try:
        return Container(
            name=described["Name"],
            status=described["State"]["Status"],
            mounts=tuple(
                Mount(Path(mount["Source"]), Path(mount["Destination"]), mount.get("Name") or None)
                for mount in described["Mounts"]
            ),
            image=described["ImageName"],
        )
    except KeyError as error:
        raise CommandFailed(
            f"'podman container inspect' was expected to say {error}, and did not: Podman 4 or later is needed"
        ) from error
