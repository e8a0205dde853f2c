# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as text, always UTC."""

from __future__ import annotations

from datetime import datetime, timezone

SET_ID = "%Y%m%dT%H%M%SZ"


def iso(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-24T02:15:00Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_iso(text: str) -> float:
    """Seconds since the epoch of ``2026-11-24T02:15:00.123Z``.

    :raises ValueError: not such a time
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def set_id(seconds: float) -> str:
    """The name of a set begun at this time: ``20261124T021500Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(SET_ID)


def from_set_id(name: str) -> float:
    """When a set was begun, in seconds since the epoch.

    :raises ValueError: not the name of a set
    """
    return datetime.strptime(name, SET_ID).replace(tzinfo=timezone.utc).timestamp()
