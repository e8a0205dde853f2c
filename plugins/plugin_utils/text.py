# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read, in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The same in both languages."""

    ja: str
    en: str
