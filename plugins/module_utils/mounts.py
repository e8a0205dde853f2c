# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which trees the containers of a host use, and what saves each of them. Nothing here looks at the host by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Container, Mount
from ansible_collections.flatnet.ops.plugins.module_utils.sets import check_source_name
from ansible_collections.flatnet.ops.plugins.module_utils.tree import shown

DIRECTORY, FILE, OTHER, MISSING = "directory", "file", "other", "missing"
SYSTEM = tuple(Path(path) for path in ("/dev", "/proc", "/run", "/sys"))
SETTINGS = tuple(Path("/etc") / name for name in ("hostname", "hosts", "localtime", "resolv.conf", "timezone"))


@dataclass(frozen=True)
class Place:
    """Where a path leads when all links are followed, and what is there."""

    path: Path
    kind: str


Look = Callable[[Path], Place]
FindVolume = Callable[[str], Optional[Path]]


@dataclass(frozen=True)
class Rule:
    """How a tree is saved: a volume, which is a name, or a directory of the host."""

    target: str | Path
    source_name: str | None = None
    consistency: str = "paused"
    max_pause: int = 60
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    command_timeout: int = 300

    def source(self) -> str:
        """What the source is called.

        :raises UsageError: the path does not make a name
        """
        by_itself = ".".join(self.target.parts[1:]) if isinstance(self.target, Path) else self.target
        return check_source_name(f"volumes/{self.source_name or by_itself}")

    def __str__(self) -> str:
        kind = "directory" if isinstance(self.target, Path) else "volume"
        return f"{kind} '{shown(str(self.target))}'"


@dataclass(frozen=True)
class Exclusion:
    """What is not saved, and why: a volume, or a directory with everything below it."""

    target: str | Path
    reason: str


@dataclass(frozen=True)
class SavedElsewhere:
    """A tree of the host, or of a container, that another source saves."""

    source: str
    path: Path
    container: str | None = None


