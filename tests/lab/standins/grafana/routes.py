# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request is, what an answer is, and which function answers which path."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from .store import Doc, Store

JSON = "application/json"
JSON_UTF8 = "application/json; charset=UTF-8"
ROLES = ("Viewer", "Editor", "Admin", "Server")


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: str | bytes = ""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class NotRecorded(Exception):
    """Nobody has seen what a real server answers to this."""


class Refused(Exception):
    """The server says no, and how."""

    def __init__(self, code: int, message: str, content_type: str = JSON, **more: Any) -> None:
        super().__init__(message)
        self.answer = Answer(dumps({"message": message, **more}), code, content_type)


def traced(status: int, message: str) -> Refused:
    """A refusal with the trace that newer handlers add, and that is never there."""
    return Refused(status, message, traceID="")


def absent() -> Refused:
    """No route has this path."""
    return Refused(404, "Not found", JSON_UTF8)


def denied(needed: str) -> Refused:
    """The right that was missing is named."""
    message = f"You'll need additional permissions to perform this action. Permissions needed: {needed}"
    return Refused(403, message, JSON_UTF8, accessErrorId="ACE0000000000", title="Access denied")


@dataclass(frozen=True)
class Identity:
    """Who asks."""

    id: int
    login: str
    role: str
    person: bool = True


@dataclass(frozen=True)
class Call:
    """One request of somebody who is known."""

    method: str
    path: str
    query: str
    parameters: dict[str, str]
    headers: Message
    body: bytes
    store: Store
    org: int
    who: Identity

    def json(self) -> Any:
        """The body."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise traced(400, "bad request data") from None

    def document(self) -> Doc:
        """The body, which is an object."""
        value = self.json()
        if not isinstance(value, dict):
            raise traced(400, "bad request data")
        return value

    def number(self, name: str, default: int) -> int:
        """A parameter that is a whole number."""
        value = self.parameters.get(name, str(default))
        if not value.isdigit():
            raise NotRecorded(f"no recorded exchange has a {name} like {value}")
        return int(value)

    def page(self, rows: list[Doc], size: str, default: int) -> list[Doc]:
        """The rows of the page that was asked for."""
        count, page = self.number(size, default), max(self.number("page", 1), 1)
        return rows[(page - 1) * count : page * count]


Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Route:
    """A path, who may ask for it, and what answers."""

    method: str
    pattern: re.Pattern[str]
    parameters: frozenset[str]
    least: str
    needs: str
    handler: Handler

    def check(self, call: Call) -> None:
        """Refuse who may not ask, and what nobody has asked."""
        if ROLES.index(call.who.role) < ROLES.index(self.least):
            if self.needs:
                raise denied(self.needs)
            raise NotRecorded(f"no recorded exchange has {call.method} {call.path} of a {call.who.role}")
        if "*" not in self.parameters and (unknown := set(call.parameters) - self.parameters):
            raise NotRecorded(f"no recorded exchange has {call.path} with {', '.join(sorted(unknown))}")


ROUTES: list[Route] = []


def route(asked: str, *parameters: str, least: str = "Admin", needs: str = "") -> Callable[[Handler], Handler]:
    """Let a function answer a method and a path, whose parts in braces become its arguments."""
    method, path = asked.split(" ")
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path).replace("(?P<rest>[^/]+)", "(?P<rest>.*)")

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, re.compile(pattern), frozenset(parameters), least, needs, handler))
        return handler

    return register


def respond(call: Call) -> Answer:
    """Answer, as the first route says that has the method and the path."""
    for found in ROUTES:
        match = found.pattern.fullmatch(call.path)
        if match and found.method == call.method:
            found.check(call)
            return found.handler(call, **{name: urllib.parse.unquote(part) for name, part in match.groupdict().items()})
    raise NotRecorded(f"no recorded exchange has {call.method} {call.path}")


def dumps(value: object) -> str:
    """JSON as the server writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def answer(value: object, status: int = 200) -> Answer:
    """A document as the answer."""
    return Answer(dumps(value), status)


def said(message: str, status: int = 200, /, **more: Any) -> Answer:
    """A sentence as the answer."""
    return answer({**more, "message": message}, status)
