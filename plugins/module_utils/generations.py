# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations: a configuration is saved whenever it has changed.

A generation is a set of its own, ``ROOT/generations/KIND/<time>-<digest>/``; docs/formats/generations.md describes it. A
timer calls this file as a program, without Ansible: ``python3 -m ansible_collections.flatnet.ops.plugins.module_utils.generations``.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from ansible_collections.flatnet.ops.plugins.module_utils import cni, sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    LeaseHeld,
    NoSuchSet,
    OpsError,
    SetDamaged,
    SourceRefused,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import HandedTree
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling, Lifecycle, previous
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Source
from ansible_collections.flatnet.ops.plugins.module_utils.times import set_id
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.version import TOOL

KEEP = 30
PLUGINS = "cni/bin"
BEFORE = "before"
DIGITS = 12

Listing = Mapping[str, tree.Item]


@dataclass(frozen=True)
class Taken:
    """The generation that holds what is there now; ``new`` if it was taken just now."""

    id: str
    new: bool
    files: int


@dataclass(frozen=True)
class Compared:
    """A generation beside the present: names that are there now alone, were there then alone, or say something else now."""

    id: str
    path: str
    taken: float
    reason: str
    added: list[str]
    removed: list[str]
    changed: list[str]
    diff: str


@dataclass(frozen=True)
class Copy:
    """A tree that this host does not see where the site has it: a copy that is its own, and in words whose."""

    path: Path
    origin: str


@contextmanager
def copied(kind: str, handed: str | None) -> Iterator[dict[str, Copy]]:
    """The copy of a kind's only tree, for as long as it is needed; none where none was handed over.

    :param handed: a tree of another host, as :meth:`HandedTree.pack` has it
    :raises UsageError: it is none, or the kind has several trees
    """
    if not handed:
        yield {}
        return
    if kind != "gateway":
        raise UsageError(
            f"a tree was expected to be handed over of the gateway alone, and one of {kind} was: leave it out"
        )
    tree_of_another = HandedTree.unpack(handed)
    with tree_of_another.placed() as path:
        yield {kind: Copy(path, tree_of_another.origin)}


