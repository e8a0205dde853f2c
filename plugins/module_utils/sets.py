# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup set is on disk: its names, its manifest, its sums. Nothing here changes anything.

``ROOT/<id>/`` is a complete set, ``ROOT/.<id>.partial/`` one in the making. In the same format, ``ROOT/before-restore/`` holds
what restores have replaced, and ``ROOT/generations/`` every configuration that was in use. docs/formats/ describes every file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, SetDamaged, UsageError

FORMAT = 1
# Configurations, saved whenever they change.
GENERATIONS = ("gateway", "cni")
AREAS = {
    "sets": Path(),
    "before-restore": Path("before-restore"),
    **{f"generations/{kind}": Path("generations", kind) for kind in GENERATIONS},
}
# The purpose of a set for which only some of a site's sources were chosen.
PARTLY = "partial"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
LISTINGS = Path("listings")
OPENING = Path(".opening.json")
SOURCES = Path(".sources")
DAMAGE = ".damaged.json"
_ID = re.compile(r"\d{8}T\d{6}Z")
_GENERATION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_PARTIAL = re.compile(r"\.(\d{8}T\d{6}Z)\.partial")
_SOURCE = re.compile(r"[a-z][a-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?")


@dataclass(frozen=True)
class Probe:
    """A question with a lasting answer."""

    question: str
    at: float
    answer: str


