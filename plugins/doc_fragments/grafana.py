# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that talk to a Grafana."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - The address of Grafana, with its path prefix where a reverse proxy gives it one, as V(https://gateway.example.org/grafana).
        One with a user or a password in it is refused, for addresses are logged.
    type: str
    default: http://127.0.0.1:3000
  token:
    description:
      - The token of a service account with role Admin of the organization. Better than a password, for it can be taken back alone,
        and because a server spends 20 to 30 ms of processor time on each password that it checks.
      - Neither a token nor O(user) asks as nobody, which only suits a server with anonymous administrators.
    type: str
  user:
    description:
      - A user who is an administrator of the organization. Only an administrator of the whole server can make users.
    type: str
  password:
    description:
      - The password of O(user).
    type: str
  organization_id:
    description:
      - The number of the organization that is meant, where the server has several. A token belongs to one, and is refused for
        others. Where it is not given, it is the one that the token or the user is in.
    type: int
  ca_path:
    description:
      - A file with the certificates, as PEM, of who may vouch for the server. Where it is not given, those that the host trusts.
    type: path
  timeout:
    description:
      - Seconds to wait for a connection, and between two bytes of an answer.
    type: float
    default: 60
  workers:
    description:
      - How many requests are under way at a time. With more than eight that write, the SQLite of a server becomes slower.
    type: int
    default: 8
  kinds:
    description:
      - What is meant. Where it is not given, everything.
    type: list
    elements: str
    choices:
      - users
      - teams
      - service_accounts
      - data_sources
      - folders
      - library_panels
      - dashboards
      - templates
      - mute_timings
      - contact_points
      - policies
      - rules
      - folder_permissions
      - dashboard_permissions
      - organization
      - team_preferences
      - playlists
      - annotations
      - correlations
requirements:
  - the Python library requests on the host
"""