class Generations:
    """The generations of one kind of configuration."""

    def __init__(
        self,
        root: Path,
        kind: str,
        effects: Effects,
        clock: Callable[[], float] = time.time,
        copies: Mapping[str, Copy] | None = None,
        **places: Path,
    ) -> None:
        """
        :param root: the backup directory
        :param kind: ``gateway`` or ``cni``
        :param copies: what to read in place of a tree that this host does not see, by source
        :param places: where guards and journals lie, as :class:`Lifecycle` takes them
        """
        self.area = Area(root, f"generations/{kind}")
        self._kind = kind
        self._copies = copies or {}
        self._effects = effects
        self._lifecycle = Lifecycle(self.area, effects, clock, **places)

    def newest(self) -> str | None:
        """The newest generation; None if there is none."""
        return next(reversed(self.area.ids()), None)

    def there(self, trees: Mapping[str, Path]) -> dict[str, Path]:
        """The trees that hold something, as not all do on a new host."""
        read = {source: self._read(source, path) for source, path in trees.items()}
        return {source: trees[source] for source, path in read.items() if path.is_dir() and tree.count(path).files}

    def present(self, trees: Mapping[str, Path]) -> dict[str, dict[str, tree.Item]]:
        """What is there now, by source.

        :raises SourceRefused: a tree is missing or empty, as where a drive is not mounted
        """
        present = {}
        for source, path in trees.items():
            copy = self._copies.get(source)
            if copy is None and not path.is_dir():
                raise SourceRefused(
                    f"directory {path} was expected on this host as source {source}, and is not there: mount it, or take"
                    f" '{self._kind}' off the list of sources; the earlier generations are untouched"
                )
            present[source] = tree.list_tree(self._read(source, path), {})
            if copy is not None and not tree.totals(present[source]).files:
                raise SourceRefused(
                    f"{copy.origin} was expected to hold the files of source {source}, and holds none: look there, whether it is the"
                    " right place; the earlier generations are untouched"
                )
            if not tree.totals(present[source]).files:
                raise SourceRefused(
                    f"directory {path} was expected to hold the files of source {source}, and is empty: see whether its drive"
                    " is mounted; the earlier generations are untouched"
                )
        return present

    def differs(self, listings: Mapping[str, Listing]) -> bool:
        """It is not what the newest generation holds, or that one is damaged."""
        newest = self.newest()
        return newest is None or newest.rpartition("-")[2] != digest(listings) or bool(self.area.damaged(newest))

    def listings(self, name: str) -> dict[str, dict[str, tree.Item]]:
        """What a generation holds, by source.

        :raises SetDamaged: that cannot be read
        """
        path = self.area.path(name)
        return {source: sets.load_listing(path, source) for source in self.area.manifest(name).sources}

    def readable(self, name: str | None) -> dict[str, dict[str, tree.Item]]:
        """The same; nothing where there is none, or where it cannot be read."""
        try:
            return self.listings(name) if name else {}
        except SetDamaged:
            return {}

    def compared(self, name: str, with_text: bool) -> Compared:
        """A generation, and what differs between it and what is there now.

        :param with_text: also say it line by line
        """
        manifest = self.area.manifest(name)
        then, now = {}, {}
        for source, listing in self.listings(name).items():
            held, there = (
                self.area.path(name) / source,
                self._read(source, Path(manifest.sources[source].place["path"])),
            )
            then.update(_contents(held, source, listing))
            now.update(_contents(there, source, tree.list_tree(there, {})) if there.is_dir() else {})
        changed = sorted(path for path in then.keys() & now.keys() if then[path][0] != now[path][0])
        added, removed = sorted(now.keys() - then.keys()), sorted(then.keys() - now.keys())
        lines = [_unified(path, then.get(path), now.get(path)) for path in sorted([*changed, *added, *removed])]
        return Compared(
            id=name,
            path=str(self.area.path(name)),
            taken=manifest.started,
            reason=manifest.purpose,
            added=[tree.shown(path) for path in added],
            removed=[tree.shown(path) for path in removed],
            changed=[tree.shown(path) for path in changed],
            diff="".join(lines) if with_text else "",
        )

    def take(self, run: str, trees: Mapping[str, Path], reason: str, site: str, host: str, keep: int = KEEP) -> Taken:
        """Take a generation if something has changed.

        :param keep: how many generations stay, the newest ones; one that is taken before a change removes none
        :param trees: the directories of this kind, by source
        :raises SourceRefused: a tree is missing or empty
        :raises LeaseHeld: another run is at work
        :raises ClockBehind: the newest generation is dated in the future
        :raises UsageError: none would stay
        """
        if keep < 1:
            raise UsageError(f"keep was expected to be 1 or more, and is {keep}: the newest generation never goes")
        newest = self.newest()
        present = self.present(trees)
        files = sum(tree.totals(listing).files for listing in present.values())
        if newest is not None and not self.differs(present):
            return Taken(newest, False, files)

        def fill(filling: Filling) -> str | None:
            copied = {source: self._copy(filling, source, path) for source, path in trees.items()}
            return digest(copied) if self.differs(copied) else None

        made = self._lifecycle.make(run, reason, site, host, TOOL, fill, None if reason == BEFORE else keep)
        return Taken(made.id if made else str(newest), made is not None, files)

    def save(self, filling: Filling) -> list[Source]:
        """Enter the newest generation into a set, its files linked.

        :raises NoSuchSet: there is none
        """
        name = self.area.find(self.newest() or f"a generation of {self._kind}")
        saved = []
        for source in self.area.manifest(name).sources.values():
            held = previous(self.area, name, source.name)
            if held is None:
                raise NoSuchSet(
                    f"generation {self.area.path(name)} was expected to hold {source.name}, and cannot be read: put it aside"
                    f" with 'mv {self.area.path(name)} {self.area.path(name)}.set-aside' and run again"
                )
            copied = TreeCopy(self._effects, held.path, filling.place(source.name), held).take_resting(
                touched_counts=False
            )
            linked = replace(
                source,
                linked_files=copied.linked_files,
                linked_bytes=copied.linked_bytes,
                facts={**source.facts, "generation": name},
            )
            filling.add(linked, copied.listing)
            saved.append(linked)
        return saved

    def _read(self, source: str, path: Path) -> Path:
        """Where a tree is read."""
        return self._copies[source].path if source in self._copies else path

    def _copy(self, filling: Filling, source: str, path: Path) -> dict[str, tree.Item]:
        began = time.monotonic()
        copy = self._copies.get(source)
        if copy is None:
            tree_copy = TreeCopy(self._effects, path.resolve(), filling.place(source), filling.previous(source))
            copied = tree_copy.take_live(None)
        else:
            # Every copy is new: nothing tells which of its files have not changed, and there is little to save.
            copied = TreeCopy(self._effects, copy.path.resolve(), filling.place(source)).take_resting()
        totals = tree.totals(copied.listing)
        entered = Source(
            name=source,
            kind="directory",
            origin=copy.origin if copy else tree.shown(str(path)),
            consistency="hot",
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=copied.linked_files,
            linked_bytes=copied.linked_bytes,
            seconds=time.monotonic() - began,
            changed_while_copied=copied.changed_while_copied,
            software=cni.versions(self._read(source, path)) if source == PLUGINS else {},
            place={"path": str(path)},
        )
        filling.add(entered, copied.listing)
        return copied.listing


