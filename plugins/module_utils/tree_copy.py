# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy a live tree into a set: once while it changes, and once more, only what changed, while it rests."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, CopyFailed, DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.tree import Scan

# Twice as fast as rsync where there is nothing to compare with.
CP = ["cp", "-R", "--no-dereference", "--preserve=mode,ownership,timestamps,links,xattr", "--sparse=auto"]
# A file that vanishes fails cp without a code of its own; what is missing or unlike is copied again.
INCOMPLETE = 1
# rsync compares whole seconds by default; -1 means nanoseconds.
RSYNC = ["rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--sparse", "--numeric-ids", "--modify-window=-1"]
VANISHED = 24
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

    def __init__(self, effects: Effects, source: Path, target: Path, previous: Previous | None = None) -> None:
        """
        :param source: an existing directory
        :param target: the copy; created
        :param previous: an earlier copy on the same file system; files that did not change become hard links to it
        """
        self._effects = effects
        self._source = source
        self._target = target
        self._previous = previous

    def take_live(self, rest: AbstractContextManager[object] | None) -> Copied:
        """Copy a tree that others write to: once as it is, then what has changed since.

        :param rest: keeps the tree at rest for the second copy; None copies a tree that goes on changing
        :raises DiskFull: before anything is written, or while it is
        :raises CopyFailed: the copy is not what the tree at rest was
        """
        began_ns = time.time_ns()
        # What is written through a mapping of a page that is dirty already changes no time; from a clean page on, it does.
        self._effects.sync_filesystem(self._source)
        before = tree.scan(self._source)
        self._copy_all(before, touched_counts=True, live=True)
        copied = tree.scan(self._target)
        if rest is None:
            after = self._copy_changes(before, copied, began_ns, VANISHED)
        else:
            with rest:
                after = self._copy_changes(before, copied, began_ns)
        settled = {name: status for name, status in after.items() if status.st_ctime_ns < began_ns - tree.RACY_NS}
        return self._copied(after, settled, may_differ=rest is None)

    def take_resting(self, touched_counts: bool = True) -> Copied:
        """Copy a tree that nobody writes to.

        :param touched_counts: a file touched since the earlier copy is not linked to it, whatever its size and time say
        :raises DiskFull: before anything is written, or while it is
        :raises CopyFailed: the copy is not what the tree is
        """
        before = tree.scan(self._source)
        self._copy_all(before, touched_counts, live=False)
        return self._copied(before, before, may_differ=False)

    def _copied(self, source: Scan, settled: Scan, may_differ: bool) -> Copied:
        different = tree.differences(source, tree.scan(self._target))
        if different and not may_differ:
            raise CopyFailed(
                f"the copy of {self._source} was expected to equal it, and {len(different)} names differ, first"
                f" '{tree.shown(tree.text(different[0]))}': something that was not put to rest writes there; find it with"
                f" 'fuser -v -m {self._source}', stop it, and run again"
            )
        known = self._sums_of_linked_files()
        # Only what did not change meanwhile may be linked to next time.
        listing = tree.list_tree(self._target, known, settled)
        self._check_attributes(listing, settled)
        return Copied(
            listing=listing,
            linked_files=len(known),
            linked_bytes=tree.totals({path: item for path, item in listing.items() if tree.raw(path) in known}).bytes,
            changed_while_copied=len(different),
        )

    def _check_attributes(self, listing: Mapping[str, tree.Item], settled: Scan) -> None:
        top = os.fsencode(self._source)
        for name, status in settled.items():
            path = os.path.join(top, name)
            with suppress(FileNotFoundError):
                same = tree.kept(tree.xattrs(path)) == tree.kept(listing[tree.text(name)].xattrs)
                if not same and os.lstat(path).st_ctime_ns == status.st_ctime_ns:
                    raise CopyFailed(
                        f"the copy of {self._source} was expected to have the extended attributes and ACLs of"
                        f" '{tree.shown(tree.text(name))}', and has not: the disk of {self._target.parent} does not take them;"
                        " back up to a file system that does, as ext4"
                    )

    def _copy_all(self, source: Scan, touched_counts: bool, live: bool) -> None:
        self.check_room(source)
        if self._previous is None:
            paths = ["--no-target-directory", f"{self._source}/.", str(self._target)]
            self._run([*CP, *paths], b"", (0, INCOMPLETE) if live else (0,))
            return
        self._effects.make_directory(self._target, 0o700)
        link = f"--link-dest={self._previous.path}"
        self._run([*RSYNC, link, f"{self._source}/", f"{self._target}/"], b"", (0, VANISHED))
        self._copy_again(source, self._not_to_be_linked(self._previous, source, touched_counts), VANISHED)

    def _copy_changes(self, before: Scan, copied: Scan, began_ns: int, *tolerated: int) -> Scan:
        after = tree.scan(self._source)
        found = tree.changes(before, after, copied, began_ns)
        for name in sorted(found.superfluous, reverse=True):
            self._remove(name)
        self._copy_again(after, found.changed, *tolerated)
        return after

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

    def _not_to_be_linked(self, previous: Previous, now: Scan, touched_counts: bool) -> list[bytes]:
        """Files that rsync linked by size and time, and whose content is damaged there or was changed since."""
        unlike = []
        for name, status in now.items():
            item = previous.listing.get(tree.text(name))
            if item is None or item.type != "file" or not stat.S_ISREG(status.st_mode):
                continue
            touched = touched_counts and item.origin != tree.change_mark(status)
            if (touched or item.path in previous.unusable) and self._shared(previous, name):
                unlike.append(name)
        return unlike

    def _sums_of_linked_files(self) -> dict[bytes, str]:
        if self._previous is None:
            return {}
        return {
            tree.raw(path): item.sha256
            for path, item in self._previous.listing.items()
            if item.sha256 is not None and self._shared(self._previous, tree.raw(path))
        }

    def _shared(self, previous: Previous, name: bytes) -> bool:
        try:
            here = os.lstat(os.path.join(bytes(self._target), name))
            there = os.lstat(os.path.join(bytes(previous.path), name))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

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
            raise DiskFull(
                f"{self._full_disk()} while {self._source} was copied: make room there and run again"
            ) from error

    def check_room(self, source: Scan) -> None:
        """Refuse a copy for which the disk has no room.

        :raises DiskFull: with the numbers
        """
        linkable = {tree.raw(path): item for path, item in self._previous.listing.items()} if self._previous else {}
        needed = MARGIN
        for name, status in source.items():
            item = linkable.get(name)
            if item is None or (item.size, item.mtime_ns) != (status.st_size, status.st_mtime_ns):
                needed += status.st_blocks * 512
        disk = os.statvfs(self._target.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise DiskFull(
                f"{self._full_disk()}, and the copy of {self._source} needs {needed:,} bytes: make room there, or keep"
                " fewer days, and run again; nothing was written"
            )

    def _full_disk(self) -> str:
        disk = os.statvfs(self._target.parent)
        return f"the disk of {self._target.parent} has {disk.f_bavail * disk.f_frsize:,} bytes free"
