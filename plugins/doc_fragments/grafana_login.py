# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of the modules that ask a Grafana among other servers."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  grafana:
    description:
      - As whom Grafana is asked. The same credentials as for M(flatnet.ops.grafana_dashboard_backup) do.
    type: dict
    default: {}
    suboptions:
      token:
        description:
          - The token of a service account with role Admin of the organization.
        type: str
      user:
        description:
          - A user who is an administrator of the organization.
        type: str
      password:
        description:
          - The password of that user.
        type: str
      organization_id:
        description:
          - The number of the organization, where the server has several.
        type: int
      ca_path:
        description:
          - A file with the certificates, as PEM, of who may vouch for the server.
        type: path
      workers:
        description:
          - How many requests are under way at a time.
        type: int
        default: 8
"""
