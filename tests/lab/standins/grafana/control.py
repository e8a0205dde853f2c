# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test wants to happen: how slow the answers are, what goes wrong, and what was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .routes import Answer

HTML = "text/html; charset=utf-8"
LOGIN_PAGE = '<!DOCTYPE html>\n<html lang="en"><head><title>Log in</title></head><body><form action="/login"></form></body></html>\n'


@dataclass
class Fault:
    """Something that goes wrong with the requests that it matches, after some, and for so many."""

    method: str = ".*"
    path: str = ".*"
    after: int = 0
    times: int | None = None
    status: int | None = None
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    delay: float = 0.0

    def takes(self, method: str, path: str) -> bool:
        """Whether this request is one that goes wrong; it is counted."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
            return self.times >= 0
        return True

    @property
    def answer(self) -> Answer | None:
        """What goes back instead of an answer, if anything does."""
        return None if self.status is None else Answer(self.body, self.status, self.content_type, self.headers)


def login_page(**where: Any) -> Fault:
    """A proxy shows its own login page."""
    return Fault(status=200, body=LOGIN_PAGE, content_type=HTML, **where)


def cut_body(**where: Any) -> Fault:
    """Half of the answer comes, then the connection ends."""
    return Fault(cut=True, **where)


def slow(seconds: float, **where: Any) -> Fault:
    """The answer takes its time."""
    return Fault(delay=seconds, **where)


def too_many(retry_after: int = 1, **where: Any) -> Fault:
    """Whoever asks is to wait."""
    return Fault(status=429, body='{"message":"Too many requests"}', headers={"Retry-After": str(retry_after)}, **where)


def redirect(location: str, **where: Any) -> Fault:
    """Another place is named."""
    return Fault(status=302, headers={"Location": location}, content_type=HTML, **where)


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str


@dataclass
class Control:
    """Latency, faults and the requests so far; a test changes them while the server runs."""

    latency: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, method: str, path: str) -> Fault | None:
        """Note a request, and say what goes wrong with it."""
        with self._lock:
            self.requests.append(Asked(method, path))
            return next((fault for fault in self.faults if fault.takes(method, path)), None)

    def count(self, method: str = ".*", path: str = ".*") -> int:
        """How many requests like this came."""
        with self._lock:
            return sum(bool(re.fullmatch(method, one.method) and re.search(path, one.path)) for one in self.requests)

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self.latency = 0.0
            self.faults.clear()
            self.requests.clear()

    def set(self, latency: float = 0.0, faults: list[dict[str, Any]] | None = None) -> None:
        """Replace latency and faults by what a document says."""
        with self._lock:
            self.latency = latency
            self.faults[:] = [Fault(**fault) for fault in faults or []]
