# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small tree on its way from one host to another, by way of the controller: one text that a task returns and another one takes.

It is opaque, so that no secret of a configuration is read by accident; but whoever decodes it has them all: ``no_log`` where it is
registered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SetDamaged, UsageError

# What a tree may hold: it passes through the memory of three programs, as base64.
MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class HandedFile:
    """A file by its path with slashes; its time in nanoseconds since the epoch."""

    path: str
    mtime_ns: int
    content: bytes


@dataclass(frozen=True)
class HandedTree:
    """The files of a tree, its directories, and where it comes from, in words."""

    origin: str
    files: tuple[HandedFile, ...]
    directories: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(len(file.content) for file in self.files)

    def pack(self) -> str:
        """As one text."""
        files = [{**asdict(file), "content": base64.b64encode(file.content).decode("ascii")} for file in self.files]
        stored = {"origin": self.origin, "directories": list(self.directories), "files": files}
        return base64.b64encode(zlib.compress(json.dumps(stored).encode("ascii"))).decode("ascii")

    @classmethod
    def unpack(cls, text: str) -> HandedTree:
        """The tree that a text stands for.

        :raises UsageError: it is no such text, or has a name that leads out of the tree
        """
        try:
            stored: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
            files = tuple(
                HandedFile(file["path"], file["mtime_ns"], base64.b64decode(file["content"], validate=True))
                for file in stored["files"]
            )
            handed = cls(stored["origin"], files, tuple(stored["directories"]))
        except (binascii.Error, zlib.error, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the tree that another task has returned was expected, and something else came ({error}): pass its value tree on"
                " as it is"
            ) from error
        for path in (*(file.path for file in handed.files), *handed.directories):
            parts = PurePosixPath(path).parts
            outside = not parts or path.startswith("/") or ".." in parts
            if outside or "\0" in path or any("\ud800" <= character <= "\udfff" for character in path):
                raise UsageError(
                    f"{handed.origin} was expected to have names that lie in it and that every host can have, and it has {path!r}:"
                    " find out who put that there, and give it another name"
                )
        return handed

    def put(self, top: Path) -> None:
        """Write it into an empty directory, with owners and modes that are the same wherever it comes from."""
        paths = (*self.directories, *(str(PurePosixPath(file.path).parent) for file in self.files))
        for path in sorted(paths):
            (top / path).mkdir(parents=True, exist_ok=True)
        for file in self.files:
            place = top / file.path
            place.write_bytes(file.content)
            place.chmod(0o644)
            os.utime(place, ns=(file.mtime_ns, file.mtime_ns))
        for name in (top, *(path for path in top.rglob("*") if path.is_dir())):
            name.chmod(0o755)

    @contextmanager
    def placed(self) -> Iterator[Path]:
        """A directory that holds it, for as long as it is needed; nobody else reads what lies above it."""
        with tempfile.TemporaryDirectory(prefix="flatnet-ops-") as above:
            top = Path(above) / "tree"
            top.mkdir()
            self.put(top)
            yield top


def read_saved(top: Path, listing: dict[str, tree.Item], origin: str) -> HandedTree:
    """The tree of a set, each file as its listing says.

    :raises SetDamaged: a file is missing or another one
    :raises UsageError: it holds what is neither file nor directory, or too much
    """
    size = tree.totals(listing).bytes
    if size > MOST_BYTES:
        raise UsageError(
            f"{origin} was expected to hold at most {MOST_BYTES:,} bytes, which can be handed to another host, and holds {size:,}:"
            " put it back by hand"
        )
    files, directories = [], []
    for path, item in listing.items():
        if item.type == "directory":
            directories.extend([path] if path != "." else [])
            continue
        if item.type != "file":
            raise UsageError(
                f"{origin} was expected to hold files and directories alone, which every host can have, and"
                f" {tree.shown(path)} is a {item.type}: put it back by hand"
            )
        content = _content(top / os.fsdecode(tree.raw(path)), origin)
        if hashlib.sha256(content).hexdigest() != item.sha256:
            raise SetDamaged(
                f"{origin} was expected to be as it was saved, and {tree.shown(path)} is not: use another set; nothing was changed"
            )
        files.append(HandedFile(path, item.mtime_ns, content))
    return HandedTree(origin, tuple(files), tuple(directories))


def _content(path: Path, origin: str) -> bytes:
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            return path.read_bytes()
    except FileNotFoundError:
        pass
    raise SetDamaged(
        f"{origin} was expected to hold the file {path}, and does not: use another set; nothing was changed"
    )
