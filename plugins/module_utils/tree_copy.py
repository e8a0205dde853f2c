# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy a live tree into a set: once while it changes, and once more, only what changed, while it rests."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, CopyFailed, DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.file_copy import FULL, is_plain
from ansible_collections.flatnet.ops.plugins.module_utils.tree import Scan

# rsync compares whole seconds by default; -1 means nanoseconds.
RSYNC = ["rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--sparse", "--numeric-ids", "--modify-window=-1"]
VANISHED = 24
# Inode, change time, size and name: three times as fast as a scan, which a pause has no time for.
FIND = ["-printf", "%i %C@ %s %P\\0"]
# A name that vanishes fails find without a code of its own.
INCOMPLETE = 1
# Directories, listings and the manifest need room beside the data itself.
MARGIN = 16 << 20


@dataclass(frozen=True)
class Previous:
    """The same tree in an earlier set, to link to; ``unusable`` are its damaged files."""

    path: Path
    listing: dict[str, tree.Item]
    unusable: Collection[str] = ()


@dataclass(frozen=True)
class Copied:
    """What a copy took."""

    listing: dict[str, tree.Item]
    linked_files: int
    linked_bytes: int
    changed_while_copied: int


class TreeCopy:
    """One copy of one tree."""

    def __init__(
        self,
        effects: Effects,
        source: Path,
        target: Path,
        previous: Previous | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        """
        :param source: an existing directory
        :param target: the copy; created
        :param previous: an earlier copy on the same file system; files that did not change become hard links to it
        :param exclude: names directly below the source that are left out
        """
        self._effects = effects
        self._source = source
        self._target = target
        self._previous = previous
        self._exclude = exclude
        # What needs no reading at the end: sums by change mark, and of what is linked, by name, with its inode.
        self._read: dict[str, str] = {}
        self._linked: dict[bytes, tuple[int, str]] = {}

    def take_live(self, rest: AbstractContextManager[object] | None) -> Copied:
        """Copy a tree that others write to: once as it is, then what has changed since.

        :param rest: keeps the tree at rest for the second copy; None copies a tree that goes on changing
        :raises DiskFull: before anything is written, or while it is
        :raises CopyFailed: the copy is not what the tree at rest was
        """
        began_ns = time.time_ns()
        # What is written through a mapping of a page that is dirty already changes no time; from a clean page on, it does.
        self._effects.sync_filesystem(self._source)
        # Before the scan: what changes between the two is then seen to have been touched.
        first = self._find()
        before = self._scan_source()
        self._copy_all(before, touched_counts=True)
        copied = tree.scan(self._target)
        untouched = tree.changes(before, before, copied, began_ns)
        with rest or nullcontext():
            touched, after = self._look_again(first, before, copied)
            late = tree.changes(_part(before, touched), _part(after, touched), _part(copied, touched), began_ns)
            superfluous = (untouched.superfluous - touched) | late.superfluous
            changed = (untouched.changed - touched) | late.changed
            for name in sorted(superfluous, reverse=True):
                self._remove(name)
            self._copy_again(after, changed, *([] if rest else [VANISHED]))
        found = tree.scan(self._target) if superfluous or changed else copied
        settled = {name: status for name, status in after.items() if status.st_ctime_ns < began_ns - tree.RACY_NS}
        return self._copied(after, found, settled, may_differ=rest is None)

    def take_resting(self, touched_counts: bool = True, read_back: bool = False) -> Copied:
        """Copy a tree that nobody writes to.

        :param touched_counts: a file touched since the earlier copy is not linked to it, whatever its size and time say
        :param read_back: the sums are of what lies there at the end, read once more, not of what was written
        :raises DiskFull: before anything is written, or while it is
        :raises CopyFailed: the copy is not what the tree is
        """
        before = self._scan_source()
        self._copy_all(before, touched_counts)
        if read_back:
            self._read.clear()
        return self._copied(before, tree.scan(self._target), before, may_differ=False)

    def _scan_source(self) -> Scan:
        return tree.scan(self._source, self._exclude)

    def _copied(self, source: Scan, found: Scan, settled: Scan, may_differ: bool) -> Copied:
        different = tree.differences(source, found)
        if different and not may_differ:
            raise CopyFailed(
                f"the copy of {self._source} was expected to equal it, and {len(different)} names differ, first"
                f" '{tree.shown(tree.text(different[0]))}': something that was not put to rest writes there; find it with"
                f" 'fuser -v -m {self._source}', stop it, and run again"
            )
        linked = self._sums_of_linked_files(found)
        known = {**self._sums_read(found), **linked}
        # Only what did not change meanwhile may be linked to next time.
        listing = tree.list_tree(self._target, known, settled, found=found)
        # What is linked was compared when it was.
        self._check_attributes(listing, {name: status for name, status in settled.items() if name not in linked})
        return Copied(
            listing=listing,
            linked_files=len(linked),
            linked_bytes=tree.totals({path: listing[path] for path in map(tree.text, linked)}).bytes,
            changed_while_copied=len(different),
        )

    def _check_attributes(self, listing: Mapping[str, tree.Item], settled: Scan) -> None:
        top = os.fsencode(self._source)
        for name, status in settled.items():
            path = top + b"/" + name
            try:
                same = tree.kept(tree.xattrs(path)) == tree.kept(listing[tree.text(name)].xattrs)
                if not same and os.lstat(path).st_ctime_ns == status.st_ctime_ns:
                    raise CopyFailed(
                        f"the copy of {self._source} was expected to have the extended attributes and ACLs of"
                        f" '{tree.shown(tree.text(name))}', and has not: the disk of {self._target.parent} does not take them;"
                        " back up to a file system that does, as ext4"
                    )
            except FileNotFoundError:
                continue

    def _copy_all(self, source: Scan, touched_counts: bool) -> None:
        self.check_room(source)
        self._effects.make_directory(self._target, 0o700)
        there: set[bytes] = set()
        if self._previous is not None:
            there = self._link_unchanged(self._previous, source, touched_counts)
        there |= self._copy_plain(source, set(source) - there)
        self._copy_again(source, set(source) - there, VANISHED)

    def _copy_plain(self, source: Scan, names: Iterable[bytes]) -> set[bytes]:
        """Copy each file that has no other name here; what refuses is left to rsync, which says why."""
        many = Counter(tree.file_of(status) for status in source.values() if status.st_nlink > 1)
        # One directory after the other: what lies together is read and made together.
        plain = sorted(name for name in names if is_plain(source[name]) and many[tree.file_of(source[name])] < 2)
        try:
            made = self._effects.copy_files(self._source, self._target, {name: source[name].st_size for name in plain})
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise self._ran_full() from error
        self._read = {one.mark: one.sha256 for one in made.values()}
        return set(made)

    def _link_unchanged(self, previous: Previous, source: Scan, touched_counts: bool) -> set[bytes]:
        """Link the files that have not changed since the earlier copy; all names of one, or none."""
        earlier = tree.scan(previous.path)
        names_there = Counter(tree.file_of(status) for status in earlier.values())

        def unchanged(name: bytes) -> bool:
            there, item = earlier.get(name), previous.listing.get(tree.text(name))
            if there is None or item is None or item.sha256 is None or item.path in previous.unusable:
                return False
            now = source[name]
            if tree.unlike(now, there) or (touched_counts and item.origin != tree.change_mark(now)):
                return False
            with suppress(FileNotFoundError):
                wanted = item.xattrs if touched_counts else tree.xattrs(bytes(self._source) + b"/" + name)
                return tree.kept(wanted) == tree.kept(tree.xattrs(bytes(previous.path) + b"/" + name))
            return False

        def together(names: set[bytes]) -> bool:
            files = {tree.file_of(earlier[name]) for name in names}
            return len(files) == 1 and names_there[files.pop()] == len(names)

        groups = [
            names
            for names in tree.names_of_files(source).values()
            if all(unchanged(name) for name in names) and together(names)
        ]
        linked = self._effects.link_files(previous.path, self._target, (name for names in groups for name in names))
        for name in [name for names in groups if names <= linked for name in names]:
            self._linked[name] = earlier[name].st_ino, previous.listing[tree.text(name)].sha256 or ""
        return set(self._linked)

    def _find(self) -> str | None:
        """A mark of every name, which changes whenever it is touched; None if a name vanished meanwhile."""
        found = run(["find", f"{self._source}/", *FIND], expect=(0, INCOMPLETE))
        return found.stdout if found.code != INCOMPLETE else None

    def _look_again(self, first: str | None, before: Scan, copied: Scan) -> tuple[set[bytes], Scan]:
        """The names that may have been touched since the first look, and the tree as it is now."""
        now = self._find()
        if first is None or now is None:
            after = self._scan_source()
            return {*before, *after, *copied}, after
        if now == first:
            return set(), before
        was, found = set(first.split("\0")), set(now.split("\0"))
        there, gone = _names(found - was), _names(was - found)
        after = {name: status for name, status in before.items() if name not in gone}
        for name in there:
            if name.partition(b"/")[0] not in map(tree.raw, self._exclude):
                with suppress(FileNotFoundError):
                    after[name] = os.lstat(os.path.join(bytes(self._source), name))
        return there | gone, after

    def _copy_again(self, source: Scan, names: Iterable[bytes], *tolerated: int) -> None:
        """Copy these names afresh; a file that an earlier set shares must not be written through."""
        wanted = set(names)
        if not wanted:
            return
        top = os.fsencode(self._target)
        for name in sorted(wanted):
            if not stat.S_ISDIR(source[name].st_mode):
                self._unlink(os.path.join(top, name))
        # rsync sets the root's times by itself; named, the root brings all that lies in it. "./" keeps "#" from being a comment.
        listed = [b"./" + name for name in sorted(tree.with_parents(wanted)) if name != b"."]
        root_alone = [] if listed else ["--exclude=*"]
        argv = [*RSYNC, "--no-recursive", "--ignore-missing-args", "--from0", "--files-from=-", *root_alone]
        self._run([*argv, f"{self._source}/", f"{self._target}/"], b"\0".join(listed or [b"."]), (0, *tolerated))

    def _sums_read(self, found: Scan) -> dict[bytes, str]:
        marks = {name: tree.change_mark(status) for name, status in found.items()} if self._read else {}
        return {name: self._read[mark] for name, mark in marks.items() if mark in self._read}

    def _sums_of_linked_files(self, found: Scan) -> dict[bytes, str]:
        there = {name: found[name].st_ino for name in self._linked if name in found}
        return {name: digest for name, (inode, digest) in self._linked.items() if there.get(name) == inode}

    def _remove(self, name: bytes) -> None:
        path = os.path.join(bytes(self._target), name)
        if os.path.isdir(path) and not os.path.islink(path):
            self._effects.remove_tree(path)
        else:
            self._unlink(path)

    def _unlink(self, path: bytes) -> None:
        if os.path.lexists(path):
            self._effects.unlink(path)

    def _run(self, argv: list[str], listed: bytes, expect: tuple[int, ...]) -> None:
        try:
            self._effects.run(argv, listed, expect, bound=True)
        except CommandFailed as error:
            if "No space left on device" not in str(error):
                raise
            raise self._ran_full() from error

    def _ran_full(self) -> DiskFull:
        return DiskFull(f"{self._full_disk()} while {self._source} was copied: make room there and run again")

    def check_room(self, source: Scan) -> None:
        """Refuse a copy for which the disk has no room.

        :raises DiskFull: with the numbers
        """
        needed = self._needed(source)
        if self._free() < needed:
            raise DiskFull(
                f"{self._full_disk()}, and the copy of {self._source} needs {needed:,} bytes: make room there, or keep"
                " fewer days, and run again; nothing was written"
            )

    def has_room(self, source: Scan) -> bool:
        """The disk has room for a copy."""
        return self._free() >= self._needed(source)

    def _needed(self, source: Scan) -> int:
        linkable = self._previous.listing if self._previous else {}
        needed = MARGIN
        for name, status in source.items():
            item = linkable.get(tree.text(name)) if linkable else None
            if item is None or (item.size, item.mtime_ns) != (status.st_size, status.st_mtime_ns):
                needed += status.st_blocks * 512
        return needed

    def _free(self) -> int:
        disk = os.statvfs(self._target.parent)
        return disk.f_bavail * disk.f_frsize

    def _full_disk(self) -> str:
        return f"the disk of {self._target.parent} has {self._free():,} bytes free"


def _names(marks: Iterable[str]) -> set[bytes]:
    parts = (mark.split(" ", 3) for mark in marks)
    return {tree.raw(part[3]) or b"." for part in parts if len(part) > 1}


def _part(found: Scan, names: Iterable[bytes]) -> Scan:
    return {name: found[name] for name in names if name in found}
