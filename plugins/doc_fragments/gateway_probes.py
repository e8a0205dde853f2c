# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of the actions that prove a change of a gateway by its answers."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  probes:
    description:
      - Requests that have to be answered through the gateway before it counts as good.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - What is asked for.
        type: str
        required: true
      host:
        description:
          - Of which server.
        type: str
        default: localhost
      status:
        description:
          - The status that has to come.
        type: int
        default: 200
      pattern:
        description:
          - A regular expression of .NET that the body has to match.
        type: str
        default: ''
      seconds:
        description:
          - For how long the answer may be another one.
        type: float
        default: 10
"""
