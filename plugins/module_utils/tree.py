# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directory trees: what is in one, what a copy of it must hold, and the listing that a backup set keeps.

A listing has one JSON object a line, one line per name, the root as ``.``. Paths are bytes on the host and UTF-8 with
``surrogateescape`` in the listing, so that every name survives.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character-device",
    stat.S_IFBLK: "block-device",
}
# A file may change twice within one tick of the file system's clock: this young at the first look means "look again".
RACY_NS = 20_000_000

Scan = dict[bytes, os.stat_result]


def text(path: bytes) -> str:
    """A path as the listing writes it."""
    return path.decode("utf-8", "surrogateescape")


def raw(path: str) -> bytes:
    """A listing's path as the host knows it."""
    return path.encode("utf-8", "surrogateescape")


def shown(path: str) -> str:
    """A listing's path for results and messages: one line of valid text, and never that of another path."""
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return raw(escaped).decode("utf-8", "backslashreplace")


def unshown(path: str) -> str:
    """The listing's path that :func:`shown` has made readable."""

    def byte(escape: re.Match[str]) -> str:
        code = escape.group(1)
        return {"\\": "\\", "n": "\n", "r": "\r"}.get(code) or text(bytes([int(code[1:], 16)]))

    return re.sub(r"\\(x[0-9a-f]{2}|[\\nr])", byte, path)


def scan(root: Path) -> Scan:
    """The status of every name below a directory, and of itself as ``.``; symbolic links are not followed."""
    top = os.fsencode(root)
    found: Scan = {b".": os.lstat(top)}
    pending = [b""]
    while pending:
        relative = pending.pop()
        # Whoever uses the tree may remove a name at any moment; but the tree itself has to be there.
        tolerated = suppress(FileNotFoundError) if relative else nullcontext()
        with tolerated, os.scandir(os.path.join(top, relative) if relative else top) as entries:
            for entry in entries:
                name = relative + b"/" + entry.name if relative else entry.name
                with suppress(FileNotFoundError):
                    found[name] = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found[name].st_mode):
                        pending.append(name)
    return found


@dataclass(frozen=True)
class Changes:
    """What a copy lacks, and what it has too much."""

    changed: frozenset[bytes]
    superfluous: frozenset[bytes]


def changes(before: Scan, after: Scan, copy: Scan, began_ns: int) -> Changes:
    """Names to copy again and names to remove, by inode change time: a restored mtime deceives nobody.

    :param before: the tree when the copy began
    :param copy: what the copy holds, which may be names that neither look has seen
    :param began_ns: when the first look began, in nanoseconds since the epoch
    """
    superfluous = {name for name, there in copy.items() if name not in after or _type(after[name]) != _type(there)}
    changed = {
        name
        for name, now in after.items()
        if name in superfluous
        or _touched(before.get(name), now, began_ns)
        or name not in copy
        or _facts(now) != _facts(copy[name])
    }
    return Changes(frozenset(changed), frozenset(superfluous))


def _type(status: os.stat_result) -> int:
    return stat.S_IFMT(status.st_mode)


def _touched(was: os.stat_result | None, now: os.stat_result, began_ns: int) -> bool:
    return (
        was is None
        or (was.st_ctime_ns, was.st_ino, was.st_size) != (now.st_ctime_ns, now.st_ino, now.st_size)
        or now.st_ctime_ns >= began_ns - RACY_NS
    )


def with_parents(names: Iterable[bytes]) -> set[bytes]:
    """The names and every directory above them, whose times a copy has to set again."""
    complete = {b"."}
    for name in names:
        while name and name not in complete:
            complete.add(name)
            name = os.path.dirname(name)
    return complete


def differences(source: Scan, copy: Scan) -> list[bytes]:
    """Names whose copy is missing, superfluous, or unlike its source in type, mode, owner, size or time."""
    different = [name for name, status in source.items() if name not in copy or _facts(status) != _facts(copy[name])]
    different.extend(name for name in copy if name not in source)
    return sorted(different)


def _facts(status: os.stat_result) -> tuple[int, int, int, int, int]:
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns


@dataclass(frozen=True)
class Item:
    """One name in a listing."""

    path: str
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    sha256: str | None = None
    target: str | None = None
    xattrs: Mapping[str, str] | None = None
    link: int | None = None
    origin: str | None = None

    def identity(self) -> tuple[object, ...]:
        """Everything that a copy has to share; not where it came from."""
        return (
            self.type,
            self.mode,
            self.uid,
            self.gid,
            self.size,
            self.mtime_ns,
            self.sha256,
            self.target,
            tuple(sorted((self.xattrs or {}).items())),
            self.link,
        )


@dataclass(frozen=True)
class Totals:
    """A tree in numbers."""

    files: int
    entries: int
    bytes: int


def totals(listing: Mapping[str, Item]) -> Totals:
    """Count a listing; a file with several names counts its bytes once."""
    files = [item for item in listing.values() if item.type == "file"]
    seen: set[int] = set()
    size = 0
    for item in files:
        if item.link is None or item.link not in seen:
            size += item.size
        if item.link is not None:
            seen.add(item.link)
    return Totals(files=len(files), entries=len(listing), bytes=size)