def described(listings: Mapping[str, Listing]) -> str:
    """Names, contents, modes and owners, a line each; what a tool for differences compares, and a digest is made of."""
    return "".join(
        f"{tree.shown(f'{source}/{path}')} {_mark(item)}\n"
        for source, listing in sorted(listings.items())
        for path, item in listing.items()
    )


def _mark(item: tree.Item) -> str:
    content = item.sha256 or (f"-> {tree.shown(item.target)}" if item.target is not None else item.type)
    return f"{item.mode:04o} {item.uid}:{item.gid} {content}"


def _contents(top: Path, source: str, listing: Listing) -> dict[str, tuple[str, Path]]:
    """By name, what stands for it, and where it lies."""
    return {f"{source}/{path}": (_mark(item), top / os.fsdecode(tree.raw(path))) for path, item in listing.items()}


def _unified(name: str, then: tuple[str, Path] | None, now: tuple[str, Path] | None) -> str:
    """One name's part of a unified diff."""
    before, after = (_lines(side) for side in (then, now))
    shown = tree.shown(name)
    marks = f"{then[0]} -> {now[0]}" if then and now else "only on one side"
    if before is None or after is None:
        return f"Binary files a/{shown} and b/{shown} differ\n"
    return "".join(difflib.unified_diff(before, after, f"a/{shown}", f"b/{shown}")) or f"{shown}: {marks}\n"


def _lines(side: tuple[str, Path] | None) -> list[str] | None:
    """The lines of a text; none of what has none; None of a program."""
    if side is None or side[1].is_symlink() or not side[1].is_file():
        return []
    content = side[1].read_bytes()
    return None if b"\0" in content else content.decode("utf-8", "backslashreplace").splitlines(keepends=True)


def digest(listings: Mapping[str, Listing]) -> str:
    """What stands for everything but times: a file that was only touched changes nothing."""
    return hashlib.sha256(described(listings).encode("utf-8")).hexdigest()[:DIGITS]


def main(argv: list[str] | None = None) -> int:
    """Take the generations of the trees that are named, for a timer.

    :return: 1 if one could not be taken; a backup directory that is in use is no failure, the next call comes soon
    """
    parser = argparse.ArgumentParser(description="Save configurations that have changed.")
    parser.add_argument("--root", type=Path, default=Path("/backup/flatnet"), help="the backup directory")
    parser.add_argument("--tree", action="append", required=True, metavar="SOURCE=DIRECTORY")
    parser.add_argument("--reason", default="timer")
    parser.add_argument("--site", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--keep", type=int, default=KEEP)
    options = parser.parse_args(argv)
    trees: dict[str, dict[str, Path]] = {}
    for source, _equals, directory in (given.partition("=") for given in options.tree):
        trees.setdefault(source.partition("/")[0], {})[source] = Path(directory)
    failed = 0
    for kind, own in trees.items():
        run = f"{set_id(time.time())}-generation-{secrets.token_hex(2)}"
        try:
            taken = Generations(options.root, kind, Effects()).take(
                run, own, options.reason, options.site, options.host, options.keep
            )
            state = "new" if taken.new else "unchanged"
            sys.stdout.write(f"{kind}: {state}, generation {taken.id}, {taken.files} files\n")
        except LeaseHeld as error:
            sys.stdout.write(f"{kind}: not looked at: {error}\n")
        except (OpsError, OSError) as error:
            sys.stderr.write(f"{kind}: {error}\n")
            failed = 1
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
