# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on port 5986: WinRM over HTTPS with Basic authentication, and the lab's own requests below /lab/."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .shells import Shells
from .wsman import answer

SOAP = "application/soap+xml;charset=UTF-8"
JSON = "application/json"
RESET = struct.pack("ii", 1, 0)
Request = Mapping[str, Any]


class Unreachable:
    """When the network does not reach this computer."""

    def __init__(self) -> None:
        self._from = self._until = 0.0

    def begin(self, seconds: float, delay: float = 0.0) -> None:
        """Be unreachable for some time."""
        self._from = time.monotonic() + delay
        self._until = self._from + seconds

    def end(self) -> None:
        """Be reachable again."""
        self._until = 0.0

    def __bool__(self) -> bool:
        return self._from <= time.monotonic() < self._until


class Server(ThreadingHTTPServer):
    """Answers on 5986; while the computer is unreachable, every connection is cut, open ones as well."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        port: int,
        certificate: Path,
        credentials: str,
        shells: Shells,
        lab: Callable[[str, Request], Any],
        unreachable: Unreachable,
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.credentials, self.shells, self.lab, self.unreachable = credentials.encode(), shells, lab, unreachable
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("", port), Handler)
        threading.Thread(target=self._cut_open_connections, daemon=True).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake is the business of the thread that reads from it."""
        connection, address = super().get_request()
        if self.unreachable:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
            raise ConnectionResetError
        secured = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(secured)
        return secured, address

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or did not like the certificate, is no error of this service."""

    def _cut_open_connections(self) -> None:
        while True:
            time.sleep(0.02)
            if self.unreachable:
                with self._lock:
                    for connection in self._connections:
                        try:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                            connection.shutdown(socket.SHUT_RDWR)
                        # It is gone already.
                        except OSError:
                            continue
                    self._connections.clear()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 300
    server: Server

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if not self._authorised():
            self._reply(401, b"", SOAP, {"WWW-Authenticate": 'Basic realm="WSMAN"'})
        elif path == "/wsman":
            status, envelope = answer(self.server.shells, body)
            self._reply(status, envelope.encode(), SOAP)
        elif path.startswith("/lab/"):
            try:
                said = self.server.lab(path.removeprefix("/lab/"), json.loads(body or b"{}"))
            except (KeyError, TypeError, ValueError) as error:
                self._reply(400, f"{type(error).__name__}: {error}".encode(), "text/plain")
            else:
                self._reply(200, json.dumps(said).encode(), JSON)
        else:
            self._reply(404, b"", SOAP)

    def _authorised(self) -> bool:
        given = self.headers.get("Authorization", "")
        if not given.startswith("Basic "):
            return False
        try:
            return hmac.compare_digest(
                base64.b64decode(given.removeprefix("Basic "), validate=True), self.server.credentials
            )
        except binascii.Error:
            return False

    def _reply(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
