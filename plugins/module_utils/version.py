# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of flatnet.ops, as galaxy.yml has it; hosts have no galaxy.yml."""

from __future__ import annotations

VERSION = "1.0.0"
TOOL = f"flatnet.ops {VERSION}"
