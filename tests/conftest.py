# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: those that need a gateway are skipped where none can be made."""

from __future__ import annotations

import pytest

from tests.lab.windows.powershell import missing


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip here and not in a fixture: so all of them are one line of the summary, with their number and the reason."""
    reason = missing() if item.get_closest_marker("gateway") else ""
    if reason:
        pytest.skip(reason)
