# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus' blocks: what a whole one has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import tsdb
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import Block

from tests.unit.plugins.module_utils.conftest import ULIDS, a_block

pytestmark = pytest.mark.unit

FIRST, SECOND, THIRD = ULIDS


def test_blocks_are_told_oldest_first(tmp_path: Path) -> None:
    for ulid, begin in ((FIRST, 7_200_000), (THIRD, 0), (SECOND, 0)):
        a_block(tmp_path, ulid, begin)
    for name in ("wal", "chunks_head", "lock", f"{FIRST}.tmp-for-deletion", "01HQ3XW2D4E5F6G7H8J9KMI000"):
        (tmp_path / name).mkdir()

    assert [(block.ulid, block.min_time) for block in tsdb.blocks(tmp_path)] == [
        (SECOND, 0),
        (THIRD, 0),
        (FIRST, 7_200_000),
    ]
    assert tsdb.blocks(tmp_path)[2] == Block(FIRST, 7_200_000, 14_400_000, 120, 9)
    assert list(tsdb.verify(tmp_path)) == []


def test_a_database_without_blocks_is_whole(tmp_path: Path) -> None:
    assert (tsdb.blocks(tmp_path), list(tsdb.verify(tmp_path))) == ([], [])


def emptied(name: str) -> Callable[[Path], object]:
    return lambda block: (block / name).write_bytes(b"")


def without(name: str) -> Callable[[Path], object]:
    return lambda block: (block / name).unlink()


def meta(**change: object) -> Callable[[Path], object]:
    def rewrite(block: Path) -> None:
        stored = {**json.loads((block / "meta.json").read_bytes()), **change}
        (block / "meta.json").write_text(json.dumps(stored), "utf-8")

    return rewrite


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (emptied("index"), [("index", "begins with nothing, expected baaad700")]),
        (without("index"), [("index", "No such file or directory")]),
        (emptied("tombstones"), [("tombstones", "begins with nothing, expected 0130ba30")]),
        (without("tombstones"), []),
        (emptied("chunks/000002"), [("chunks/000002", "begins with nothing, expected 85bd40dd")]),
        (without("chunks/000001"), []),
        (lambda block: [path.unlink() for path in (block / "chunks").iterdir()], [("chunks", "has no segment")]),
        (
            lambda block: (block / "index").write_bytes(b"\x85\xbd\x40\xdd..."),
            [("index", "begins with 85bd40dd, expected baaad700")],
        ),
        (meta(ulid=SECOND), [("meta.json", f"describes block {SECOND}")]),
        (meta(stats={}), [("meta.json", "is not the description of a block ('numSamples')")]),
        (
            meta(stats=None),
            [("meta.json", "is not the description of a block ('NoneType' object is not subscriptable)")],
        ),
    ],
)
def test_what_a_whole_block_has(tmp_path: Path, damage: Callable[[Path], object], found: list[tuple[str, str]]) -> None:
    damage(a_block(tmp_path, FIRST))

    assert list(tsdb.verify(tmp_path)) == [(f"{FIRST}/{path}", words) for path, words in found]


@pytest.mark.parametrize("damage", [emptied("meta.json"), without("meta.json"), meta(ulid="x")])
def test_a_block_that_does_not_describe_itself_is_no_block(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    damage(a_block(tmp_path, FIRST))

    with pytest.raises(ValueError, match=r"description of a block|describes block x"):
        tsdb.blocks(tmp_path)
    assert [path for path, _what in tsdb.verify(tmp_path)] == [f"{FIRST}/meta.json"]


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [
        ("0s", 0),
        ("1ms", 1),
        ("15d", 1_296_000_000),
        ("1d12h", 129_600_000),
        ("1y2w3d4h5m6s7ms", 33_019_506_007),
        ("90m", 5_400_000),
    ],
)
def test_a_duration_is_read_as_prometheus_writes_it(duration: str, milliseconds: int) -> None:
    assert tsdb.milliseconds(duration) == milliseconds


@pytest.mark.parametrize("duration", ["", "15", "d", "15 d", "1d12", "-1d", "1.5d", "15D"])
def test_what_is_no_duration_is_named(duration: str) -> None:
    with pytest.raises(ValueError, match=f"'{duration}' was expected to be a duration, as 15d"):
        tsdb.milliseconds(duration)
