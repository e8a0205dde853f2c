# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Undo guards: what puts a host right when the run that changed it cannot do so any more.

A guard is a directory with a plain shell script, ``undo.sh``, which the run holds locked while it works. A transient
systemd service waits for that lock: the kernel frees it the moment the run dies, kill -9 included, and the service runs
the script. An operator can run the script by hand as well.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects

STATE = Path("/var/lib/flatnet-ops")
UNDO_DIRECTORY = STATE / "undo"

# $1 the guard's directory, $2 seconds after which a run that still lives counts as stuck; 66 says that the directory is gone.
_WAIT = """
due='[ ! -e "$1/undo.sh" ] || sh "$1/undo.sh"'
flock --close --conflict-exit-code 75 --wait "$2" "$1/." sh -euc "$due; rm -rf \\"\\$1\\"" sh "$1"
case $? in
    0 | 66) ;;
    75) exec sh -euc "$due" sh "$1" ;;
    *) exit 1 ;;
esac
"""


class Guard:
    """One undo that is due unless its run calls it off."""

    def __init__(self, effects: Effects, directory: Path, lock: int) -> None:
        self._effects = effects
        self._directory = directory
        self._lock = lock

    def promise(self, commands: Sequence[str]) -> None:
        """Set, or replace, what has to be done if this run dies; shell command lines, in order."""
        script = "\n".join(["#!/bin/sh", "set -eu", *commands, ""])
        self._effects.write(self._directory / "undo.sh", script.encode("utf-8", "surrogateescape"), 0o500)

    def run(self, argv: Sequence[str]) -> None:
        """Run a command that the undo must not overtake: if this run dies meanwhile, the undo waits for the command's end."""
        self._effects.run(argv, held=self._lock)

    def keep(self) -> None:
        """Nothing is left to undo."""
        self._effects.unlink(self._directory / "undo.sh")


@contextmanager
def guarded(effects: Effects, purpose: str, limit: int, base: Path = UNDO_DIRECTORY) -> Iterator[Guard]:
    """Work under a guard; whatever is still promised when the block ends is undone at once.

    :param purpose: what is guarded; part of the service's name
    :param limit: seconds after which the guard undoes although the run lives, because it hangs
    """
    effects.make_directory(base.parent, 0o700)
    effects.make_directory(base, 0o700)
    directory = base / f"{purpose}-{secrets.token_hex(4)}"
    effects.make_directory(directory, 0o700)
    with _opened(directory) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unit = f"--unit=flatnet-undo-{directory.name}"
        # A container that the undo starts outlives the service.
        service = ["systemd-run", "--quiet", "--collect", "--property=KillMode=process", unit, "--"]
        effects.run([*service, "sh", "-c", _WAIT, "guard", str(directory), str(limit)])
        try:
            yield Guard(effects, directory, lock)
        finally:
            _undo(effects, directory, lock)


def undo_leftovers(effects: Effects, base: Path = UNDO_DIRECTORY) -> list[str]:
    """Undo what dead runs left, also when a reboot took their guards along.

    :return: the guards that had something to undo
    """
    undone = []
    # What was begun last is undone first: a command in a container that rests waits for it.
    for directory in sorted((path for path in base.glob("*") if path.is_dir()), key=_modified, reverse=True):
        # A guard that still lives may be quicker, and its directory gone.
        with suppress(FileNotFoundError), _opened(directory) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _undo(effects, directory, lock):
                undone.append(directory.name)
    return undone


def _modified(directory: Path) -> int:
    try:
        return directory.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _undo(effects: Effects, directory: Path, lock: int) -> bool:
    """Run a guard's script if it is still due, then remove the guard; the caller holds its lock."""
    script = directory / "undo.sh"
    due = script.exists()
    if due:
        effects.run(["sh", str(script)], held=lock)
    effects.remove_tree(directory)
    return due


def quote(argv: Sequence[str]) -> str:
    """A command line for an undo script."""
    return shlex.join(argv)


def only_if_status(container: str, states: Sequence[str], argv: Sequence[str]) -> str:
    """Shell commands that act only while a container is in one of these states, and fail if that cannot be told."""
    ask = quote(["podman", "container", "inspect", "--format", "{{.State.Status}}", container])
    exists = quote(["podman", "container", "exists", container])
    return f"""exists=0
{exists} || exists=$?
[ "$exists" -le 1 ]
if [ "$exists" = 0 ]; then
    state=$({ask})
    case $state in {"|".join(states)}) {quote(argv)} ;; esac
fi"""
