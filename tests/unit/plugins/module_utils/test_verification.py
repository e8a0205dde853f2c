# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verifying a set: nothing in it can change without being named."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SetDamaged
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify

from tests.unit.plugins.module_utils.conftest import NOTES, ULIDS, Backups, a_block, in_secret, rewrite, unprivileged

pytestmark = pytest.mark.unit

JOURNAL, LISTING = f"{NOTES}/journal", f"listings/{NOTES}.jsonl"
VERIFY = """
import json, sys
from pathlib import Path
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify

path = Path(sys.argv[1])
print(json.dumps({one.path: one.what for one in verify(Area(path.parent), path.name).damage}))
"""
ZEROS = b"0" * 64


@pytest.fixture
def whole(backups: Backups) -> Path:
    """A set with a volume and a Prometheus."""
    a_block(backups.base / "origin" / "prometheus", ULIDS[0])
    opening = backups.open()
    backups.save(NOTES, {"journal": b"words", "new\nline\\": b"x", "deep/er": b"more"})
    backups.save("prometheus", {})
    backups.commit("prometheus", NOTES)
    return backups.area().path(opening.id)


def flip(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in a file of ours, which is read-only."""
    content = path.read_bytes()
    assert old in content
    path.chmod(0o600)
    path.write_bytes(content.replace(old, new, 1))


def found(whole: Path) -> dict[str, str]:
    """What a verification names."""
    return {one.path: one.what for one in verify(Area(whole.parent), whole.name).damage}


def test_a_whole_set_has_no_damage(whole: Path) -> None:
    verification = verify(Area(whole.parent), whole.name)

    saved = [path for name in ("volumes", "prometheus") for path in (whole / name).rglob("*") if path.is_file()]
    assert (verification.files, verification.bytes) == (8, sum(path.stat().st_size for path in saved))
    assert (verification.damage, verification.shared) == ((), {})
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=whole, check=True)


def resum(whole: Path, name: str) -> None:
    """Make SHA256SUMS agree with what a file of ours is now."""
    sums = sets.load_sums((whole / "SHA256SUMS").read_bytes())
    flip(whole / "SHA256SUMS", sums[name].encode(), tree.sha256(os.fsencode(whole / name)).encode())


def forge_listing(whole: Path) -> None:
    flip(whole / LISTING, b'"mode": 420', b'"mode": 511')
    resum(whole, LISTING)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda whole: rewrite(whole / JOURNAL), {JOURNAL: "has sha256"}),
        (lambda whole: in_secret(whole / NOTES, lambda data: (data / "journal").unlink()), {JOURNAL: "is missing"}),
        (
            lambda whole: in_secret(whole / NOTES, lambda data: (data / "stray").touch()),
            {f"{NOTES}/stray": "does not belong there"},
        ),
        (lambda whole: (whole / JOURNAL).chmod(0o600), {JOURNAL: "has mode 0o600, expected 0o644"}),
        (lambda whole: (whole / NOTES / "deep").chmod(0o700), {f"{NOTES}/deep": "has mode 0o700"}),
        (lambda whole: os.utime(whole / JOURNAL, ns=(0, 1)), {JOURNAL: "has mtime_ns 1, expected"}),
        (
            lambda whole: (whole / NOTES).rename(whole / "moved"),
            {NOTES: "is missing", "moved": "does not belong there"},
        ),
        (lambda whole: (whole / "stray").touch(), {"stray": "does not belong there"}),
        (lambda whole: (whole / "volumes/stray").mkdir(), {"volumes/stray": "does not belong there"}),
        (lambda whole: flip(whole / "SHA256SUMS", b"  ", b" "), {"SHA256SUMS": "has a line that is not a sum"}),
        (lambda whole: (whole / "SHA256SUMS").unlink(), {"SHA256SUMS": "No such file"}),
        (
            lambda whole: flip(whole / "SHA256SUMS", b"  volumes/notes/journal\n", b"  volumes/notes/journey\n"),
            {
                JOURNAL: "has another sum in SHA256SUMS than in listings/volumes/notes.jsonl",
                f"{NOTES}/journey": "is named in SHA256SUMS and in no listing",
            },
        ),
        (
            lambda whole: flip(whole / "manifest.json", b'"tokyo"', b'"osaka"'),
            {"manifest.json": "does not have the sum that SHA256SUMS gives"},
        ),
        (
            lambda whole: flip(whole / LISTING, b'"mode": 420', b'"mode": 511'),
            {LISTING: "does not have the sum", f"{NOTES}/deep/er": "has mode 0o644, expected 0o777"},
        ),
        (forge_listing, {f"{NOTES}/deep/er": "has mode 0o644, expected 0o777"}),
        (
            lambda whole: (whole / LISTING).unlink(),
            {
                LISTING: "was expected to be the listing of volumes/notes, and cannot be read",
                JOURNAL: "is named in SHA256SUMS and in no listing",
                f"{NOTES}/new\nline\\": "is named in SHA256SUMS and in no listing",
                f"{NOTES}/deep/er": "is named in SHA256SUMS and in no listing",
            },
        ),
    ],
)
def test_whatever_changes_is_named(whole: Path, damage: Callable[[Path], object], named: dict[str, str]) -> None:
    damage(whole)
    damaged = found(whole)

    assert damaged.keys() == named.keys()
    assert not [(path, damaged[path]) for path, words in named.items() if words not in damaged[path]]


def test_a_file_that_cannot_be_read_is_named_with_the_others(whole: Path) -> None:
    (whole / JOURNAL).chmod(0)
    rewrite(whole / NOTES / "deep/er")

    printed = unprivileged(VERIFY, whole)
    named = json.loads(printed)
    assert named.keys() == {JOURNAL, f"{NOTES}/deep/er"}
    assert named[JOURNAL] == "cannot be read (Permission denied)"


def test_one_bit_is_enough(whole: Path) -> None:
    def flip_bit(path: Path) -> None:
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    in_secret(whole / JOURNAL, flip_bit)

    assert list(found(whole)) == [JOURNAL]


def test_a_sum_that_was_changed_is_named(whole: Path) -> None:
    sums = sets.load_sums((whole / "SHA256SUMS").read_bytes())
    flip(whole / "SHA256SUMS", sums[JOURNAL].encode(), ZEROS)

    assert found(whole) == {JOURNAL: f"has another sum in SHA256SUMS than in {LISTING}"}


def test_a_block_that_was_saved_broken_is_named(backups: Backups) -> None:
    block = a_block(backups.base / "origin" / "prometheus", ULIDS[0])
    (block / "index").write_bytes(b"garbage")
    for kind in ("directory", "prometheus"):
        opening = backups.open()
        backups.save("prometheus", {}, kind=kind)
        backups.commit("prometheus")
        backups.now += 60
        named = found(backups.area().path(opening.id))
        index = f"prometheus/{ULIDS[0]}/index"
        assert named == ({index: "begins with 67617262, expected baaad700"} if kind == "prometheus" else {})


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_set_without_a_manifest_cannot_be_verified(whole: Path, content: bytes | None) -> None:
    (whole / "manifest.json").unlink()
    if content is not None:
        (whole / "manifest.json").write_bytes(content)

    with pytest.raises(SetDamaged, match="use another set"):
        found(whole)


def test_sets_that_share_a_damaged_file_are_named(backups: Backups) -> None:
    first, second = backups.back_up(journal=b"words", other=b"x"), backups.back_up(journal=b"words", other=b"x")
    third = backups.back_up(journal=b"other words")
    rewrite(backups.area().path(second) / JOURNAL)

    assert verify(backups.area(), second).shared == {first: (JOURNAL,)}
    assert verify(backups.area(), first).shared == {second: (JOURNAL,)}
    assert verify(backups.area(), third).damage == ()
    assert verify(backups.area(), third).shared == {}


def test_each_set_shares_only_what_it_has_of_the_damage(backups: Backups) -> None:
    odd = "not\udcffutf8"
    first = backups.back_up(journal=b"words", **{odd: b"x"})
    second, third = (backups.back_up(journal=b"changed", **{odd: b"x"}) for _turn in range(2))
    rewrite(backups.area().path(third) / NOTES / odd)
    rewrite(backups.area().path(third) / JOURNAL)

    shared = {first: (f"{NOTES}/{odd}",), second: (JOURNAL, f"{NOTES}/{odd}")}
    assert verify(backups.area(), third).shared == shared


def test_damage_of_one_set_alone_is_shared_with_none(backups: Backups) -> None:
    names = [backups.back_up(journal=b"words") for _turn in range(2)]
    in_secret(backups.area().path(names[0]) / NOTES, lambda data: (data / "journal").unlink())

    verification = verify(backups.area(), names[0])
    assert ([one.path for one in verification.damage], verification.shared) == ([JOURNAL], {})


def test_what_restores_have_replaced_is_verified_as_well(backups: Backups) -> None:
    opening = backups.open(area="before-restore")
    backups.save(NOTES, {"journal": b"words"}, area="before-restore")
    backups.lifecycle("before-restore").commit(opening.run, (), 50, ())
    area = backups.area("before-restore")

    assert verify(area, opening.id).damage == ()
    rewrite(area.path(opening.id) / JOURNAL)
    assert [one.path for one in verify(area, opening.id).damage] == [JOURNAL]