@dataclass(frozen=True)
class Wishes:
    """What the operator says about the mounts."""

    rules: tuple[Rule, ...] = ()
    bind_roots: tuple[Path, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    elsewhere: tuple[SavedElsewhere, ...] = ()


@dataclass(frozen=True)
class SavedTree:
    """A tree to save as a source, with the containers that use it."""

    source: str
    rule: Rule
    place: Path
    containers: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A mount that is no source: in ``words`` the source that holds it, the reason to exclude it, or why nothing covers it."""

    mount: str
    containers: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Decision:
    """What becomes of every mount, and the exclusions that keep nothing out."""

    trees: tuple[SavedTree, ...]
    covered: tuple[Judged, ...]
    excluded: tuple[Judged, ...]
    uncovered: tuple[Judged, ...]
    idle: tuple[Exclusion, ...]


def decide(containers: Sequence[Container], wishes: Wishes, look: Look, find_volume: FindVolume) -> Decision:
    """Find what saves each mount of these containers.

    :param look: follows a path of the host
    :param find_volume: where a volume's files lie; None if there is no such volume
    :raises UsageError: a rule is about nothing, or two trees would have the same name
    """
    return _Survey(containers, wishes, look, find_volume).decide()


@dataclass(frozen=True)
class _Seen:
    mount: str
    volume: str | None
    place: Place
    containers: tuple[str, ...]


class _Survey:
    def __init__(self, containers: Sequence[Container], wishes: Wishes, look: Look, find_volume: FindVolume) -> None:
        self._look = look
        self._find_volume = find_volume
        self._wishes = wishes
        self._seen = _merge(_mounts_of_data(containers, look))
        self._roots = [look(root).path for root in wishes.bind_roots]
        self._elsewhere = list(self._find_elsewhere({container.name: container for container in containers}))
        self._exclusions = [
            (one, look(one.target).path if isinstance(one.target, Path) else None) for one in wishes.exclusions
        ]
        self._whys = {seen: why for seen in self._seen for why in [self._why_no_source(seen)] if why is not None}

    def decide(self) -> Decision:
        trees = self._find_trees()
        _refuse_shared_names(trees)
        covered, excluded, uncovered = [], [], []
        effective = set()
        for seen in self._seen:
            source = self._holder(seen, trees)
            exclusion = self._exclusion(seen)
            if source is not None:
                if all(tree.place != seen.place.path for tree in trees):
                    covered.append(Judged(seen.mount, seen.containers, source))
            elif exclusion is not None:
                effective.add(exclusion)
                excluded.append(Judged(seen.mount, seen.containers, exclusion.reason))
            else:
                uncovered.append(Judged(seen.mount, seen.containers, self._whys[seen]))
        return Decision(
            trees=tuple(sorted(trees, key=lambda tree: tree.source)),
            covered=tuple(covered),
            excluded=tuple(excluded),
            uncovered=tuple(uncovered),
            idle=tuple(one for one in self._wishes.exclusions if one not in effective),
        )

    def _find_elsewhere(self, containers: Mapping[str, Container]) -> Iterator[tuple[Path, str]]:
        for one in self._wishes.elsewhere:
            path: Path | None = one.path
            if one.container is not None:
                container = containers.get(one.container)
                path = container.host_path(one.path) if container else None
            if path is not None:
                yield self._look(path).path, one.source

    def _find_trees(self) -> list[SavedTree]:
        trees = [self._tree(rule, place) for rule in self._wishes.rules for place in self._places(rule)]
        # The outer one first, and a volume under its own name.
        for seen in sorted(self._seen, key=lambda seen: (len(seen.place.path.parts), seen.volume is None)):
            if seen not in self._whys and self._holder(seen, trees) is None and self._exclusion(seen) is None:
                trees.append(self._tree(Rule(seen.volume or seen.place.path), seen.place.path))
        return trees

    def _places(self, rule: Rule) -> Iterator[Path]:
        place = self._place(rule.target)
        if place.kind == DIRECTORY:
            yield place.path
        elif place.kind != MISSING:
            raise UsageError(
                f"{rule} was expected to be one, as a rule says, and is not: name the directory that holds it"
            )
        elif not any(_within(seen.place.path, place.path) for seen in self._seen):
            raise UsageError(
                f"{rule} was expected on this host, as a rule says, and is not there, and no container uses it: correct the"
                " rule, or take it off"
            )

    def _place(self, target: str | Path) -> Place:
        if isinstance(target, Path):
            if not target.is_absolute() or target.parent == target:
                raise UsageError(f"'{target}' was expected to be an absolute path below '/', as a rule has to say")
            return self._look(target)
        for seen in self._seen:
            if seen.volume == target:
                return seen.place
        path = self._find_volume(target)
        return self._look(path) if path else Place(Path(target), MISSING)

    def _tree(self, rule: Rule, place: Path) -> SavedTree:
        users = {
            name
            for seen in self._seen
            if seen.place.path.is_relative_to(place) or place.is_relative_to(seen.place.path)
            for name in seen.containers
        }
        return SavedTree(rule.source(), rule, place, tuple(sorted(users)))

    def _holder(self, seen: _Seen, trees: Sequence[SavedTree]) -> str | None:
        if seen.place.kind == MISSING:
            return None
        holders = [(tree.place, tree.source) for tree in trees] + self._elsewhere
        around = [(len(place.parts), source) for place, source in holders if _within(seen.place.path, place)]
        return max(around, key=lambda one: one[0])[1] if around else None

    def _exclusion(self, seen: _Seen) -> Exclusion | None:
        for exclusion, path in self._exclusions:
            if seen.volume == exclusion.target if path is None else _within(seen.place.path, path):
                return exclusion
        return None

    def _why_no_source(self, seen: _Seen) -> str | None:
        if seen.place.kind == MISSING:
            return "does not exist"
        if seen.volume is not None:
            return None
        if seen.place.kind == FILE:
            return "is a single file, which only a rule for a directory around it covers"
        if all(root not in seen.place.path.parents for root in self._roots):
            return f"is not below a bind root ({', '.join(map(str, self._wishes.bind_roots)) or 'there is none'})"
        try:
            Rule(seen.place.path).source()
        except UsageError:
            return "makes no name of a source, so that it needs a rule with a source_name"
        return None


def _mounts_of_data(containers: Sequence[Container], look: Look) -> Iterator[tuple[str, Mount, Place]]:
    for container in containers:
        for mount in container.mounts:
            # What is no path is an image, a file system of the container alone, or a volume that its driver hides.
            there = mount.source.is_absolute()
            place = look(mount.source) if there else Place(mount.source, MISSING)
            system = place.kind == OTHER or any(_within(place.path, path) for path in SYSTEM)
            if mount.volume or (there and not system and mount.source not in SETTINGS):
                yield container.name, mount, place


def _merge(mounts: Iterable[tuple[str, Mount, Place]]) -> list[_Seen]:
    found: dict[tuple[str | None, Place], tuple[set[str], set[str]]] = {}
    for container, mount, place in mounts:
        names, containers = found.setdefault((mount.volume, place), (set(), set()))
        names.add(mount.volume or shown(str(mount.source)))
        containers.add(container)
    return sorted(
        (
            _Seen(min(names), volume, place, tuple(sorted(containers)))
            for (volume, place), (names, containers) in found.items()
        ),
        key=lambda seen: seen.mount,
    )


def _within(path: Path, directory: Path) -> bool:
    # Whoever names the root means a mount of the whole host, not everything.
    return path == directory or (directory.parent != directory and directory in path.parents)


def _refuse_shared_names(trees: Sequence[SavedTree]) -> None:
    named: dict[str, SavedTree] = {}
    for tree in trees:
        other = named.setdefault(tree.source, tree)
        if other is not tree:
            raise UsageError(
                f"source {tree.source} was expected to be one tree, and is {other.rule} as well as {tree.rule}: give one of"
                " them a source_name by a rule, or exclude it"
            )
