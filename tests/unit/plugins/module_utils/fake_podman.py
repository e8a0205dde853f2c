# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for ``podman``: a container, an image and so on is a JSON file, and is refused what the real one refuses it."""

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
KINDS = ("image", "network", "volume", "pod")


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

    def things(self, kind: str) -> list[dict[str, Any]]:
        """Every image, network, volume or pod."""
        return [json.loads(path.read_text("utf-8")) for path in sorted(self._directory.glob(f"*.{kind}"))]

    def thing(self, kind: str, name: str) -> dict[str, Any]:
        """The one of this name or id."""
        for one in self.things(kind):
            if name in (one.get("Name"), one.get("name"), one.get("Id"), *one.get("RepoTags", ())):
                return one
        refuse(f"no such {kind} {name}")

    def put(self, kind: str, described: dict[str, Any], words: list[str]) -> None:
        """Make one, by this command."""
        name = described.get("Name") or described.get("name") or described["Id"]
        (self._directory / f"{name}.{kind}").write_text(json.dumps(described), "utf-8")
        self._note(" ".join(words))

    def remove(self, name: str) -> None:
        """Remove a container."""
        (self._directory / f"{name}.container").unlink()
        self._note(f"rm {name}")

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


def there(host: Host, arguments: list[str], kind: str) -> None:
    """Whether there is an image, a network and so on: says nothing, and ends with 0 or 1."""
    known = [(one.get("Name"), one.get("name"), one.get("Id"), *one.get("RepoTags", ())) for one in host.things(kind)]
    sys.exit(0 if any(arguments[0] in names for names in known) else 1)


def inspected(host: Host, arguments: list[str], kind: str) -> None:
    """What they are; a pod is not in a list."""
    found = [host.thing(kind, name) for name in arguments]
    print(json.dumps(found[0] if kind == "pod" else found))


def listed_things(host: Host, _arguments: list[str], kind: str) -> None:
    """Their names."""
    print(*(one.get("Name") or one["name"] for one in host.things(kind)), sep="\n")


def save(host: Host, arguments: list[str]) -> None:
    """Write an image into a file."""
    form, _output, path, image = arguments
    described = {**host.thing("image", image), "RepoTags": []}
    Path(path).write_text(json.dumps({"form": form, **described}), "utf-8")
    host.put("saved", {"Id": image}, ["save", form, image])


def load(host: Host, arguments: list[str]) -> None:
    """Read an image from a file; it has no name."""
    described = json.loads(Path(arguments[0]).read_text("utf-8"))
    host.put("image", described, ["load", described["Id"]])


def tag(host: Host, arguments: list[str]) -> None:
    """Give an image more names."""
    image = host.thing("image", arguments[0])
    host.put("image", {**image, "RepoTags": [*image["RepoTags"], *arguments[1:]]}, ["tag", *arguments])


def create(host: Host, arguments: list[str]) -> None:
    """Make a container of an image that is there: the last word, or the one before "run-it"."""
    words = [word for word in arguments if word != "run-it"]
    image = host.thing("image", words[-1])
    (name,) = [word.partition("=")[2] for word in arguments if word.startswith("--name=")]
    container = {"Name": name, "State": {"Status": "created"}, "Mounts": [], "ImageName": image["RepoTags"][0]}
    host.put("container", {"Config": {"Labels": {}}, **container}, ["create", *arguments])


def create_thing(host: Host, arguments: list[str], kind: str) -> None:
    """Make a network, volume or pod: its name is the last word, or an option."""
    host.put(kind, {"Name": arguments[-1].removeprefix("--name=")}, [kind, "create", *arguments])


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
    "container inspect --format {{.Created.Unix}}": lambda host, names: print(host.container(names[0])["CreatedUnix"]),
    "image inspect --format {{.Id}}": lambda host, names: print(host.thing("image", names[0])["Id"]),
    "network ls --quiet": partial(listed_things, kind="network"),
    "volume ls --quiet": partial(listed_things, kind="volume"),
    "pod ls --format {{.Name}}": partial(listed_things, kind="pod"),
    "save --quiet --format": save,
    "load --quiet --input": load,
    "tag": tag,
    "create --pull=never": create,
    "rm --ignore": lambda host, names: host.remove(names[0]),
    "--version": lambda _host, _: print("podman version 4.3.1"),
    "container inspect": lambda host, names: print(json.dumps([host.container(name) for name in names])),
    "volume inspect --format {{.Mountpoint}}": mounted,
    "stop --time 30": lambda host, names: host.change(names, "stop"),
    **{f"{kind} exists": partial(there, kind=kind) for kind in KINDS},
    **{f"{kind} inspect": partial(inspected, kind=kind) for kind in KINDS},
    **{f"{kind} create": partial(create_thing, kind=kind) for kind in KINDS},
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
