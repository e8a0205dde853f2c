# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus' blocks on disk: what a whole one has, and what it says about its samples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
INDEX_MAGIC = bytes.fromhex("baaad700")
CHUNKS_MAGIC = bytes.fromhex("85bd40dd")
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
TOMBSTONES_MAGIC = bytes.fromhex("0130ba30")


@dataclass(frozen=True)
class Block:
    """One block; times in milliseconds since the epoch, the end exclusive."""

    ulid: str
    min_time: int
    max_time: int
    samples: int
    series: int


def milliseconds(duration: str) -> int:
    """A duration as Prometheus writes it, as ``1d12h``.

    :raises ValueError: it is none
    """
    if not re.fullmatch(r"(\d+(ms|[smhdwy]))+", duration):
        raise ValueError(f"'{duration}' was expected to be a duration, as 15d")
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def blocks(data: Path) -> list[Block]:
    """The blocks of a data directory or snapshot, oldest first.

    :raises ValueError: a ``meta.json`` cannot be read
    """
    return sorted((_block(path) for path in _block_directories(data)), key=lambda block: (block.min_time, block.ulid))


def verify(data: Path) -> Iterator[tuple[str, str]]:
    """What is wrong with the blocks of a directory: path and reason."""
    for path in _block_directories(data):
        name = path.name
        try:
            _block(path)
        except ValueError as error:
            yield f"{name}/meta.json", str(error)
        yield from _magic(data, path / "index", INDEX_MAGIC)
        if (path / "tombstones").exists():
            yield from _magic(data, path / "tombstones", TOMBSTONES_MAGIC)
        segments = sorted((path / "chunks").glob("*"))
        if not segments:
            yield f"{name}/chunks", "has no segment"
        for segment in segments:
            yield from _magic(data, segment, CHUNKS_MAGIC)


def _block_directories(data: Path) -> list[Path]:
    return sorted(path for path in data.iterdir() if ULID.fullmatch(path.name))


def _block(path: Path) -> Block:
    try:
        meta = json.loads((path / "meta.json").read_bytes())
        block = Block(
            meta["ulid"], meta["minTime"], meta["maxTime"], meta["stats"]["numSamples"], meta["stats"]["numSeries"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"is not the description of a block ({error})") from error
    if block.ulid != path.name:
        raise ValueError(f"describes block {block.ulid}")
    return block


def _magic(data: Path, path: Path, magic: bytes) -> Iterator[tuple[str, str]]:
    try:
        with path.open("rb") as file:
            found = file.read(len(magic))
    except OSError as error:
        yield str(path.relative_to(data)), error.strerror or str(error)
        return
    if found != magic:
        yield str(path.relative_to(data)), f"begins with {found.hex() or 'nothing'}, expected {magic.hex()}"
