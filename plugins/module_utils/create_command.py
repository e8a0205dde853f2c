# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command that once made a container or a pod, turned into one that makes it again and starts nothing.

Podman keeps the words of ``podman run`` and ``podman create``, but neither their directory nor their environment: what they
took from there is taken from what the container has become.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

# The options without a value; every other one takes the next word if it has no "=".
FLAGS = frozenset(
    {
        "--detach",
        "--disable-content-trust",
        "--env-host",
        "--help",
        "--http-proxy",
        "--init",
        "--interactive",
        "--no-healthcheck",
        "--no-hostname",
        "--no-hosts",
        "--oom-kill-disable",
        "--passwd",
        "--privileged",
        "--publish-all",
        "--quiet",
        "--read-only",
        "--read-only-tmpfs",
        "--replace",
        "--rm",
        "--rmi",
        "--rootfs",
        "--sig-proxy",
        "--tls-verify",
        "--tty",
        "--unsetenv-all",
    }
)
SHORT_FLAGS = "diPqt"
# What only "run" knows, what would take another one's place or write files, and what only a pull needs.
DROPPED = frozenset(
    {
        "--detach",
        "-d",
        "--detach-keys",
        "--preserve-fd",
        "--preserve-fds",
        "--rmi",
        "--sig-proxy",
        "--replace",
        "--cidfile",
        "--pod-id-file",
        "--pull",
        "--authfile",
        "--creds",
        "--cert-dir",
        "--tls-verify",
    }
)
POD_FLAGS = frozenset({"--help", "--infra", "--no-hostname", "--no-hosts", "--replace"})
# What Podman itself puts into every container's environment.
OWN_ENVIRONMENT = ("HOSTNAME", "TERM", "container")

Option = tuple[str, Optional[str]]


def create_again(container: Mapping[str, Any], image: str | None = None) -> list[str]:
    """The command that makes a container as it was, without starting it or pulling its image.

    :param container: as ``podman container inspect`` describes it
    :param image: what to make it of, instead of what the command says
    :raises ValueError: nobody can tell; it says why
    """
    words = container["Config"].get("CreateCommand") or []
    verb = next((number for number, word in enumerate(words) if word in ("run", "create")), None)
    if verb is None or {"kube", "play", "pod"} & set(words[:verb]):
        raise ValueError(f"it was made by '{' '.join(words[:3]) or 'the API of Podman'}', not by 'podman run'")
    options, rest = _parse(words[verb + 1 :], FLAGS)
    if not rest or not _is_image(rest[0], container):
        raise ValueError(f"its image {container['ImageName']} is not found in the command that made it")
    settled = [
        option for given in options if given[0] not in DROPPED for option in _settled(*given, container=container)
    ]
    if "--name" not in [name for name, _value in settled]:
        settled.insert(0, ("--name", container["Name"]))
    before = [word for word in words[1:verb] if word != "container"]
    return ["podman", *before, "create", "--pull=never", *_words(settled), image or rest[0], *rest[1:]]


def create_pod_again(pod: Mapping[str, Any]) -> list[str]:
    """The command that makes a pod as it was.

    :param pod: as ``podman pod inspect`` describes it
    :raises ValueError: nobody can tell; it says why
    """
    words = pod.get("CreateCommand") or []
    if "create" not in words or words[words.index("create") - 1] != "pod":
        raise ValueError(f"it was made by '{' '.join(words[:3]) or 'the API of Podman'}', not by 'podman pod create'")
    options, rest = _parse(words[words.index("create") + 1 :], POD_FLAGS)
    kept = [option for option in options if option[0] not in DROPPED]
    if "--name" not in [name for name, _value in kept] and not rest:
        kept.append(("--name", pod["Name"]))
    return ["podman", "pod", "create", *_words(kept), *rest]


def _parse(words: Sequence[str], flags: frozenset[str]) -> tuple[list[Option], list[str]]:
    """Options up to the first word that is none, and what follows."""
    options: list[Option] = []
    left = list(words)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if equals:
                options.append((name, value))
            elif name in flags:
                options.append((name, None))
            else:
                options.append((name, _next(left, name)))
            continue
        for number, letter in enumerate(word[1:], start=2):
            if letter in SHORT_FLAGS:
                options.append((f"-{letter}", None))
                continue
            value = word[number:].removeprefix("=")
            options.append((f"-{letter}", value or _next(left, f"-{letter}")))
            break
    return options, left


def _next(left: list[str], name: str) -> str:
    if not left:
        raise ValueError(f"the command that made it ends with {name}, which needs a value")
    return left.pop(0)


def _is_image(word: str, container: Mapping[str, Any]) -> bool:
    """Whether a word of the command names the container's image: else an option has been misread."""
    if container.get("Rootfs"):
        return True
    known = container["ImageName"]
    name = word.removeprefix("docker://")
    return container["Image"].startswith(name) or any(
        known == tagged or known.endswith(f"/{tagged}") for tagged in (name, f"{name}:latest")
    )


def _settled(name: str, value: str | None, container: Mapping[str, Any]) -> Iterator[Option]:
    """An option without what it took from the directory and the environment of its command."""
    environment = container["Config"]["Env"] or ()
    if name in ("-e", "--env") and value is not None and "=" not in value:
        prefix = value.removesuffix("*")
        for one in environment:
            key = one.partition("=")[0]
            if key == value or (prefix != value and key.startswith(prefix)):
                yield "--env", one
    elif name == "--env-host" or (name == "--env-file" and not _can_be_read(value)):
        yield from (("--env", one) for one in environment if one.partition("=")[0] not in OWN_ENVIRONMENT)
    elif name in ("-v", "--volume") and value is not None and value.startswith("."):
        relative, *inside = value.split(":")
        sources = [mount["Source"] for mount in container["Mounts"] if mount["Destination"] == inside[0]]
        yield name, ":".join([*(sources or [relative]), *inside])
    else:
        yield name, value


def _can_be_read(file: str | None) -> bool:
    return file is not None and Path(file).is_absolute() and Path(file).is_file()


def _words(options: Sequence[Option]) -> Iterator[str]:
    for name, value in options:
        if value is None:
            yield name
        elif name.startswith("--"):
            yield f"{name}={value}"
        else:
            yield from (name, value)
