# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules that talk to Grafana, and the client that they make."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError, WrongOrganization
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import chosen, connect, transport

from tests.unit.plugins.module_utils.conftest import Server

pytestmark = pytest.mark.unit

LOGIN: dict[str, Any] = {
    "token": None,
    "user": None,
    "password": None,
    "organization_id": None,
    "ca_path": None,
    "workers": 8,
}


def answering(prefix: str = "") -> Server:
    """A Grafana of organization 1."""
    return Server({f"{prefix}/api/org": (200, {"id": 1, "name": "Main Org."})})


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("http://127.0.0.1:3000", ""),
        ("https://gateway.example.org/grafana/", "/grafana"),
        ("http://[::1]:3000/a/b", "/a/b"),
    ],
)
def test_an_address_is_asked_with_its_path_prefix(url: str, prefix: str) -> None:
    server = answering(prefix)

    connect(url, LOGIN, server, Effects())
    assert [path for _method, path, _params in server.asked] == [f"{prefix}/api/org"]


@pytest.mark.parametrize(
    "url", ["https://ops:s3cret@h/grafana", "ops:s3cret@h:3000", "http://ops:s3c/ret@h", "http://ops@h"]
)
def test_a_password_in_the_address_is_refused_and_not_shown(url: str) -> None:
    server = answering()

    with pytest.raises(
        UsageError, match="give the option token, or user and password, and change a password"
    ) as caught:
        connect(url, LOGIN, server, Effects())
    assert ("s3c" in str(caught.value), server.asked) == (False, [])


@pytest.mark.parametrize(
    "url", ["", "h:3000", "/grafana", "ftp://h", "http://", "http://h/?orgId=1", "http://h/#x", "http://h /"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    server = answering()

    with pytest.raises(
        UsageError, match=r"^url was expected to be an address as http://HOST:PORT .*, and is '.*': give"
    ):
        connect(url, LOGIN, server, Effects())
    assert server.asked == []


def test_another_organization_is_found_out_before_anything_is_asked_for() -> None:
    with pytest.raises(WrongOrganization, match="organization 2, and answered for 1"):
        connect("http://h", {**LOGIN, "organization_id": 2}, answering(), Effects())


def test_nobody_can_ask_with_no_workers() -> None:
    with pytest.raises(UsageError, match="workers was expected to be 1 or more, and is 0"):
        transport({**LOGIN, "workers": 0}, 60)


def test_kinds_are_in_the_order_of_a_restore_whatever_order_they_are_named_in() -> None:
    assert [kind.name for kind in chosen({"kinds": ["dashboards", "users", "folders"]})] == [
        "users",
        "folders",
        "dashboards",
    ]
    assert len(chosen({"kinds": None})) > len(chosen({"kinds": ["users"]})) == 1
    with pytest.raises(UsageError, match="kinds was expected to name some"):
        chosen({"kinds": []})
