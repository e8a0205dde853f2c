# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server knows: documents by kind, organisation and key, in memory and in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

SCHEMA = """\
CREATE TABLE IF NOT EXISTS object (kind TEXT, org INTEGER, key TEXT, data TEXT, PRIMARY KEY (kind, org, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequence (kind TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dashboard INTEGER, version INTEGER, parent INTEGER, created TEXT, created_by INTEGER,
  message TEXT, data TEXT
);
CREATE INDEX IF NOT EXISTS version_of ON version (dashboard, version);
"""


class Store:
    """Every change is in the file when its request is answered."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(directory / "grafana.db", check_same_thread=False)
        # A process that is killed loses nothing without it; a machine that loses power does.
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(SCHEMA)
        self._kinds: dict[tuple[str, int], dict[str, Doc]] = {}
        for kind, org, key, data in self._database.execute("SELECT kind, org, key, data FROM object"):
            self._of(kind, org)[key] = json.loads(data)
        self._last: dict[str, int] = dict(self._database.execute("SELECT kind, last FROM sequence"))

    def _of(self, kind: str, org: int) -> dict[str, Doc]:
        return self._kinds.setdefault((kind, org), {})

    @property
    def empty(self) -> bool:
        """Whether this is the first start."""
        return not self._kinds

    def get(self, kind: str, org: int, key: object) -> Doc | None:
        """One document, if it is there."""
        return self._of(kind, org).get(str(key))

    def all(self, kind: str, org: int) -> list[Doc]:
        """Every document of a kind, in the order in which they came."""
        return sorted(self._of(kind, org).values(), key=lambda doc: doc.get("id", 0))

    def put(self, kind: str, org: int, key: object, doc: Doc) -> None:
        """Create or replace a document."""
        self._of(kind, org)[str(key)] = doc
        row = (kind, org, str(key), json.dumps(doc, ensure_ascii=False))
        self._database.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)", row)

    def delete(self, kind: str, org: int, key: object) -> bool:
        """Delete a document; whether it was there."""
        self._database.execute("DELETE FROM object WHERE kind = ? AND org = ? AND key = ?", (kind, org, str(key)))
        return self._of(kind, org).pop(str(key), None) is not None

    def delete_organisation(self, org: int) -> None:
        """Delete everything that an organisation has."""
        for kind in [kind for kind, owner in self._kinds if owner == org]:
            del self._kinds[kind, org]
        self._database.execute("DELETE FROM object WHERE org = ?", (org,))

    def next(self, kind: str) -> int:
        """A number that no other object of the kind has had."""
        self._last[kind] = self._last.get(kind, 0) + 1
        self._database.execute("INSERT OR REPLACE INTO sequence VALUES (?, ?)", (kind, self._last[kind]))
        return self._last[kind]

    def add_version(self, dashboard: Doc, created_by: int, message: str, data: str) -> None:
        """Keep what a dashboard has become."""
        number = dashboard["version"]
        row = (dashboard["id"], number, number - 1, dashboard["updated"], created_by, message, data)
        sql = "INSERT INTO version (dashboard, version, parent, created, created_by, message, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._database.execute(sql, row)

    def content(self, dashboard: Doc) -> str:
        """What a dashboard is now, as JSON."""
        sql = "SELECT data FROM version WHERE dashboard = ? AND version = ?"
        (data,) = self._database.execute(sql, (dashboard["id"], dashboard["version"])).fetchone()
        return str(data)

    def versions(self, dashboard: Doc) -> list[tuple[Any, ...]]:
        """What a dashboard has been, newest first."""
        sql = "SELECT id, version, parent, created, created_by, message, data FROM version WHERE dashboard = ? ORDER BY version DESC"
        return self._database.execute(sql, (dashboard["id"],)).fetchall()

    def delete_versions(self, dashboard: Doc) -> None:
        """Forget what a dashboard has been."""
        self._database.execute("DELETE FROM version WHERE dashboard = ?", (dashboard["id"],))

    def commit(self) -> None:
        """Write what has changed."""
        self._database.commit()

    def close(self) -> None:
        """Write, and let go of the file."""
        self._database.commit()
        self._database.close()


def stamp() -> str:
    """Now, as the database keeps it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fresh_uid() -> str:
    """A uid that no object has."""
    return uuid.uuid4().hex[:9]
