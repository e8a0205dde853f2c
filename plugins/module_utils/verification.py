# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify a set: every sum, every name, every piece of metadata, and the inner structure of what has one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree, tsdb
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SetDamaged
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area


@dataclass(frozen=True)
class Damage:
    """One path of a set that is not as it was saved."""

    path: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What a verification found; sizes in bytes, ``shared`` the damaged paths that other sets share, by set."""

    files: int
    bytes: int
    damage: tuple[Damage, ...]
    shared: Mapping[str, tuple[str, ...]]


def verify(area: Area, set_id: str) -> Verification:
    """Read a whole set and compare it with what it says about itself.

    :raises SetDamaged: its manifest cannot be read
    """
    path = area.path(set_id)
    manifest = area.manifest(set_id)
    damage: dict[str, str] = {}
    covered = {sets.MANIFEST}
    files, size = 0, 0
    sums: dict[str, str] | None = None
    try:
        sums = sets.load_sums((path / sets.SUMS).read_bytes())
    except (OSError, ValueError) as error:
        damage[sets.SUMS] = str(error)
    for source in manifest.sources.values():
        own = str(sets.listing_path(path, source.name).relative_to(path))
        covered.add(own)
        try:
            expected = sets.load_listing(path, source.name)
        except SetDamaged as error:
            damage[own] = str(error)
            continue
        for name, item in expected.items():
            if item.type == "file":
                covered.add(f"{source.name}/{name}")
                if sums is not None and sums.get(f"{source.name}/{name}") != item.sha256:
                    damage[f"{source.name}/{name}"] = f"has another sum in {sets.SUMS} than in {own}"
        data = path / source.name
        if not sets.holds(path, source.name):
            damage[source.name] = "is missing, or leads elsewhere"
            continue
        unreadable: dict[str, str] = {}
        found = tree.list_tree(data, {}, unreadable=unreadable)
        counted = tree.totals(found)
        files, size = files + counted.files, size + counted.bytes
        damage.update((f"{source.name}/{name}", what) for name, what in tree.compare(expected, found))
        damage.update((f"{source.name}/{name}", f"cannot be read ({why})") for name, why in unreadable.items())
        if source.kind == "prometheus":
            damage.update((f"{source.name}/{name}", what) for name, what in tsdb.verify(data))
    damage.update((name, "does not belong there") for name in _strays(path, list(manifest.sources)))
    for own in sets.MANIFEST, *(str(sets.listing_path(path, name).relative_to(path)) for name in manifest.sources):
        if own not in damage and sums is not None and sums.get(own) != tree.sha256(bytes(path / own)):
            damage[own] = f"does not have the sum that {sets.SUMS} gives"
    for name in (sums or {}).keys() - covered:
        damage[name] = f"is named in {sets.SUMS} and in no listing"
    found_damage = tuple(Damage(name, what) for name, what in sorted(damage.items()))
    return Verification(files, size, found_damage, sharing(area, set_id, [entry.path for entry in found_damage]))


def _strays(path: Path, sources: Sequence[str]) -> Iterator[str]:
    """What lies in a set beside its sources."""
    own = {sets.MANIFEST, sets.SUMS, sets.LISTINGS.name}
    kinds = {name.partition("/")[0] for name in sources}
    yield from (each.name for each in path.iterdir() if each.name not in own | kinds)
    for kind in kinds - set(sources):
        inside = (f"{kind}/{each.name}" for each in (path / kind).glob("*"))
        yield from (name for name in inside if name not in sources)


def sharing(area: Area, set_id: str, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which of these files other sets share by a hard link, and so their damage."""
    mine = area.path(set_id)
    shared = {
        other: tuple(path for path in paths if _same_file(mine, area.path(other), path))
        for other in area.ids()
        if other != set_id
    }
    return {other: paths for other, paths in shared.items() if paths}


def _same_file(one: Path, other: Path, path: str) -> bool:
    name = tree.raw(path)
    try:
        return os.path.samefile(os.path.join(bytes(one), name), os.path.join(bytes(other), name))
    except OSError:
        return False
