# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: no gateway, no test; and one line that says why."""

from __future__ import annotations

import pytest

from tests.lab.windows.powershell import missing


def skip_without_gateway() -> None:
    """Skip the test that asks, where no gateway can be made: all of them fold into one line, with their number."""
    reason = missing()
    if reason:
        pytest.skip(reason)
