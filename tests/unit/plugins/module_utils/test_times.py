# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as text: UTC, whatever the host's time zone is."""

from __future__ import annotations

import time

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.times import from_iso, from_set_id, iso, set_id

pytestmark = pytest.mark.unit

MOMENT = 1795486500.9


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Los_Angeles"], autouse=True)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()


def test_time_is_utc() -> None:
    assert iso(MOMENT) == "2026-11-24T02:15:00Z"
    assert set_id(MOMENT) == "20261124T021500Z"
    assert from_set_id("20261124T021500Z") == 1795486500.0
    assert from_iso("2026-11-24T02:15:00.900Z") == MOMENT
    assert from_iso("2026-11-24T11:15:00+09:00") == 1795486500.0


@pytest.mark.parametrize("name", ["20261124T021500", "20261324T021500Z", "20261124T021500Z.set-aside", "latest"])
def test_other_names_are_no_time(name: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|unconverted"):
        from_set_id(name)