def count(root: Path) -> Totals:
    """Count a tree without reading its files."""
    found = scan(root)
    files = [status for status in found.values() if stat.S_ISREG(status.st_mode)]
    inodes = {(status.st_dev, status.st_ino): status.st_size for status in files}
    return Totals(files=len(files), entries=len(found), bytes=sum(inodes.values()))


def list_tree(
    root: Path,
    known: Mapping[bytes, str],
    origins: Scan | None = None,
    unreadable: dict[str, str] | None = None,
) -> dict[str, Item]:
    """Read a whole tree: every name, its metadata, and the SHA-256 of every file.

    :param root: the tree
    :param known: sums that need no reading, by name
    :param origins: the tree that this one was copied from; its inode and change time are kept with each file
    :param unreadable: takes in the files that cannot be read, and why; without it the first one is an error
    """
    found = scan(root)
    top = os.fsencode(root)
    groups: dict[int, int] = {}
    unread: dict[int, bytes] = {}
    for name in sorted(found):
        status = found[name]
        if not stat.S_ISREG(status.st_mode):
            continue
        if status.st_nlink > 1:
            groups[status.st_ino] = groups.get(status.st_ino, 0) + 1
        if name not in known:
            unread.setdefault(status.st_ino, name)

    def digest(name: bytes) -> str | None:
        try:
            return sha256(os.path.join(top, name))
        except OSError as error:
            if unreadable is None:
                raise
            unreadable[text(name)] = error.strerror or str(error)
            return None

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        sums = dict(zip(unread, pool.map(digest, unread.values())))
    numbers = {inode: number for number, inode in enumerate(i for i, names in groups.items() if names > 1)}
    return {
        text(name): _item(top, name, found[name], known.get(name) or sums.get(found[name].st_ino), numbers, origins)
        for name in sorted(found)
    }


def _item(
    top: bytes,
    name: bytes,
    status: os.stat_result,
    digest: str | None,
    numbers: Mapping[int, int],
    origins: Scan | None,
) -> Item:
    path = os.path.join(top, name)
    kind = TYPES[stat.S_IFMT(status.st_mode)]
    origin = origins.get(name) if origins and kind == "file" else None
    return Item(
        path=text(name),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == "file" else 0,
        mtime_ns=status.st_mtime_ns,
        sha256=digest if kind == "file" else None,
        target=text(os.readlink(path)) if kind == "symlink" else None,
        xattrs=xattrs(path),
        link=numbers.get(status.st_ino) if kind == "file" else None,
        origin=change_mark(origin) if origin else None,
    )


def change_mark(status: os.stat_result) -> str:
    """Inode and change time: differs whenever a file was touched in any way."""
    return f"{status.st_ino}:{status.st_ctime_ns}"


def xattrs(path: bytes) -> dict[str, str] | None:
    """The extended attributes of a name, ACLs among them, base64; None if it has none."""
    names = os.listxattr(path, follow_symlinks=False)
    if not names:
        return None
    return {
        name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode("ascii") for name in sorted(names)
    }


def kept(attributes: Mapping[str, str] | None) -> dict[str, str]:
    """The attributes that belong to a file, without those that a host's policy gives it."""
    return {name: value for name, value in (attributes or {}).items() if name != "security.selinux"}


def sha256(path: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while True:
            size = file.readinto(buffer)
            if not size:
                return digest.hexdigest()
            digest.update(view[:size])


def dump(listing: Mapping[str, Item]) -> bytes:
    """A listing as the set keeps it."""
    return b"".join(json.dumps(_set_fields(item), sort_keys=True).encode("ascii") + b"\n" for item in listing.values())


def _set_fields(item: Item) -> dict[str, Any]:
    return {name: value for name, value in vars(item).items() if value is not None}


def load(lines: Iterable[bytes]) -> dict[str, Item]:
    """The listing that a set keeps."""
    return {item.path: item for item in (Item(**json.loads(line)) for line in lines)}


def compare(expected: Mapping[str, Item], found: Mapping[str, Item]) -> Iterator[tuple[str, str]]:
    """Each name that is not as the listing says, with what is wrong in words."""
    for path, item in expected.items():
        there = found.get(path)
        if there is None:
            yield path, "is missing"
        elif there.identity() != item.identity():
            yield path, _what_differs(item, there)
    for path in found.keys() - expected.keys():
        yield path, "does not belong there"


def _what_differs(expected: Item, found: Item) -> str:
    for field in ("type", "sha256", "size", "mode", "uid", "gid", "mtime_ns", "target", "xattrs", "link"):
        want, have = getattr(expected, field), getattr(found, field)
        if want != have:
            if field == "mode":
                want, have = oct(want), oct(have)
            if field == "target":
                want, have = shown(want or ""), shown(have or "")
            return f"has {field} {have}, expected {want}"
    return "differs"
