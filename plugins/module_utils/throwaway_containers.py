# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a throwaway copy of a container needs, read from what Podman says of the container. Nothing here looks at the host."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = "flatnet.ops.drill"


@dataclass(frozen=True)
class Bind:
    """A directory or file of the host, and where a container sees it."""

    source: Path
    destination: Path
    writable: bool

    @property
    def words(self) -> str:
        """What ``--mount`` takes; a comma in a path needs quotation marks."""
        parts = ["type=bind", f"source={self.source}", f"destination={self.destination}"]
        line = io.StringIO()
        csv.writer(line).writerow(parts if self.writable else [*parts, "ro=true"])
        return line.getvalue().strip()


@dataclass(frozen=True)
class Tree:
    """What a set holds of a host: where it was there, where it is in the set, and where its copy is."""

    path: Path
    saved: Path
    copy: Path

    def copied(self, path: Path) -> Path | None:
        """Where the copy of a path of the host is; None if there is none, or it would lead elsewhere."""
        inside = path.relative_to(self.path)
        saved = (self.saved / inside).resolve()
        if not saved.exists() or self.saved.resolve() not in (saved, *saved.parents):
            return None
        return self.copy / inside


class Original:
    """A container of the site, in Podman's own words."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._described = described
        self._config: Mapping[str, Any] = described["Config"]
        self._host: Mapping[str, Any] = described["HostConfig"]
        self._network: Mapping[str, Any] = described["NetworkSettings"]
        self.name = str(described["Name"])
        self.id = str(described["Id"])
        self.image = str(described["Image"])
        self.image_name = str(described["ImageName"])

    @property
    def ran(self) -> bool:
        """It ran when it was described."""
        return self._described["State"]["Status"] in ("running", "paused")

    @property
    def infra(self) -> bool:
        """It is what holds a pod's network, and has no program of its own."""
        return bool(self._described.get("IsInfra"))

    @property
    def partner(self) -> str | None:
        """The id of the container whose network it shares."""
        mode, _colon, partner = str(self._host["NetworkMode"]).partition(":")
        return partner if mode == "container" else None

    @property
    def on_host(self) -> bool:
        """It uses the host's own network."""
        return str(self._host["NetworkMode"]) == "host"

    @property
    def addresses(self) -> list[str]:
        """Its addresses, each with the length of its network's prefix."""
        networks = (self._network.get("Networks") or {}).values()
        return [f"{one['IPAddress']}/{one['IPPrefixLen']}" for one in networks if one.get("IPAddress")]

    @property
    def names(self) -> list[str]:
        """What other containers call it."""
        networks = (self._network.get("Networks") or {}).values()
        aliases = [alias for one in networks for alias in one.get("Aliases") or ()]
        return list(dict.fromkeys([self.name, *aliases]))

    @property
    def ports(self) -> dict[int, int]:
        """By TCP port of the host, the port inside that it is published from."""
        published = {}
        for inside, outside in (self._network.get("Ports") or {}).items():
            number, _slash, protocol = inside.partition("/")
            if protocol == "tcp":
                published.update({int(one["HostPort"]): int(number) for one in outside or ()})
        return published

    @property
    def hosts(self) -> list[str]:
        """The names that it was given addresses for."""
        return list(self._host.get("ExtraHosts") or ())

    @property
    def mounts(self) -> list[tuple[Bind, str | None]]:
        """What it mounts, each with the name of its volume."""
        return [
            (
                Bind(Path(mount["Source"]), Path(mount["Destination"]), bool(mount["RW"])),
                mount.get("Name") or None if mount["Type"] == "volume" else None,
            )
            for mount in self._described["Mounts"]
            if mount["Type"] in ("bind", "volume")
        ]

    def host_path(self, inside: Path) -> Path | None:
        """Where on the host a path inside lies, if a mount covers it."""
        binds = sorted((bind for bind, _volume in self.mounts), key=lambda bind: -len(bind.destination.parts))
        covering = (bind for bind in binds if bind.destination in (inside, *inside.parents))
        return next((bind.source / inside.relative_to(bind.destination) for bind in covering), None)

    def command(self, copy: Copy, run: str, binds: Sequence[Bind], network: Path, hosts: Sequence[str]) -> Command:
        """How to run a copy: the same program on copied data, in a network without a way out.

        :param network: the network namespace
        :param hosts: what ``--add-host`` takes
        """
        words = [
            *("podman", "run", "--detach", "--pull=never", "--name", copy.name, "--label", f"{LABEL}={run}"),
            *("--network", f"ns:{network}", "--no-healthcheck", "--log-driver", "k8s-file", "--restart", "no"),
            *(word for host in (*self.hosts, *hosts) for word in ("--add-host", host)),
            *(word for bind in binds for word in ("--mount", bind.words)),
            *(word for path, how in (self._host.get("Tmpfs") or {}).items() for word in ("--tmpfs", f"{path}:{how}")),
            *self._options(),
            *("--entrypoint", json.dumps([self._described["Path"]]), copy.image, *self._arguments()),
        ]
        return Command(tuple(words), tuple(self._config.get("Env") or ()))

    def _arguments(self) -> list[str]:
        arguments: list[str] = self._described["Args"]
        # Podman repeats a command of one word as its argument.
        alone = len(self._config.get("Cmd") or ()) + bool(self._config.get("Entrypoint")) == 1
        return [] if alone and arguments == [self._described["Path"]] else arguments

    def _options(self) -> Iterator[str]:
        if self._config.get("User"):
            yield from ("--user", self._config["User"])
        if self._config.get("WorkingDir"):
            yield from ("--workdir", self._config["WorkingDir"])
        if self._config.get("Hostname"):
            yield from ("--hostname", self._config["Hostname"])
        if self._host.get("ReadonlyRootfs"):
            yield "--read-only"
        for capability in self._host.get("CapDrop") or ():
            yield from ("--cap-drop", capability)


@dataclass(frozen=True)
class Copy:
    """A container of the copy: its name, and the id or name of its image."""

    original: Original
    name: str
    image: str
    binds: tuple[Bind, ...]


@dataclass(frozen=True)
class Command:
    """A command line with an environment for the container."""

    words: tuple[str, ...]
    environment: tuple[str, ...]

    def script(self, environment: Path) -> str:
        """A shell script that runs it: what a script holds, no list of processes and no error message shows.

        :param environment: where :meth:`lines` will be
        """
        options = ["--env-file", str(environment)]
        long = [one for one in self.environment if "\n" in one]
        exports = "".join(f"export {shlex.quote(one)}\n" for one in long)
        options.extend(word for one in long for word in ("--env", one.partition("=")[0]))
        return f"set -eu\n{exports}exec {shlex.join([*self.words[:2], *options, *self.words[2:]])}\n"

    def lines(self) -> str:
        """The variables of one line each; Podman reads no others from a file."""
        return "".join(f"{one}\n" for one in self.environment if "\n" not in one)
