# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The effects seam: every change on files, containers and servers goes through :class:`Effects`.

Reading does not. Each effect is announced before it happens, so that a test can stop a run at effect N for all N,
and assert the order of the syncs on the log.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.file_copy import FileCopy, copy_file
from ansible_collections.flatnet.ops.plugins.module_utils.shares import OPENING, in_parallel

if TYPE_CHECKING:
    from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Transport


@dataclass(frozen=True)
class Effect:
    """One change that is about to happen."""

    kind: str
    target: str


Watch = Callable[[Effect], None]


@dataclass
class Effects:
    """Does every change that flatnet.ops makes on a host.

    ``watch`` is called before each effect; ``log`` holds what was announced, in order.
    """

    watch: Watch | None = None
    log: list[Effect] = field(default_factory=list)

    def _announce(self, kind: str, target: object) -> None:
        effect = Effect(kind, os.fsdecode(target) if isinstance(target, bytes) else str(target))
        self.log.append(effect)
        if self.watch is not None:
            self.watch(effect)

    def make_directory(self, path: Path, mode: int) -> None:
        """Create a directory with exactly this mode; one that exists is left alone."""
        if path.is_dir():
            return
        self._announce("mkdir", path)
        path.mkdir(mode=mode)
        path.chmod(mode)

    def write(self, path: Path, data: bytes, mode: int = 0o400) -> None:
        """Put a whole file in place: beside it, synced, renamed, the directory synced."""
        beside = path.with_name(f".{path.name}.new")
        self._announce("write", beside)
        beside.unlink(missing_ok=True)
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                self._announce("fsync", beside)
                os.fsync(file.fileno())
        except OSError as error:
            beside.unlink(missing_ok=True)
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull(disk_full(path, str(error))) from error
        self.rename(beside, path)
        self.sync_directory(path.parent)

    def put(self, path: Path, data: bytes, mode: int) -> None:
        """Write a new file; a later sync of the file system makes it durable."""
        self._announce("put", path)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull(disk_full(path, str(error))) from error

    def rename(self, source: Path, target: Path) -> None:
        """Move within one file system, replacing a file."""
        self._announce("rename", f"{source} -> {target}")
        source.rename(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file one more name on its file system."""
        self._announce("link", f"{source} -> {target}")
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: bytes | Path) -> None:
        """Remove one name that is not a directory."""
        self._announce("unlink", path)
        os.unlink(path)

    def link_files(self, source: Path, target: Path, names: Iterable[bytes]) -> set[bytes]:
        """Give files of one tree the same names in another, and it the directories; announced once more after the first.

        :return: the names that are there now; a file system may refuse any
        """
        self._announce("links", f"{source} -> {target}")
        there, here = bytes(source), bytes(target)
        linked: set[bytes] = set()
        directories: set[bytes] = set()
        for name in names:
            path = here + b"/" + name
            directory = path.rpartition(b"/")[0]
            try:
                if directory not in directories:
                    os.makedirs(directory, exist_ok=True)
                    directories.add(directory)
                os.link(there + b"/" + name, path, follow_symlinks=False)
            except OSError:
                continue
            linked.add(name)
            if len(linked) == 1:
                self._announce("links-begun", target)
        return linked

    def copy_files(self, source: Path, target: Path, sizes: Mapping[bytes, int]) -> dict[bytes, FileCopy]:
        """Copy plain files of one tree into another, and make it the directories; announced once more after the first.

        :param sizes: the bytes of each file, by its name; it is fastest where neighbours on the disk follow each other
        :return: the copies; of a file that vanished, or that something refuses, there is none
        :raises OSError: the disk is full
        """
        self._announce("copies", f"{source} -> {target}")
        there, here = bytes(source) + b"/", bytes(target) + b"/"
        first = min(sizes, key=lambda name: sizes[name], default=None)
        others = [name for name in sizes if name != first]
        for directory in {name.rpartition(b"/")[0] for name in sizes}:
            with suppress(OSError):
                os.makedirs(here + directory, exist_ok=True)

        def copy(share: Sequence[bytes]) -> list[FileCopy | None]:
            return [copy_file(there + name, here + name) for name in share]

        if first is None:
            return {}
        made = copy([first])
        self._announce("copies-begun", target)
        made.extend(in_parallel(copy, others, [sizes[name] + OPENING for name in others]))
        return {name: one for name, one in zip((first, *others), made) if one is not None}

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        self._announce("rmdir", path)
        path.rmdir()

    def remove_tree(self, path: bytes | Path) -> None:
        """Remove a whole directory; announced once more after its first entry is gone."""
        self._announce("remove", path)
        for name in sorted(os.listdir(os.fsencode(path)))[:1]:
            first = os.path.join(os.fsencode(path), name)
            if os.path.isdir(first) and not os.path.islink(first):
                shutil.rmtree(first)
            else:
                os.unlink(first)
            self._announce("remove-begun", path)
        shutil.rmtree(path)

    def sync_directory(self, path: Path) -> None:
        """Make the names in one directory durable."""
        self._announce("fsync-directory", path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_filesystem(self, path: Path) -> None:
        """Make everything on this path's file system durable, once (``syncfs``)."""
        self._announce("syncfs", path)
        run(["sync", "--file-system", str(path)])

    def run(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        expect: Sequence[int] = (0,),
        held: int | None = None,
        bound: bool = False,
    ) -> Completed:
        """Run a command that changes something; announced once more when it has begun.

        :param held: an open file, as of a lock, that stays open until the command ends, also when this process is killed
        :param bound: the command ends together with this process, also when this process is killed; not with ``held``
        """
        self._announce("run", " ".join(argv))
        return run(argv, stdin, expect, held, bound, started=lambda: self._announce("run-begun", " ".join(argv)))

    def http(self, transport: Transport, method: str, url: str, body: Any = None) -> Answer:
        """Send a request that changes something on a server.

        :param body: what is sent as JSON; nothing for None
        """
        self._announce("http", f"{method} {url}")
        return transport.request(method, url, body=body)


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    stdin: bytes = b"",
    expect: Sequence[int] = (0,),
    held: int | None = None,
    bound: bool = False,
    started: Callable[[], None] | None = None,
) -> Completed:
    """Run a command to its end.

    :param argv: program and arguments; no shell is involved
    :param stdin: what the program reads; nothing with ``held``
    :param expect: exit codes that count as success
    :param held: an open file that stays open until the program ends
    :param bound: the program is killed when this process ends
    :param started: called once the program runs
    :raises CommandFailed: the program is missing, or ended with another code
    """
    if shutil.which(argv[0]) is None:
        raise CommandFailed(f"the program '{argv[0]}' was expected on this host and is not there: install it")
    process = subprocess.Popen(
        _holding(_bound(argv) if bound else argv, held),
        stdin=subprocess.PIPE if held is None else held,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if started is not None:
        started()
    out, err = process.communicate(stdin if held is None else None)
    completed = Completed(process.returncode, out.decode(errors="surrogateescape"), err.decode(errors="replace"))
    if completed.code not in expect:
        words = " ".join(completed.stderr.split()) or " ".join(completed.stdout.split()) or "no message"
        raise CommandFailed(
            f"'{' '.join(argv)}' ended with {completed.code}, expected {_codes(expect)}: {words[-600:]}"
        )
    return completed


def _holding(argv: Sequence[str], held: int | None) -> Sequence[str]:
    # What a program leaves behind, such as a container, must not hold the file: only a shell around it does, as its input.
    return argv if held is None else ["sh", "-c", '"$@" </dev/null; exit "$?"', "sh", *argv]


def _bound(argv: Sequence[str]) -> list[str]:
    # The kernel may hear of the bond too late; then the parent is another one.
    alive = f'[ "$PPID" = {os.getpid()} ] && exec "$@"'
    return ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", alive, "sh", *argv]


def _codes(expect: Sequence[int]) -> str:
    return " or ".join(str(code) for code in expect)


def disk_full(path: Path, words: str) -> str:
    """The sentence for a file system that ran full under our hands."""
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    return f"writing {path} failed ({words}): {free:,} bytes are free there; make room and run again"
