# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs behind make faults and make bench start as make starts them, without what pytest puts into the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("program", "named"),
    [("faults", ("site-two-backups", "grafana-down", "gateway-cable")), ("bench", ("site", "gateway"))],
)
def test_a_part_that_there_is_not_is_refused_with_those_that_there_are(program: str, named: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", f"tests.{program}", "nothing"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2, done.stderr
    assert all(each in done.stdout for each in named)
