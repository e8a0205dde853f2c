# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree that is handed from one host to another arrives byte for byte, and nowhere but where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SetDamaged, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import (
    MOST_BYTES,
    HandedFile,
    HandedTree,
    read_saved,
)
from ansible_collections.flatnet.ops.plugins.module_utils.tree import list_tree

from tests.unit.plugins.module_utils.conftest import grow

pytestmark = pytest.mark.unit

FILES = (
    HandedFile("nginx.conf", 1_700_000_000_123_456_700, b"\xef\xbb\xbfevents {}\r\n"),
    HandedFile("conf.d/\u8a2d\u5b9a.conf", 1_700_000_001_000_000_000, bytes(range(256))),
)
TREE = HandedTree(r"C:\openresty\conf on gateway1", FILES, ("conf.d", "empty"))


def test_a_tree_arrives_as_it_was() -> None:
    assert HandedTree.unpack(TREE.pack()) == TREE
    assert TREE.pack().isascii()


def test_it_is_placed_for_a_while_with_its_times() -> None:
    with TREE.placed() as top:
        for file in FILES:
            assert (top / file.path).read_bytes() == file.content
            assert (top / file.path).stat().st_mtime_ns == file.mtime_ns
            assert (top / file.path).stat().st_mode & 0o777 == 0o644
        assert [(top / name).stat().st_mode & 0o777 for name in (".", "conf.d", "empty")] == [0o755] * 3
        assert top.parent.stat().st_mode & 0o777 == 0o700
    assert not top.parent.exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "conf.d/../../up", "", "nul\0", "\udc80"])
def test_a_name_that_leads_elsewhere_is_refused(path: str) -> None:
    for tree in (HandedTree("here", (HandedFile(path, 0, b""),)), HandedTree("here", (), (path,))):
        with pytest.raises(UsageError, match="names that lie in it"):
            HandedTree.unpack(tree.pack())


@pytest.mark.parametrize("text", ["nonsense", "AAAA", "eJw="])
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the tree that another task has returned was expected"):
        HandedTree.unpack(text)


SAVED = {"nginx.conf": b"events {}\r\n", "conf.d/\u8a2d\u5b9a.conf": b"\xff"}


def test_a_tree_of_a_set_is_read_as_it_was_saved(tmp_path: Path) -> None:
    top = grow(tmp_path / "gateway", SAVED)
    (top / "empty").mkdir()
    read = read_saved(top, list_tree(top, {}), "gateway of set x")

    assert {file.path: file.content for file in read.files} == SAVED
    assert sorted(read.directories) == ["conf.d", "empty"]
    assert HandedTree.unpack(read.pack()) == read


@pytest.mark.parametrize(
    "damage",
    [
        lambda top: (top / "nginx.conf").write_bytes(b"events { }\n"),
        lambda top: (top / "nginx.conf").unlink(),
        lambda top: ((top / "nginx.conf").unlink(), (top / "nginx.conf").symlink_to("/etc/passwd")),
    ],
    ids=["changed", "gone", "another"],
)
def test_a_tree_of_a_set_that_is_not_as_it_was_saved_is_refused(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    top = grow(tmp_path / "gateway", SAVED)
    listing = list_tree(top, {})
    damage(top)

    with pytest.raises(SetDamaged, match="nothing was changed"):
        read_saved(top, listing, "gateway of set x")


def test_what_another_host_cannot_have_is_refused(tmp_path: Path) -> None:
    top = grow(tmp_path / "gateway", SAVED)
    (top / "link").symlink_to("nginx.conf")
    with pytest.raises(UsageError, match="files and directories alone"):
        read_saved(top, list_tree(top, {}), "gateway of set x")
    (top / "link").unlink()
    with (top / "large").open("wb") as large:
        large.truncate(MOST_BYTES + 1)
    with pytest.raises(UsageError, match="at most 33,554,432 bytes"):
        read_saved(top, list_tree(top, {}), "gateway of set x")
