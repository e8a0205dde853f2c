# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grafana's HTTP API as the workflows need it: every answer that is not the one asked for is an error with a name."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable
from urllib.parse import quote, urlsplit

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CredentialsRefused,
    GatewayError,
    NotGrafana,
    Redirected,
    RequestRefused,
    RightMissing,
    ServerError,
    TooManyRequests,
    UnknownForm,
    WrongOrganization,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import DOT, Answer, Transport

# Without it what is written cannot be edited in Grafana's pages any more; servers older than 9.5 lock it all the same.
HEADERS = {"X-Disable-Provenance": "true", "Accept": "application/json"}
ORGANIZATION_HEADER = "X-Grafana-Org-Id"
TIMES_ASKED = 5
LONGEST_WAIT = 60.0
# What no role of one organization allows.
_OF_THE_SERVER = re.compile(r"(users|orgs|server)[.:]")
_PERMISSIONS = re.compile(r"Permissions needed: (?:any of )?(.+?)\.?$")
_PROXY = (502, 503, 504)
# Where a newer server has an object that this API cannot show.
_ELSEWHERE = re.compile(r"/apis/\S+")


class Grafana:
    """One organization of one Grafana server."""

    def __init__(
        self, url: str, transport: Transport, effects: Effects, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        """Nothing is sent yet.

        :param url: its address, with a path prefix where it has one: ``https://gateway/grafana``
        :param transport: it brings the credentials, and :data:`HEADERS`
        """
        self.url = url.rstrip("/")
        self._transport = transport
        self._effects = effects
        self._sleep = sleep
        self._heard = _Heard()

    @contextmanager
    def understood(self, what: str, known: object = None) -> Iterator[None]:
        """Whatever answers lack, or have in another form than is known, is an error that names the object.

        :param what: the object
        :param known: where it is taken from if nothing is asked for
        :raises UnknownForm: an answer cannot be used
        """
        self._heard.answer = None
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            answer = self._heard.answer
            origin, came = (f"{answer.method} {answer.url}", answer.words) if answer else ("the server", str(known))
            expected = str(error) if isinstance(error, KeyError) else f"a form that flatnet.ops knows ({error})"
            raise UnknownForm(
                f"of {what}, {expected} was expected, and {origin} answered '{came[:200]}': a Grafana of another version may"
                " have changed it; leave its kind out by the option kinds, and report it with this sentence"
            ) from error

    def version(self) -> str:
        """The server's version, unknown if it is hidden; it is told without credentials, so it proves nothing about them.

        :raises NotGrafana: something else answers
        """
        return str(self._told("/api/health", "database").get("version", "unknown"))

    def organization(self, number: int | None) -> str:
        """The name of the organization that the credentials reach.

        :param number: the one that is meant; None for whichever it is
        :raises NotGrafana: something else answers
        :raises WrongOrganization: it is another one: an unknown number is answered with empty lists
        """
        answer = self._told("/api/org", "id", "name")
        if number is not None and answer["id"] != number:
            raise WrongOrganization(
                f"GET {self.url}/api/org was expected to answer for organization {number}, and answered for"
                f" {answer['id']} ('{answer['name']}'): a token belongs to one organization; use one of"
                f" organization {number}, or a user who is its member"
            )
        return str(answer["name"])

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The decoded answer to a GET.

        :param path: percent-encoded where it has to be
        :raises ServerError: any other answer than 200
        """
        return self._known(self._ask("GET", path, params)).json()

    def find(self, path: str) -> Any:
        """The decoded answer to a GET, if need be of the API that the server names instead; None if there is no such object."""
        answer = self._ask("GET", path)
        if answer.status == 406 and (elsewhere := _ELSEWHERE.search(_message(answer))):
            answer = self._ask("GET", elsewhere[0])
        if answer.status == 404 and "message" in (_object(answer) or {}):
            return None
        return self._known(answer).json()

    def pages(self, path: str, params: Mapping[str, str], size: str, limit: int) -> Iterator[Any]:
        """The answers to one question, page after page, until the caller has enough.

        :param size: what the number of objects on a page is called
        """
        number = 0
        while True:
            number += 1
            yield self.get(path, {**params, size: str(limit), "page": str(number)})

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Change something; the decoded answer, None where it is empty.

        :raises RequestRefused: the server does not accept it
        """
        answer = self._ask(method, path, body=body)
        if answer.status in (200, 201, 202, 204):
            return self._known(answer, refusals=True).json() if answer.text.strip() else None
        known = self._known(answer, refusals=True)
        raise RequestRefused(f"{known.method} {known.url} answered status {known.status}: {_message(known)}")

    def _told(self, path: str, *names: str) -> dict[str, Any]:
        """An answer that only a Grafana gives."""
        answer = self._known(self._ask("GET", path))
        said = _object(answer) or {}
        if not said.keys() >= set(names):
            raise _not_grafana(answer)
        return said

    def _ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        for attempt in range(1, TIMES_ASKED + 1):
            if method == "GET":
                answer = self._transport.request(method, self.url + path, params)
            else:
                answer = self._effects.http(self._transport, method, self.url + path, body)
            if answer.status != 429:
                self._heard.answer = answer
                return answer
            if attempt < TIMES_ASKED:
                self._sleep(_pause(answer))
        raise TooManyRequests(
            f"{method} {answer.url} answered status 429 {TIMES_ASKED} times, with a wait of up to {LONGEST_WAIT:g} s before each: use"
            " fewer workers, or raise the limit of the proxy in front of Grafana"
        )

    def _known(self, answer: Answer, refusals: bool = False) -> Answer:
        """The answer, where it is Grafana's own and good.

        :param refusals: also where Grafana refuses what it was sent
        :raises ServerError: it is another one
        """
        what = f"{answer.method} {answer.url}"
        if answer.status in (301, 302, 303, 307, 308):
            target = answer.headers.get("Location", "nowhere")
            if urlsplit(target).path.rstrip("/").endswith("/login") and urlsplit(target).netloc in (
                "",
                urlsplit(answer.url).netloc,
            ):
                raise CredentialsRefused(
                    f"{what} was expected to accept the credentials, and leads to the login page ({target}): give a service"
                    " account token, or a user with a password"
                )
            raise Redirected(
                f"{what} was expected to be Grafana itself, and leads to {target}: use that address, with its path prefix, if"
                " it is the one you mean"
            )
        said = _object(answer)
        if answer.status == 401:
            raise CredentialsRefused(
                f"{what} was expected to accept the credentials, and answered status 401 ('{_message(answer)}'): check the token"
                " or the password; a token that was deleted or has expired is answered in this way"
            )
        if answer.status == 403 and said is not None and not (refusals and "title" not in said):
            raise _right_missing(what, _message(answer))
        if answer.status in _PROXY and said is None:
            raise GatewayError(
                f"{what} was expected to reach Grafana, and what is in front of it answered status {answer.status}"
                f" ('{answer.words[:80]}'): see whether Grafana runs, and whether the proxy leads to it"
            )
        if said is None and not answer.text.lstrip().startswith("["):
            raise _not_grafana(answer)
        if answer.status == 200 or refusals:
            return answer
        raise ServerError(
            f"{what} answered status {answer.status} ('{_message(answer)}'), expected 200: read Grafana's log, then run again"
        )


class _Heard(threading.local):
    """The last answer that a thread has got."""

    answer: Answer | None = None


def part(text: str) -> str:
    """A name as one part of a path."""
    return DOT * len(text) if text in (".", "..") else quote(text, safe="")


def _object(answer: Answer) -> dict[str, Any] | None:
    """The decoded body, where it is an object."""
    if not answer.text.lstrip().startswith("{"):
        return None
    decoded = answer.json()
    return decoded if isinstance(decoded, dict) else None


def _message(answer: Answer) -> str:
    said = _object(answer) or {}
    return " ".join(str(said.get("message") or answer.words[:200]).split())


def _not_grafana(answer: Answer) -> NotGrafana:
    return NotGrafana(
        f"{answer.method} {answer.url} was expected to answer as Grafana's API does, and answered status {answer.status} with"
        f" '{answer.words[:80]}': check the address and its path prefix; a page to log in at belongs to a proxy that wants"
        " credentials of its own"
    )


def _right_missing(what: str, message: str) -> RightMissing:
    needed = _PERMISSIONS.search(message)
    wanted = f"the permission {needed[1]}" if needed else "more rights"
    if needed and _OF_THE_SERVER.match(needed[1]):
        remedy = "give the name and password of an administrator of the whole server, who alone has it"
    else:
        remedy = "give the service account the role Admin of the organization, which has it, or that permission alone"
    return RightMissing(f"{what} was expected to be allowed, and needs {wanted} ('{message}'): {remedy}")


def _pause(answer: Answer) -> float:
    """Seconds until the server wants to be asked again."""
    wanted = answer.headers.get("Retry-After", "1")
    return min(float(wanted), LONGEST_WAIT) if wanted.isdigit() else 1.0
