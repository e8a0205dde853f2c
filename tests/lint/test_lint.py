# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every linter, as a part of `make test`."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.lint import LINTERS, ROOT, Linter

pytestmark = pytest.mark.lint

MARK = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(\w+)", re.MULTILINE)


@pytest.mark.parametrize("linter", LINTERS, ids=lambda linter: linter.name)
def test_linter_has_nothing_to_say(linter: Linter) -> None:
    verdict = linter.run()

    assert verdict.passed, verdict.output
    if verdict.skipped:
        pytest.skip(f"{linter.name} passed, and left out {len(verdict.skipped)}: {'; '.join(verdict.skipped)}")


def test_every_test_is_of_a_part_that_can_be_asked_for() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    parts = {marker.partition(":")[0] for marker in options["markers"]}
    files = {path: MARK.search(path.read_text("utf-8")) for path in (ROOT / "tests").rglob("test_*.py")}

    assert files
    assert not [path for path, mark in files.items() if mark is None or mark[1] not in parts]
