# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines in memory and on disk, laid out so that a part that is missing loses the lines that it held."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import shutil
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

Labels = tuple[tuple[str, str], ...]
Entry = tuple[int, str]

DAY = 24 * 3600 * 10**9
CHUNK_LINES = 200
TENANT = "fake"


@dataclass(frozen=True)
class Version:
    """A version of Loki, and where it keeps what below its path prefix."""

    number: str
    active: str
    cache: str
    newer: bool

    def labels(self, given: Mapping[str, str]) -> Labels:
        """The labels that a stream gets; newer versions add the name of a service."""
        service = given.get("container") or given.get("job") or "unknown_service"
        return tuple(sorted({**given, **({"service_name": service} if self.newer else {})}.items()))


VERSIONS = {
    "tsdb": Version("3.4.2", "tsdb-shipper-active", "tsdb-shipper-cache", True),
    "boltdb-shipper": Version("2.9.3", "boltdb-shipper-active", "boltdb-shipper-cache", False),
}


@dataclass
class Stream:
    """The lines of one set of labels, by time; no line twice."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add a line, unless it is there."""
        if not self.entries or self.entries[-1][0] < entry[0]:
            self.entries.append(entry)
            return
        place = self._place(entry[0] + 1)
        same = itertools.takewhile(lambda other: other[0] == entry[0], self._backwards(place))
        if entry not in same:
            self.entries.insert(place, entry)

    def _backwards(self, place: int) -> Iterator[Entry]:
        return (self.entries[index] for index in range(place - 1, -1, -1))

    def between(self, begin: int, end: int) -> list[Entry]:
        """The lines from the begin on, before the end."""
        return self.entries[self._place(begin) : self._place(end)]

    def _place(self, time: int) -> int:
        """How many lines are older."""
        return bisect_left(self.entries, time, key=itemgetter(0))


class Store:
    """The lines below a directory: in chunks that an index names, and in the log of what came since the last flush."""

    def __init__(self, directory: Path, version: Version) -> None:
        self.version = version
        self.streams: dict[Labels, Stream] = {}
        self._unflushed: dict[Labels, list[Entry]] = {}
        self._directory = directory
        self._chunks = directory / "chunks"
        self._shipped = self._chunks / "index"
        self._active = directory / version.active
        self._cache = directory / version.cache
        self._wal = directory / "wal"
        for path in (self._shipped, self._active, self._wal, directory / "compactor", directory / "rules-temp"):
            path.mkdir(parents=True, exist_ok=True)
        (directory / "compactor" / "deletion-requests").write_text("[]\n")
        shutil.rmtree(self._cache, ignore_errors=True)
        shutil.copytree(self._shipped, self._cache)
        self._read()
        self._segment = next_file(self._wal).open("ab", buffering=0)

    @property
    def flushed(self) -> bool:
        """Whether an index names any chunk."""
        return any(self._active.glob("*/*")) or any(self._shipped.glob("*/*"))

    def append(self, streams: Mapping[Labels, list[Entry]]) -> None:
        """Take lines: they are in the write-ahead log when this returns."""
        record = [[labels, entries] for labels, entries in streams.items()]
        self._segment.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        for labels, entries in streams.items():
            self._take(labels, entries)
            self._unflushed.setdefault(labels, []).extend(entries)

    def flush(self) -> None:
        """Move what only the write-ahead log holds into chunks, named by the active index."""
        names: dict[int, list[str]] = {}
        for labels, entries in self._unflushed.items():
            entries.sort(key=itemgetter(0))
            for first in range(0, len(entries), CHUNK_LINES):
                part = entries[first : first + CHUNK_LINES]
                names.setdefault(part[0][0] // DAY, []).append(self._write_chunk(labels, part))
        for day, chunks in names.items():
            next_file(self._active / f"index_{day}").write_text("".join(f"{name}\n" for name in chunks))
        self._unflushed.clear()
        self.close()
        for segment in self._wal.iterdir():
            segment.unlink()
        self._segment = next_file(self._wal).open("ab", buffering=0)

    def ship(self) -> None:
        """Move the active index to where the chunks are."""
        for index in self._active.glob("*/*"):
            index.rename(next_file(self._shipped / index.parent.name))

    def close(self) -> None:
        """Let go of the write-ahead log."""
        self._segment.close()

    def _write_chunk(self, labels: Labels, entries: list[Entry]) -> str:
        content = zlib.compress(json.dumps([labels, entries], ensure_ascii=False).encode(), 1)
        fingerprint = hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16]
        span = f"{entries[0][0] // 10**6:x}:{entries[-1][0] // 10**6:x}:{zlib.crc32(content):x}"
        if self.version.newer:
            name = f"{TENANT}/{fingerprint}/{base64.b64encode(span.encode()).decode()}"
        else:
            name = base64.b64encode(f"{TENANT}/{fingerprint}:{span}".encode()).decode()
        chunk = self._chunks / name
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(content)
        return name

    def _read(self) -> None:
        """Read the chunks that an index names, then the write-ahead log, without what a kill left half written."""
        for index in [*self._shipped.glob("*/*"), *self._active.glob("*/*")]:
            for chunk in (self._chunks / name for name in index.read_text().splitlines()):
                if chunk.exists():
                    labels, entries = json.loads(zlib.decompress(chunk.read_bytes()))
                    self._take(read_labels(labels), map(read_entry, entries))
        for labels, entries in self._logged():
            self._take(labels, entries)
            self._unflushed.setdefault(labels, []).extend(entries)

    def _logged(self) -> Iterator[tuple[Labels, list[Entry]]]:
        for segment in sorted(self._wal.iterdir()):
            for record in segment.read_bytes().splitlines(keepends=True):
                if record.endswith(b"\n"):
                    for labels, entries in json.loads(record):
                        yield read_labels(labels), [read_entry(entry) for entry in entries]

    def _take(self, labels: Labels, entries: Iterable[Entry]) -> None:
        stream = self.streams.setdefault(labels, Stream())
        for entry in entries:
            stream.add(entry)


def next_file(directory: Path) -> Path:
    """A file that does not exist yet, numbered after those that do."""
    directory.mkdir(exist_ok=True)
    last = max((int(file.name) for file in directory.iterdir()), default=-1)
    return directory / f"{last + 1:08}"


def read_labels(pairs: Iterable[tuple[str, str]]) -> Labels:
    """Labels as JSON gives them."""
    return tuple((name, value) for name, value in pairs)


def read_entry(entry: Entry) -> Entry:
    """A line as JSON gives it."""
    time, line = entry
    return time, line