@dataclass(frozen=True)
class Source:
    """One source as a set holds it; sizes in bytes, times in seconds."""

    name: str
    kind: str
    origin: str
    consistency: str
    files: int
    entries: int
    bytes: int
    linked_files: int
    linked_bytes: int
    seconds: float
    pause_seconds: float | None = None
    changed_while_copied: int = 0
    containers: tuple[str, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    guard: Mapping[str, Any] | None = None
    place: Mapping[str, str] = field(default_factory=dict)

    @property
    def forced(self) -> bool:
        """It is in its set although its guard refused it."""
        return self.guard is not None and self.guard.get("forced") is not None


@dataclass(frozen=True)
class Opening:
    """What is known of a set when it is opened."""

    id: str
    area: str
    run: str
    purpose: str
    site: str
    host: str
    tool: str
    started: float
    previous: str | None


@dataclass(frozen=True)
class Manifest:
    """What a set says about itself."""

    id: str
    area: str
    run: str
    purpose: str
    site: str
    host: str
    tool: str
    started: float
    finished: float
    previous: str | None
    sources: Mapping[str, Source]
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """The size of everything that it saved."""
        return sum(source.bytes for source in self.sources.values())


def check_source_name(name: str) -> str:
    """The name of a source, which is its path in a set as well.

    :raises UsageError: it could leave the set
    """
    if not _SOURCE.fullmatch(name) or name.partition("/")[0] == LISTINGS.name:
        raise UsageError(
            f"source '{name}' was expected to be named like 'prometheus' or 'volumes/app_data': lower-case kind, then at"
            " most one '/' and a name of letters, digits, '_', '.', '-'"
        )
    return name


@dataclass(frozen=True)
class Area:
    """A directory of sets."""

    root: Path
    name: str = "sets"

    @property
    def directory(self) -> Path:
        """Where the sets lie."""
        return self.root / AREAS[self.name]

    def ids(self) -> list[str]:
        """The complete sets, oldest first."""
        if not self.directory.is_dir():
            return []
        named = _GENERATION if self.name.startswith("generations/") else _ID
        there = (path for path in self.directory.iterdir() if named.fullmatch(path.name))
        return sorted(path.name for path in there if path.is_dir() and not path.is_symlink())

    def partials(self) -> list[str]:
        """The sets that were begun and not committed."""
        if not self.directory.is_dir():
            return []
        found = (_PARTIAL.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted(match.group(1) for match in found if match)

    def path(self, set_id: str) -> Path:
        """Where a complete set lies."""
        return self.directory / set_id

    def partial(self, set_id: str) -> Path:
        """Where a set lies while it is made."""
        return self.directory / f".{set_id}.partial"

    def find(self, wanted: str) -> str:
        """The name of a set; ``latest`` is the newest one of a whole site, or else the newest one.

        :raises NoSuchSet: there is none
        """
        ids = self.ids()
        if wanted == "latest" and ids:
            return next((name for name in reversed(ids) if not self._partly(name)), ids[-1])
        if wanted in ids:
            return wanted
        there = ", ".join(ids[-5:]) or "no set"
        raise NoSuchSet(
            f"set '{wanted}' was expected in {self.directory}, which holds {there}: see playbook flatnet.ops.backups"
        )

    def manifest(self, set_id: str) -> Manifest:
        """What a complete set says about itself.

        :raises SetDamaged: its manifest cannot be read
        """
        path = self.path(set_id) / MANIFEST
        try:
            return load_manifest(path.read_bytes())
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
            raise SetDamaged(
                f"{path} was expected to be the manifest of a set in format {FORMAT}, and is not ({error}): use another set"
            ) from error

    def damaged(self, set_id: str) -> frozenset[str]:
        """The paths of a set that a verification found damaged."""
        path = self.directory / DAMAGE
        try:
            return frozenset(json.loads(path.read_bytes()).get(set_id, ()))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SetDamaged(
                f"{path} was expected to say what verifications have found damaged, and cannot be read ({error}): remove it, and"
                " verify the sets again"
            ) from error

    def good_ids(self) -> list[str]:
        """The complete sets whose manifest can be read and that no verification found damaged, oldest first."""
        return [set_id for set_id in self.readable_ids() if not self.damaged(set_id)]

    def readable_ids(self) -> list[str]:
        """The complete sets whose manifest can be read, oldest first."""
        return [set_id for set_id in self.ids() if self._readable(set_id)]

    def _partly(self, set_id: str) -> bool:
        return self._readable(set_id) and self.manifest(set_id).purpose == PARTLY

    def _readable(self, set_id: str) -> bool:
        try:
            self.manifest(set_id)
        except SetDamaged:
            return False
        return True


def holds(set_path: Path, source: str) -> bool:
    """Whether a set has a directory for a source, and no symbolic link that leads elsewhere."""
    parts = [set_path / part for part in (source.partition("/")[0], source)]
    return all(part.is_dir() and not part.is_symlink() for part in parts)


def listing_path(set_path: Path, source: str) -> Path:
    """Where a set keeps the listing of a source."""
    return set_path / LISTINGS / f"{source}.jsonl"


def load_listing(set_path: Path, source: str) -> dict[str, tree.Item]:
    """The listing of a source.

    :raises SetDamaged: it cannot be read
    """
    path = listing_path(set_path, source)
    try:
        with path.open("rb") as lines:
            return _below(tree.load(lines))
    except (OSError, ValueError, TypeError) as error:
        raise SetDamaged(
            f"{path} was expected to be the listing of {source}, and cannot be read ({error}): use another set"
        ) from error


def _below(listing: dict[str, tree.Item]) -> dict[str, tree.Item]:
    """A listing whose names all lie below the source.

    :raises ValueError: one leads elsewhere
    """
    for path in listing:
        if path != "." and any(part in ("", ".", "..") for part in path.split("/")):
            raise ValueError(f"the name '{tree.shown(path)}' leads out of the source")
    return listing


def load_opening(partial: Path) -> Opening:
    """What a set in the making was opened with."""
    return Opening(**json.loads((partial / OPENING).read_bytes()))


def load_sources(partial: Path) -> dict[str, Source]:
    """What has been saved so far in a set in the making."""
    found = (_source(json.loads(path.read_bytes())) for path in sorted((partial / SOURCES).rglob("*.json")))
    return {source.name: source for source in found}


def load_manifest(content: bytes) -> Manifest:
    """A manifest from its file.

    :raises ValueError: it is of another format
    """
    stored = json.loads(content)
    if stored["format"] != FORMAT:
        raise ValueError(f"its format is {stored['format']}")
    stored["sources"] = {check_source_name(name): _source(source) for name, source in stored["sources"].items()}
    if any(name != source.name for name, source in stored["sources"].items()):
        raise ValueError("a source has another name inside than outside")
    return Manifest(**stored)


def dump(record: Manifest | Opening | Source) -> bytes:
    """A record as its file holds it."""
    return (
        json.dumps(asdict(record), indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace")
        + b"\n"
    )


def _source(stored: dict[str, Any]) -> Source:
    stored["probes"] = tuple(Probe(**probe) for probe in stored["probes"])
    stored["containers"] = tuple(stored["containers"])
    return Source(**stored)


def sum_line(path: str, digest: str) -> bytes:
    """One line of SHA256SUMS, escaped as ``sha256sum`` does."""
    name = tree.raw(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest.encode("ascii") + b"  " + escaped + b"\n"


def load_sums(content: bytes) -> dict[str, str]:
    """Path and sum of every line of SHA256SUMS.

    :raises ValueError: a line is not of its form
    """
    sums: dict[str, str] = {}
    for line in content.splitlines(keepends=True):
        match = re.fullmatch(rb"(\\?)([0-9a-f]{64})  (.+)\n", line, re.DOTALL)
        if match is None:
            raise ValueError(f"{SUMS} has a line that is not a sum: {line[:80]!r}")
        name = match.group(3)
        if match.group(1):
            name = re.sub(
                rb"\\(.)", lambda escape: {b"n": b"\n", b"r": b"\r"}.get(escape.group(1), escape.group(1)), name
            )
        sums[tree.text(name)] = match.group(2).decode("ascii")
    return sums
