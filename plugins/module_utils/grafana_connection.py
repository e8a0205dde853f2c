# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module reaches a Grafana: the options that it takes, and the client that they make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import HEADERS, ORGANIZATION_HEADER, Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import KINDS, Kind
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Credentials, RequestsTransport, Transport

# With a path prefix where it has one.
_ADDRESS = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
URL = "http://127.0.0.1:3000"
_LOGIN: dict[str, dict[str, Any]] = {
    "token": {"type": "str", "no_log": True},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "organization_id": {"type": "int"},
    "ca_path": {"type": "path"},
    "workers": {"type": "int", "default": 8},
}
# Of a module that only talks to Grafana.
GRAFANA_OPTIONS: dict[str, dict[str, Any]] = {
    **_LOGIN,
    "url": {"type": "str", "default": URL},
    "timeout": {"type": "float", "default": 60},
    "kinds": {"type": "list", "elements": "str", "choices": [kind.name for kind in KINDS]},
}
# Of a module that asks Grafana among others.
GRAFANA_LOGIN: dict[str, Any] = {"type": "dict", "default": {}, "options": _LOGIN}


def transport(login: Mapping[str, Any], timeout: float) -> RequestsTransport:
    """What carries the requests of somebody.

    :param timeout: seconds to wait for a connection, and between two bytes of an answer
    :raises UsageError: the options do not go together
    """
    if login["workers"] < 1:
        raise UsageError(f"workers was expected to be 1 or more, and is {login['workers']}")
    number = login["organization_id"]
    return RequestsTransport(
        timeout=timeout,
        credentials=Credentials(login["token"], login["user"], login["password"]),
        headers={**HEADERS, **({ORGANIZATION_HEADER: str(number)} if number is not None else {})},
        ca=Path(login["ca_path"]) if login["ca_path"] else None,
        connections=login["workers"],
    )


def connect(url: str, login: Mapping[str, Any], carrier: Transport, effects: Effects) -> Grafana:
    """The organization that is meant; it has answered, and is the right one.

    :param carrier: what :func:`transport` has made, or what passes requests on to that
    :raises UsageError: the address cannot be one of a Grafana
    :raises ServerError: it cannot be reached, or not with these credentials
    """
    _check_address(url)
    server = Grafana(url, carrier, effects)
    server.organization(login["organization_id"])
    return server


def connected(params: Mapping[str, Any], effects: Effects) -> Grafana:
    """The organization that a module with :data:`GRAFANA_OPTIONS` talks to.

    :raises UsageError: the options do not go together
    :raises ServerError: it cannot be reached, or not with these credentials
    """
    return connect(params["url"], params, transport(params, params["timeout"]), effects)


def _check_address(url: str) -> None:
    if "@" in url:
        # What is before it is not shown.
        raise UsageError(
            "url was expected to be an address alone, and has an @ in it, as one with a user or a password: give the option token,"
            " or user and password, and change a password that was in it, for addresses are logged"
        )
    if not _ADDRESS.fullmatch(url):
        raise UsageError(
            f"url was expected to be an address as http://HOST:PORT or https://HOST/PREFIX, and is '{url}': give the one under"
            " which Grafana's pages are opened, without what follows its path prefix"
        )


def chosen(params: Mapping[str, Any]) -> Sequence[Kind]:
    """The kinds that the options mean, in the order of a restore.

    :raises UsageError: they mean none
    """
    if params["kinds"] == []:
        raise UsageError("kinds was expected to name some, and is an empty list: leave it out to mean all of them")
    return [kind for kind in KINDS if params["kinds"] is None or kind.name in params["kinds"]]
