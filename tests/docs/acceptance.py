# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manual's table of what only a real Windows host can show: ``PYTHONPATH=.cache python -m tests.docs.acceptance`` writes it.

It is made from the checks in the code, and from the results of real hosts in docs/acceptance, as the playbook has written them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import NOT_TRIED, VERIFIED
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import CHECKS
from ansible_collections.flatnet.ops.plugins.plugin_utils.text import Text

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {
    "ja": DOCS / "operations" / "windows-acceptance.md",
    "en": DOCS / "operations" / "en" / "windows-acceptance.md",
}
HEADINGS = Text("| 名前 | 確かめること | 確かめた |", "| name | what has to be so | verified |")
NOT_YET, HAS_FAILED = Text("まだ", "not yet"), Text("失敗", "failed")
TABLE = re.compile(
    rf"^(?:{re.escape(HEADINGS.ja)}|{re.escape(HEADINGS.en)})\n(?:\|.*\n)+",
    re.MULTILINE,
)


def results() -> list[Mapping[str, Any]]:
    """What real hosts have shown, oldest first."""
    found = [json.loads(path.read_text("utf-8")) for path in (DOCS / "acceptance").glob("*.json")]
    return sorted(found, key=lambda result: str(result["date"]))


def table(language: str, known: Sequence[Mapping[str, Any]]) -> str:
    """The table in one language."""
    rows = [
        f"| `{check.id}` | {getattr(check.expected, language)} | {standing(check.id, language, known)} |"
        for check in CHECKS
    ]
    return "\n".join([getattr(HEADINGS, language), "|---|---|---|", *rows, ""])


def standing(check: str, language: str, known: Sequence[Mapping[str, Any]]) -> str:
    """How a check stands: by the newest host on which it was tried."""
    for result in reversed(known):
        for said in result["checks"]:
            if said["id"] == check and said["verdict"] != NOT_TRIED:
                where = f"{result['date'][:10]}, {result['versions']['windows']}"
                return where if said["verdict"] == VERIFIED else f"{getattr(HAS_FAILED, language)}: {where}"
    return str(getattr(NOT_YET, language))


def write() -> None:
    """Put the table into both pages."""
    for language, page in PAGES.items():
        made = table(language, results()).replace("\\", r"\\")
        text, count = TABLE.subn(made, page.read_text("utf-8"))
        if count != 1:
            raise ValueError(f"{page} was expected to have one table of the checks, and has {count}")
        page.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
