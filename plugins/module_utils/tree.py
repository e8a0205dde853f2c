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
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.shares import OPENING, in_parallel

CHUNK = 1 << 16
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
# The attribute that no file brings along: a host's policy gives it.
HOST_POLICY = "security.selinux"

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


def scan(root: Path, exclude: Collection[str] = ()) -> Scan:
    """The status of every name below a directory, and of itself as ``.``; symbolic links are not followed.

    :param exclude: names directly below the root that are left out, with all that is in them
    """
    top = os.fsencode(root)
    found: Scan = {b".": os.lstat(top)}
    left_out = {raw(name) for name in exclude}
    pending = [b""]
    while pending:
        relative = pending.pop()
        # Whoever uses the tree may remove a name at any moment; but the tree itself has to be there.
        tolerated = suppress(FileNotFoundError) if relative else nullcontext()
        with tolerated, os.scandir(os.path.join(top, relative) if relative else top) as entries:
            for entry in entries:
                name = relative + b"/" + entry.name if relative else entry.name
                if name in left_out:
                    continue
                try:
                    found[name] = status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
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
        or unlike(now, copy[name])
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
    different = [name for name, status in source.items() if name not in copy or unlike(status, copy[name])]
    different.extend(name for name in copy if name not in source)
    return sorted(different)


def unlike(one: os.stat_result, other: os.stat_result) -> bool:
    """Two names differ in type, mode, owner, size or time."""
    return (
        one.st_mtime_ns != other.st_mtime_ns
        or one.st_mode != other.st_mode
        or (one.st_size != other.st_size and not stat.S_ISDIR(one.st_mode))
        or one.st_uid != other.st_uid
        or one.st_gid != other.st_gid
    )


def file_of(status: os.stat_result) -> tuple[int, int]:
    """What all names of one file share."""
    return status.st_dev, status.st_ino


def names_of_files(found: Scan) -> dict[tuple[int, int], set[bytes]]:
    """The regular files of a tree, each with its names."""
    names: dict[tuple[int, int], set[bytes]] = {}
    for name, status in found.items():
        if stat.S_ISREG(status.st_mode):
            names.setdefault(file_of(status), set()).add(name)
    return names


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
    found: Scan | None = None,
) -> dict[str, Item]:
    """Read a whole tree: every name, its metadata, and the SHA-256 of every file.

    :param root: the tree
    :param known: sums that need no reading, by name
    :param origins: the tree that this one was copied from; its inode and change time are kept with each file
    :param unreadable: takes in the files that cannot be read, and why; without it the first one is an error
    :param found: the tree as it is, where it was looked at already
    """
    found = scan(root) if found is None else found
    top = os.fsencode(root)
    names = sorted(found)
    groups: dict[int, int] = {}
    unread: dict[int, bytes] = {}
    for name in names:
        status = found[name]
        if not stat.S_ISREG(status.st_mode):
            continue
        if status.st_nlink > 1:
            groups[status.st_ino] = groups.get(status.st_ino, 0) + 1
        if name not in known:
            unread.setdefault(status.st_ino, name)
    to_read = set(unread.values())
    costs = [found[name].st_size + OPENING if name in to_read else 0 for name in names]
    looks = in_parallel(lambda share: [_look(top + b"/" + name, name in to_read) for name in share], names, costs)
    sums: dict[int, str] = {}
    for name, (digest, _attributes) in zip(names, looks):
        if isinstance(digest, str):
            sums[found[name].st_ino] = digest
        elif digest is not None:
            if unreadable is None:
                raise digest
            unreadable[text(name)] = digest.strerror or str(digest)
    numbers = {inode: number for number, inode in enumerate(i for i, names in groups.items() if names > 1)}
    return {
        text(name): _item(
            top, name, found[name], known.get(name) or sums.get(found[name].st_ino), attributes, numbers, origins
        )
        for name, (_digest, attributes) in zip(names, looks)
    }


def _look(path: bytes, read: bool) -> tuple[str | OSError | None, Mapping[str, str] | None]:
    """The sum of a file, or why it cannot be read, and the attributes of any name."""
    if not read:
        return None, xattrs(path)
    try:
        return sha256(path), xattrs(path)
    except OSError as error:
        return error, xattrs(path)


def _item(
    top: bytes,
    name: bytes,
    status: os.stat_result,
    digest: str | None,
    attributes: Mapping[str, str] | None,
    numbers: Mapping[int, int],
    origins: Scan | None,
) -> Item:
    kind = TYPES[stat.S_IFMT(status.st_mode)]
    is_file = kind == "file"
    origin = origins.get(name) if origins and is_file else None
    return Item(
        path=text(name),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if is_file else 0,
        mtime_ns=status.st_mtime_ns,
        sha256=digest if is_file else None,
        target=text(os.readlink(os.path.join(top, name))) if kind == "symlink" else None,
        xattrs=attributes,
        link=numbers.get(status.st_ino) if is_file else None,
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
    return {name: value for name, value in attributes.items() if name != HOST_POLICY} if attributes else {}


def sha256(path: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    file = os.open(path, os.O_RDONLY)
    try:
        while True:
            content = os.read(file, CHUNK)
            if not content:
                return digest.hexdigest()
            digest.update(content)
    finally:
        os.close(file)


def dump(listing: Mapping[str, Item]) -> bytes:
    """A listing as the set keeps it."""
    encode = json.JSONEncoder(sort_keys=True).encode
    return "".join(encode(_set_fields(item)) + "\n" for item in listing.values()).encode("ascii")


def _set_fields(item: Item) -> dict[str, Any]:
    return {name: value for name, value in vars(item).items() if value is not None}


def load(lines: Iterable[bytes]) -> dict[str, Item]:
    """The listing that a set keeps."""
    decode = json.JSONDecoder().decode
    return {item.path: item for item in (Item(**decode(line.decode("ascii"))) for line in lines)}


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
