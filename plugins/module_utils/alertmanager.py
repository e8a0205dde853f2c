# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alertmanager's HTTP API as the workflows need it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError
from ansible_collections.flatnet.ops.plugins.module_utils.times import from_iso
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Transport

# By isEqual and isRegex.
OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}


@dataclass(frozen=True)
class Silence:
    """What is muted, by whom, and until when; times as Alertmanager writes them."""

    id: str
    state: str
    matchers: tuple[str, ...]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str

    @property
    def ends(self) -> float:
        """When it ends, in seconds since the epoch."""
        return from_iso(self.ends_at)

    @property
    def digest(self) -> str:
        """A short sum of what it is; its state is none of that, for it changes by itself."""
        what = {name: value for name, value in asdict(self).items() if name not in ("id", "state")}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8")).hexdigest()[:16]


class Alertmanager:
    """One Alertmanager."""

    def __init__(self, url: str, transport: Transport) -> None:
        """:param url: its address, with a path prefix where it has one: ``http://127.0.0.1:9093``"""
        self.url = url.rstrip("/")
        self._transport = transport

    def version(self) -> str:
        """The server's version."""
        answer = self._transport.request("GET", f"{self.url}/api/v2/status").expect(200)
        return str(answer.member("versionInfo")["version"])

    def silences(self) -> list[Silence]:
        """Every silence that it remembers, expired ones included."""
        answer = self._transport.request("GET", f"{self.url}/api/v2/silences").expect(200)
        found = answer.json()
        if not isinstance(found, list):
            raise ServerError(
                f"GET {answer.url} was expected to answer a list of silences, and answered '{answer.words}': check the"
                " address"
            )
        return [_silence(one) for one in found]

    def silence(self, silence_id: str) -> Silence | None:
        """One silence, if it remembers it."""
        path = f"/api/v2/silence/{quote(silence_id, safe='')}"
        answer = self._transport.request("GET", self.url + path).expect(200, 404)
        return None if answer.status == 404 else _silence(answer.json())


def _silence(shown: Mapping[str, Any]) -> Silence:
    return Silence(
        id=shown["id"],
        state=shown["status"]["state"],
        matchers=tuple(sorted(_matcher(matcher) for matcher in shown["matchers"])),
        starts_at=shown["startsAt"],
        ends_at=shown["endsAt"],
        created_by=shown["createdBy"],
        comment=shown["comment"],
    )


def _matcher(shown: Mapping[str, Any]) -> str:
    # Servers before 0.22 know no negative matchers, and do not say isEqual.
    operator = OPERATORS[shown.get("isEqual", True), shown["isRegex"]]
    return f"{shown['name']}{operator}{json.dumps(shown['value'])}"
