# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP against a real server: every way in which no answer comes has its reason in the message."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import transport as transport_module
from ansible_collections.flatnet.ops.plugins.module_utils.errors import ServerError
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, RequestsTransport

pytestmark = pytest.mark.unit


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked; ``/moved`` points elsewhere, ``/cut`` breaks off."""

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        body = json.dumps([self.command, self.path]).encode()
        self.send_response(302 if path == "/moved" else 404 if path == "/gone" else 200)
        self.send_header("Location", "/")
        self.send_header("Content-Length", str(len(body) + (path == "/cut")))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer in the same way."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a real server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/a", 200), ("POST", "/b", 200), ("GET", "/gone", 404), ("GET", "/moved", 302)],
)
def test_an_answer_is_what_the_server_said(url: str, method: str, path: str, status: int) -> None:
    answer = RequestsTransport(5).request(method, url + path, {"query": 'up{a="b"}'})

    assert (answer.method, answer.url, answer.status) == (method, url + path, status)
    assert answer.json() == [method, path + "?query=up%7Ba%3D%22b%22%7D"]


def test_a_proxy_of_the_host_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", nobody)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert RequestsTransport(5).request("GET", url + "/a").status == 200


def test_a_transport_is_made_without_the_library_which_only_a_request_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(transport_module, "requests")

    transport = RequestsTransport(5)
    with pytest.raises(NameError, match="requests"):
        transport.request("GET", "http://127.0.0.1/")


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

    words = rf"^GET {address}/ready was expected to answer within 5 s and did not \(\[Errno 111\] Connection refused\): check"
    with pytest.raises(ServerError, match=words):
        RequestsTransport(5).request("GET", f"{address}/ready")


def test_a_server_that_is_silent_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"within 0\.2 s and did not \(timed out\)"):
            RequestsTransport(0.2).request("GET", address)


def test_an_answer_that_breaks_off_is_no_answer(url: str) -> None:
    with pytest.raises(ServerError, match=rf"GET {url}/cut was expected .*IncompleteRead"):
        RequestsTransport(5).request("GET", f"{url}/cut")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("<html>\n  log   in", "'<html> log in'"), ("", "''"), ('{"half": ', "'{\"half\":'"), ("x" * 99, f"'{'x' * 80}'")],
)
def test_an_answer_that_is_not_json_is_shown(text: str, shown: str) -> None:
    with pytest.raises(ServerError) as caught:
        Answer("GET", "http://h/x", 302, text).json()
    assert f"GET http://h/x was expected to answer JSON, and answered status 302 with {shown}: check" in str(
        caught.value
    )
