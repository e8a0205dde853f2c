# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that append to the run record."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run:
    description:
      - The run whose record on the host this task is added to, as M(flatnet.ops.report) with O(flatnet.ops.report#module:state=opened)
        has named it. Nothing is recorded where not given, and in check mode.
    type: str
"""
