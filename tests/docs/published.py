# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has found, for tools and for people: docs/NAME.json, and the same as a table in docs/NAME.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def publish(name: str, heading: str, prefix: str, rows: Sequence[Mapping[str, Any]], **facts: str) -> None:
    """Write both files.

    :param heading: what the page says above its table
    :param prefix: how the ids of a run begin; rows of other ids stay as an earlier run has found them
    :param facts: what the JSON says beside the rows
    """
    path = DOCS / f"{name}.json"
    known = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    everything = [*(row for row in known if not row["id"].startswith(prefix)), *rows]
    path.write_text(json.dumps({**facts, "rows": everything}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    columns = list(everything[0])
    lines = [f"| {' | '.join(cell(row[column]) for column in columns)} |\n" for row in everything]
    table = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}"
    path.with_suffix(".md").write_text(f"{heading}\n\n{table}", "utf-8")


def cell(value: object) -> str:
    """A value as a cell of a table."""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "" if value is None else " ".join(str(value).split()).replace("|", "\\|")
