# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who asks a Grafana, this one or a real one, over one connection that stays open."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from typing import Any

TIMEOUT = 60


class Unexpected(Exception):
    """The server said no."""


def basic(user: str, password: str) -> str:
    """A user's credentials."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(token: str) -> str:
    """A token's."""
    return f"Bearer {token}"


class Client:
    """Asks one question after the other."""

    def __init__(self, url: str, authorization: str = "", org: int = 0) -> None:
        parts = urllib.parse.urlsplit(url)
        self._prefix = parts.path.rstrip("/")
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        self._headers = {"Content-Type": "application/json"}
        if authorization:
            self._headers["Authorization"] = authorization
        if org:
            self._headers["X-Grafana-Org-Id"] = str(org)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send one request; its status, and its body as JSON where it is."""
        sent = body if body is None or isinstance(body, str) else json.dumps(body)
        asked = sent.encode() if sent is not None else None
        self._connection.request(method, self._prefix + path, asked, {**self._headers, **(headers or {})})
        found = self._connection.getresponse()
        text = found.read().decode()
        value = json.loads(text) if text and "json" in found.headers.get("Content-Type", "") else text
        return found.status, value

    def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        """Send one request that is to be answered with its result."""
        status, value = self.ask(method, path, body, headers)
        if status >= 300:
            raise Unexpected(f"{method} {path}: {status} {value}")
        return value

    def get(self, path: str) -> Any:
        """What is at a path."""
        return self.send("GET", path)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
