# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the actions on a gateway."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  prefix:
    description:
      - Where the gateway is installed, with its C(conf) and C(logs).
    type: str
    default: C:\openresty
  program:
    description:
      - The program of the gateway. Where not given, C(nginx.exe) in O(prefix).
    type: str
  configuration:
    description:
      - The file that the gateway begins to read its configuration with, below O(prefix).
    type: str
    default: conf\nginx.conf
  state_directory:
    description:
      - Where this collection keeps its own files on the host.
    type: str
    default: C:\ProgramData\flatnet
  port:
    description:
      - The port that the gateway serves plain HTTP on.
    type: int
    default: 80
  timeout:
    description:
      - For how many seconds a look waits for the gateway's answer.
    type: int
    default: 5
notes:
  - An action that runs on the controller, and needs M(ansible.windows.win_powershell) there.
  - The account has to be an administrator of the host.
"""
