# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a Grafana as files: one for each object, with a name that a person finds and every file system takes.

Nothing here changes anything. docs/formats/grafana.md describes the files.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, SetDamaged
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    FOLDERS,
    GENERAL,
    KINDS,
    Thing,
)

FORMAT = 1
INDEX = "index.json"
# What a run writes last; while the first of the two is there, the files are those of two runs.
NEXT_INDEX = "index.json.next"
SECRETS_NEEDED = "secrets_needed.json"
NOT_SAVED = "not_saved.json"
GENERAL_DIRECTORY = "General"
_ORDER = {kind.name: number for number, kind in enumerate(KINDS)}
_DIRECTORIES = {kind.name: kind.directory for kind in KINDS}
_IN_FOLDERS = ("library_panels", "dashboards", "rules")
# Not allowed in names on Windows, or with a meaning of their own somewhere.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(\..*)?", re.IGNORECASE)
_LONGEST = 80
_ENDING = ".json"


@dataclass(frozen=True)
class Entry:
    """One object of the index; ``path`` is its file, relative."""

    kind: str
    key: str
    title: str
    folder: str
    path: str
    sha256: str
    provisioned: bool = False

    @property
    def id(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.kind, self.key


class Tree:
    """The files of one organization, read back."""

    def __init__(self, root: Path, accept_edited: bool = False) -> None:
        """Read the index.

        :param accept_edited: files that somebody has changed since are taken as they are
        :raises NoSuchSet: there is none
        :raises SetDamaged: it cannot be read, or a backup into it did not end
        """
        self.root = root
        self._accept_edited = accept_edited
        if (root / NEXT_INDEX).exists():
            raise SetDamaged(
                f"{root} was expected to hold the files of one backup, and the last backup into it did not end: run it again"
            )
        self.entries = load_index(root / INDEX)

    def thing(self, entry: Entry) -> Thing:
        """One object.

        :raises SetDamaged: its file is missing, is no JSON object, or is not as it was written
        """
        path = self.root / entry.path
        try:
            data = path.read_bytes()
            content = json.loads(data)
            if not isinstance(content, dict):
                raise TypeError("it is no object")
        except (OSError, TypeError, ValueError) as error:
            raise SetDamaged(
                f"{path} was expected to hold {entry.kind} '{entry.title}' as JSON, and cannot be read ({error}): take it from"
                " another backup, or leave the object out"
            ) from error
        if sha256(data) != entry.sha256 and not self._accept_edited:
            raise SetDamaged(
                f"{path} was expected as the backup has written it, and has changed since: if somebody edited it on purpose,"
                " restore with accept_edited=true; if not, take it from another backup"
            )
        return Thing(entry.kind, entry.key, entry.title, entry.folder, content, entry.provisioned)


def load_index(path: Path) -> tuple[Entry, ...]:
    """What an index names, in the order of a restore.

    :raises NoSuchSet: there is no index
    :raises SetDamaged: it is not one
    """
    try:
        stored = json.loads(path.read_bytes())
        if stored["format"] != FORMAT:
            raise SetDamaged(
                f"{path} was expected to have format {FORMAT}, and has {stored['format']}: use the version of flatnet.ops"
                " that has written it, or a newer one"
            )
        return tuple(_entry(path, one) for one in stored["objects"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchSet(
            f"{path} was expected, and is not there: name a directory that flatnet.ops.grafana_dashboard_backup has filled"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetDamaged(
            f"{path} was expected to be the index of a Grafana's files, and is not ({error}): take another backup"
        ) from error


def _entry(path: Path, stored: Mapping[str, Any]) -> Entry:
    entry = Entry(**stored)
    if entry.kind not in _ORDER or Path(entry.path).is_absolute() or ".." in Path(entry.path).parts:
        raise SetDamaged(
            f"{path} was expected to name files below it, of kinds that are known, and names '{entry.path}' of kind"
            f" '{entry.kind}': take another backup"
        )
    return entry


def dump(content: object) -> bytes:
    """An object as its file holds it."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def sha256(data: bytes) -> str:
    """The sum of a file's content."""
    return hashlib.sha256(data).hexdigest()


def dump_index(entries: Iterable[Entry]) -> bytes:
    """The index of these objects."""
    ordered = sorted(entries, key=lambda entry: (_ORDER[entry.kind], entry.folder, entry.title, entry.key))
    objects = [{name: value for name, value in asdict(entry).items() if value is not False} for entry in ordered]
    kinds = Counter(entry.kind for entry in ordered)
    return dump({"format": FORMAT, "kinds": kinds, "objects": objects})


@dataclass(frozen=True)
class Named:
    """What a file's name is made of."""

    kind: str
    key: str
    title: str
    folder: str


def paths(named: Iterable[Named]) -> dict[tuple[str, str], str]:
    """The relative path of each object's file, by kind and key; never one path for two, on any file system.

    :param named: all objects, folders among them, for they name directories
    """
    everything = list(named)
    folders = {one.key: one for one in everything if one.kind == FOLDERS.name}
    wanted = {one: "/".join(_parts(one, folders)) for one in everything}
    alike = Counter(map(_folded, wanted.values()))
    return {
        (one.kind, one.key): f"{path}{'--' + _digest(one.key) if alike[_folded(path)] > 1 else ''}{_ENDING}"
        for one, path in wanted.items()
    }


def _parts(one: Named, folders: Mapping[str, Named]) -> list[str]:
    directory = [_DIRECTORIES[one.kind]] if _DIRECTORIES[one.kind] else []
    if one.kind in _IN_FOLDERS:
        directory.extend(_folder_parts(one.folder, folders))
    # A group of rules has no uid: within its folder its name is its own.
    key = one.title if one.kind == "rules" else one.key
    return [*directory, _stem(one.title, key)]


def _folder_parts(uid: str, folders: Mapping[str, Named]) -> list[str]:
    if uid == GENERAL:
        return [GENERAL_DIRECTORY]
    parts: list[str] = []
    seen: set[str] = set()
    while uid != GENERAL and uid not in seen:
        seen.add(uid)
        folder = folders.get(uid)
        name = _stem(folder.title if folder else "", uid)
        # Two folders whose uids differ in case only must not share a directory, nor may one be called like a file.
        shared = [other for other in folders if other != uid and other.casefold() == uid.casefold()]
        parts.insert(0, f"{name}--{_digest(uid)}" if shared or _folded(name).endswith(_ENDING) else name)
        uid = folder.folder if folder else GENERAL
    return parts


def _stem(title: str, key: str) -> str:
    """A file's name without its ending, or a directory's: what a person calls the object, and what makes it its own."""
    if title == key and _safe(title) == title:
        return title
    own = key if _safe(key) == key else f"{_safe(key)}-{_digest(key)}"
    return own if title == key else f"{_safe(title)}--{own}"


def _safe(text: str) -> str:
    """A text as every file system takes it as a name."""
    shown = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" ").rstrip(". ")
    shown = shown.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ")
    return f"_{shown}" if not shown or shown[0] in ".-" or _RESERVED.fullmatch(shown) else shown


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
