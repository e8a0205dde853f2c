# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as the clients see it: one request, one answer. Tests swap the transport."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    AnswerCut,
    CertificateRefused,
    NoAnswer,
    ServerError,
    UsageError,
)

try:
    import requests
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True


# How a dot is written in a name that would mean a step upwards.
DOT = "%2E"


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    method: str
    url: str
    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The body on one line."""
        return " ".join(self.text.split())

    def json(self) -> Any:
        """The decoded body.

        :raises ServerError: the body is not JSON (a login page, half a body)
        """
        try:
            return json.loads(self.text)
        except ValueError as error:
            raise ServerError(
                f"{self.method} {self.url} was expected to answer JSON, and answered status {self.status} with"
                f" '{self.words[:80]}': check that this address is the server itself, not a proxy or login page"
            ) from error

    def expect(self, *statuses: int) -> Answer:
        """This answer, where its status is one of these.

        :raises ServerError: it is another one
        """
        if self.status not in statuses:
            raise ServerError(
                f"{self.method} {self.url} answered status {self.status} ('{self.words[:200]}'), expected"
                f" {' or '.join(map(str, statuses))}: check the address, read the server's log, then run again"
            )
        return self

    def member(self, name: str) -> Any:
        """One member of the decoded body.

        :raises ServerError: the body has none of that name
        """
        body = self.json()
        if not isinstance(body, dict) or name not in body:
            raise ServerError(
                f"{self.method} {self.url} was expected to answer with '{name}', and answered '{self.words[:80]}': check that"
                " this address is the server itself"
            )
        return body[name]


class Transport(Protocol):
    """Sends one request."""

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Send and wait for the whole answer.

        :param body: what to send as JSON; nothing for None
        """


@dataclass(frozen=True)
class Credentials:
    """Who asks: a token, or a user with a password."""

    token: str | None = None
    user: str | None = None
    password: str | None = None

    @property
    def header(self) -> str | None:
        """The ``Authorization`` header; None for nobody.

        :raises UsageError: it is not clear who asks
        """
        if self.token and (self.user or self.password):
            raise UsageError(
                "either a token or a user with a password was expected, and both are given: leave one of them out"
            )
        if self.token:
            # It would break the header, and the library's message would show it.
            if not re.fullmatch("[!-~]+", self.token):
                raise UsageError(
                    "a token was expected to be one word without blanks, line ends or letters beyond ASCII, and is not: give it"
                    " as Grafana has shown it"
                )
            return f"Bearer {self.token}"
        if bool(self.user) != bool(self.password):
            raise UsageError("a user was expected to come with a password, and one of the two is missing: give both")
        if self.user:
            return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        return None


class RequestsTransport:
    """The real one, over ``requests``."""

    def __init__(
        self,
        timeout: float,
        credentials: Credentials | None = None,
        headers: Mapping[str, str] | None = None,
        ca: Path | None = None,
        connections: int = 1,
    ) -> None:
        """Prepare the connections; nothing is sent yet.

        :param timeout: seconds to wait for a connection, and between two bytes of an answer
        :param headers: what is sent with every request
        :param ca: certificates of those who may vouch for a server, as PEM; the host's own where it is None
        :param connections: how many are kept open, as for so many threads
        :raises UsageError: it is not clear who asks, or who may vouch
        """
        self._timeout = timeout
        self._headers = dict(headers or {})
        authorization = credentials.header if credentials else None
        if authorization:
            self._headers["Authorization"] = authorization
        if ca:
            _check_certificates(ca)
        self._ca = ca
        self._connections = connections

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        # A proxy of the host's leads to other machines; a netrc file would replace the credentials.
        session.trust_env = False
        session.headers.update(self._headers)
        session.verify = str(self._ca) if self._ca else True
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=self._connections)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Send and wait for the whole answer; a redirect is an answer.

        :raises NoAnswer: no connection, no answer in time
        :raises AnswerCut: the connection ended in the middle of the answer
        :raises CertificateRefused: the server's certificate does not verify
        """
        try:
            prepared = self._session.prepare_request(requests.Request(method, url, params=params, json=body))
            if DOT in url:
                # The library takes such a name for a step upwards, although it is encoded.
                prepared.url = "?".join([url, *(prepared.url or "").split("?")[1:]])
            got = self._session.send(prepared, timeout=self._timeout, allow_redirects=False)
        except requests.exceptions.ChunkedEncodingError as error:
            raise _cut(method, url, _words(_innermost(error))) from error
        except requests.RequestException as error:
            inner = _innermost(error)
            # What speaks no TLS shows no certificate either.
            if isinstance(error, requests.exceptions.SSLError) and not _is_other_tls(inner):
                raise CertificateRefused(
                    f"{method} {url} was expected to show a certificate that a known authority vouches for, and it does not"
                    f" verify ({_words(inner)}): check the address, or name the authority's certificate as ca_path"
                ) from error
            raise NoAnswer(
                f"{method} {url} was expected to answer within {self._timeout:g} s and did not ({_words(inner)}):"
                " check that the server runs and that the address is right"
            ) from error
        promised = got.headers.get("Content-Length", "")
        # Older versions of urllib3 take a body that is too short for a whole one.
        if promised.isdigit() and got.raw.tell() < int(promised) and method != "HEAD":
            raise _cut(method, url, f"{got.raw.tell()} of {promised} bytes")
        return Answer(method, url, got.status_code, got.text, got.headers)


def _cut(method: str, url: str, words: str) -> AnswerCut:
    return AnswerCut(
        f"{method} {url} was expected to answer whole, and the connection ended in the middle of the answer ({words}): look"
        " at what is between here and the server, then run again"
    )


def _innermost(error: Exception) -> BaseException:
    """The reason, without the layers of the library around it."""
    inner: BaseException = error
    while deeper := inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__):
        inner = deeper
    return inner


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _is_other_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError)


def _check_certificates(path: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        raise UsageError(
            f"{path} was expected to hold certificates as PEM, and cannot be used ({error}): give the file of the authority"
            " that vouches for the server"
        ) from error
