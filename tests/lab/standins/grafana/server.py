# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: who asks, in which organisation, and what a test wants to go wrong."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import accounts, alerting, dashboards, library, sources
from .client import Client, basic, bearer
from .control import Control, Fault
from .routes import JSON_UTF8, Answer, Call, Identity, NotRecorded, Refused, absent, answer, respond
from .store import Store

# Modules register their routes when they are imported.
PARTS = (accounts, alerting, dashboards, library, sources)
CONTROL = "/-/lab"
NOTHING = Fault()
HEALTH = '{\n  "commit": "NA",\n  "database": "ok",\n  "version": "9.4.0-pre"\n}'
NOT_FOUND = ("/api/nope", "/apis", "/api/v1/provisioning/contact-points/export")


@dataclass
class Grafana:
    """What the server knows."""

    store: Store
    password: str = "admin"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.store.empty:
            provision(self.store)
            self.store.commit()

    def answer(self, method: str, path: str, query: str, headers: Message, body: bytes) -> Answer:
        """Answer a request, as the real server did."""
        if path == "/api/health":
            return Answer(HEALTH, content_type=JSON_UTF8)
        if path == "/" and "Authorization" not in headers:
            return Answer('<a href="/login">Found</a>.\n\n', 302, "text/html; charset=utf-8", {"Location": "/login"})
        try:
            with self.lock:
                try:
                    found = self._answer(method, path, query, headers, body)
                finally:
                    self.store.commit()
            # What is asked of another server is asked without the lock.
            return found if isinstance(found, Answer) else found()
        except Refused as refusal:
            return refusal.answer
        except NotRecorded as error:
            return Answer(f"{error}\n", 501, "text/plain; charset=utf-8")

    def _answer(self, method: str, path: str, query: str, headers: Message, body: bytes) -> Any:
        who, org = self._who(headers)
        if path.startswith(NOT_FOUND) or (method, path) == ("PUT", "/api/search"):
            raise absent()
        parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        call = Call(method, path, query, parameters, headers, body, self.store, org, who)
        if not self.store.get("organisation", 0, org):
            if (method, path) == ("GET", "/api/search"):
                return answer([])
            raise NotRecorded(f"no recorded exchange has {path} of an organisation that does not exist")
        return respond(call)

    def _who(self, headers: Message) -> tuple[Identity, int]:
        scheme, _blank, value = headers.get("Authorization", "").partition(" ")
        wanted = int(headers.get("X-Grafana-Org-Id") or 0)
        if scheme == "Bearer":
            return self._bearer(value, wanted)
        if scheme != "Basic":
            raise Refused(401, "Unauthorized", JSON_UTF8)
        login, _colon, password = base64.b64decode(value).decode().partition(":")
        user = next((user for user in self.store.all("user", 0) if login in (user["login"], user["email"])), None)
        right = user and (self.password if user["login"] == "admin" else user["password"])
        if not user or password != right or user.get("account"):
            raise Refused(401, "invalid username or password", JSON_UTF8, traceID="")
        org = wanted or user["org"]
        member = self.store.get("member", org, user["id"]) or {"role": "Viewer"}
        return Identity(user["id"], user["login"], "Server" if user["admin"] else member["role"]), org

    def _bearer(self, key: str, wanted: int) -> tuple[Identity, int]:
        token = self.store.get("key", 0, key)
        account = token and self.store.get("user", 0, token["account"])
        if not token or not account:
            raise Refused(401, "invalid API key", JSON_UTF8, traceID="")
        if account["disabled"] or wanted not in (0, account["org"]):
            raise NotRecorded("no recorded exchange has a token of a disabled account, or in another organisation")
        member = self.store.get("member", account["org"], account["id"]) or {"role": "Viewer"}
        return Identity(account["id"], account["login"], member["role"], person=False), account["org"]


def provision(store: Store) -> None:
    """What a new server has: one organisation, its administrator, and what its files provision."""
    accounts.add_organisation(store, "Main Org.")
    accounts.add_user(store, "admin", "", "admin@localhost", admin=True)
    store.put("member", 1, 1, {"id": 1, "role": "Admin"})
    sources.provision(store)
    dashboards.provision(store)


class Handler(BaseHTTPRequestHandler):
    """Carries requests to Grafana, and its answers back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __init__(self, grafana: Grafana, control: Control, prefix: str, *arguments: Any) -> None:
        self._grafana = grafana
        self._control = control
        self._prefix = prefix
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer what reads."""
        self._asked()

    def do_POST(self) -> None:
        """Answer what creates."""
        self._asked()

    def do_PUT(self) -> None:
        """Answer what replaces."""
        self._asked()

    def do_PATCH(self) -> None:
        """Answer what changes a part."""
        self._asked()

    def do_DELETE(self) -> None:
        """Answer what deletes."""
        self._asked()

    def _asked(self) -> None:
        """Answer as the control and the server say."""
        asked = self.path.removeprefix(self._prefix)
        path, _mark, query = asked.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == CONTROL:
            self._send(self._controlled(body))
            return
        fault = self._control.take(self.command, asked) or NOTHING
        time.sleep(self._control.latency + fault.delay)
        self._send(fault.answer or self._grafana.answer(self.command, path, query, self.headers, body), fault.cut)

    def _controlled(self, body: bytes) -> Answer:
        """What a test says to a server in a container, and what it asks."""
        if self.command == "PUT":
            self._control.set(**json.loads(body))
        elif self.command == "DELETE":
            self._control.reset()
        return answer([[one.method, one.path] for one in self._control.requests])

    def _send(self, found: Answer, cut: bool = False) -> None:
        content = found.body.encode() if isinstance(found.body, str) else found.body
        self.send_response(found.status)
        for name, value in found.headers.items():
            self.send_header(name, value)
        if found.status != 204:
            if found.content_type:
                self.send_header("Content-Type", found.content_type)
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say only what could not be answered."""
        if code == 501:
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    """One thread for each connection, and room for many that wait."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], grafana: Grafana, control: Control, prefix: str = "") -> None:
        super().__init__(address, partial(Handler, grafana, control, prefix))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server; everything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass(frozen=True)
class Running:
    """A server in this process."""

    url: str
    password: str
    control: Control
    directory: Path

    def client(self, token: str = "", org: int = 0) -> Client:
        """Somebody who asks it: its administrator, or whoever has the token."""
        return Client(self.url, bearer(token) if token else basic("admin", self.password), org)

    def token(self, role: str = "Admin", name: str = "tests") -> str:
        """A token of a new service account."""
        client = self.client()
        account = client.send("POST", "/api/serviceaccounts", {"name": name, "role": role})
        made = client.send("POST", f"/api/serviceaccounts/{account['id']}/tokens", {"name": f"{name}-token"})
        return str(made["key"])


@contextmanager
def started(directory: Path, password: str = "admin", latency: float = 0.0, prefix: str = "") -> Iterator[Running]:
    """A server over a directory, on a free port, as long as the context lasts."""
    control = Control(latency)
    store = Store(directory)
    with Server(("127.0.0.1", 0), Grafana(store, password), control, prefix) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Running(f"http://127.0.0.1:{server.server_port}{prefix}", password, control, directory)
        finally:
            server.shutdown()
            thread.join()
            store.close()
