# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small flatnet on one Linux machine: hosts that behave as WSL2 does and a Windows gateway, for the drill, the tests and people."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.windows.gateway import Gateway

__all__ = ["Gateway", "Host", "Lab"]
