# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of the modules that work on an area of a backup directory."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  area:
    description:
      - V(sets) are the backups. In the same format, V(before-restore) is what restores have replaced, V(generations/gateway) and
        V(generations/cni) are the configurations that were in use.
    type: str
    choices: [sets, before-restore, generations/gateway, generations/cni]
    default: sets
"""
