# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for ``podman``: a container is a JSON file, and is refused what the real one refuses it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

# From which states a command takes a container, and to which.
CHANGES: dict[str, tuple[tuple[str, ...], str]] = {
    "pause": (("running",), "paused"),
    "unpause": (("paused",), "running"),
    "stop": (("running", "exited", "created"), "exited"),
    "start": (("running", "exited", "created"), "running"),
}


def refuse(words: str) -> NoReturn:
    """End as Podman does."""
    print(f"Error: {words}", file=sys.stderr)
    sys.exit(125)


class Host:
    """What is on the host."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def containers(self) -> list[dict[str, Any]]:
        """Every container."""
        return [json.loads(path.read_text("utf-8")) for path in sorted(self._directory.glob("*.container"))]

    def container(self, name: str) -> dict[str, Any]:
        """One container."""
        for one in self.containers():
            if one["Name"] == name:
                return one
        refuse(f"no such container {name}")

    def change(self, names: list[str], command: str) -> None:
        """Pause, stop, and so on."""
        allowed, becomes = CHANGES[command]
        for name in names:
            container = self.container(name)
            if container["State"]["Status"] not in allowed:
                refuse(f"{name} is {container['State']['Status']}: container state improper")
            container["State"]["Status"] = becomes
            (self._directory / f"{name}.container").write_text(json.dumps(container), "utf-8")
            self._note(f"{command} {name}")

    def mountpoint(self, volume: str) -> Path:
        """Where a volume's files lie."""
        return self._directory / "volumes" / volume / "_data"

    def _note(self, line: str) -> None:
        with (self._directory / "log").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


def listed(host: Host, arguments: list[str]) -> None:
    """What ``podman ps`` says of a compose project."""
    project = arguments[0].rpartition("=")[2]
    found = [
        {"Names": [one["Name"]], "Id": f"id-{one['Name']}", "State": one["State"]["Status"]}
        for one in host.containers()
        if one["Config"]["Labels"].get("io.podman.compose.project") == project
    ]
    print(json.dumps(found))


def mounted(host: Host, arguments: list[str]) -> None:
    """Where a volume's files lie."""
    (volume,) = arguments
    if not host.mountpoint(volume).is_dir():
        refuse(f"no such volume {volume}")
    print(host.mountpoint(volume))


def exists(host: Host, arguments: list[str]) -> None:
    """Whether there is a container of this name: says nothing, and ends with 0 or 1."""
    sys.exit(0 if arguments[0] in [one["Name"] for one in host.containers()] else 1)


COMMANDS: dict[str, Callable[[Host, list[str]], None]] = {
    "ps --all --quiet --no-trunc": lambda host, _: print(*(one["Name"] for one in host.containers()), sep="\n"),
    "ps --all --filter": listed,
    "container inspect --format {{.State.Status}}": lambda host, names: print(
        *(host.container(name)["State"]["Status"] for name in names), sep="\n"
    ),
    "container exists": exists,
    "container inspect": lambda host, names: print(json.dumps([host.container(name) for name in names])),
    "volume inspect --format {{.Mountpoint}}": mounted,
    "stop --time 30": lambda host, names: host.change(names, "stop"),
    **{how: partial(Host.change, command=how) for how in CHANGES},
}


def main(directory: str, *arguments: str) -> None:
    """Do what one command line says."""
    for command, act in COMMANDS.items():
        words = command.split()
        if list(arguments[: len(words)]) == words:
            act(Host(Path(directory)), list(arguments[len(words) :]))
            return
    sys.exit(f"fake_podman.py does not know {arguments}")


if __name__ == "__main__":
    main(*sys.argv[1:])
