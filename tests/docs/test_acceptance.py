# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manual's list of what only a real Windows host can show is that of the code, and what real hosts have shown clears it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import CHECKS

from tests.docs.acceptance import PAGES, results, standing, table

pytestmark = pytest.mark.docs

REMEDIES = re.compile(r"^## 5\. .*\Z", re.MULTILINE | re.DOTALL)


def result(date: str, **verdicts: str) -> dict[str, Any]:
    """What one host has shown."""
    checks = [{"id": name, "verdict": verdict} for name, verdict in verdicts.items()]
    return {"date": date, "versions": {"windows": "Windows 11 Pro 24H2, build 26100.2314"}, "checks": checks}


@pytest.mark.parametrize(("language", "page"), PAGES.items())
def test_the_manual_has_the_list_of_the_code(language: str, page: Path) -> None:
    made = table(language, results())

    assert made in page.read_text("utf-8"), (
        f"type PYTHONPATH=.cache python -m tests.docs.acceptance; {page} has to have\n{made}"
    )


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_check_that_can_fail_has_its_remedy(page: Path) -> None:
    section = REMEDIES.search(page.read_text("utf-8"))
    assert section
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", section[0], re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]

    # Of these two the host may not have shown that they are so, but it never shows that they are not.
    assert named == [check.id for check in CHECKS if check.id not in ("login", "no_limit")]


def test_what_a_real_host_has_shown_is_not_open_any_more() -> None:
    known = [
        result("2026-12-01T09:30:00Z", lua="verified", login="not_tried", boot="verified"),
        result("2026-12-08T09:30:00Z", lua="not_tried", boot="failed"),
    ]

    assert standing("lua", "en", known) == "2026-12-01, Windows 11 Pro 24H2, build 26100.2314"
    assert standing("boot", "ja", known) == "失敗: 2026-12-08, Windows 11 Pro 24H2, build 26100.2314"
    assert [standing("login", language, known) for language in ("ja", "en")] == ["まだ", "not yet"]
    assert standing("closed", "en", []) == "not yet"
