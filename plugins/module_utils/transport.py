# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as the clients see it: one request, one answer. Tests swap the transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError

try:
    import requests
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    method: str
    url: str
    status: int
    text: str

    def json(self) -> Any:
        """The decoded body.

        :raises ServerError: the body is not JSON (a login page, half a body)
        """
        try:
            return json.loads(self.text)
        except ValueError as error:
            start = " ".join(self.text.split())[:80]
            raise ServerError(
                f"{self.method} {self.url} was expected to answer JSON, and answered status {self.status} with"
                f" '{start}': check that this address is the server itself, not a proxy or login page"
            ) from error


class Transport(Protocol):
    """Sends one request."""

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """Send and wait for the whole answer."""


class RequestsTransport:
    """The real one, over ``requests``."""

    def __init__(self, timeout: float) -> None:
        """:param timeout: seconds to wait for a connection, and between two bytes of an answer"""
        self._timeout = timeout

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        # A proxy of the host's leads to other machines.
        session.trust_env = False
        return session

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """Send and wait for the whole answer.

        :raises ServerError: no connection, no answer in time
        """
        try:
            got = self._session.request(method, url, params=params, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise ServerError(
                f"{method} {url} was expected to answer within {self._timeout:g} s and did not ({_cause(error)}):"
                " check that the server runs and that the address is right"
            ) from error
        return Answer(method, url, got.status_code, got.text)


def _cause(error: Exception) -> str:
    """The innermost reason, without the layers of the library around it."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return str(inner) or type(inner).__name__
