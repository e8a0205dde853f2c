# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP against a real server: every way in which no answer comes has its reason in the message."""

from __future__ import annotations

import base64
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from ansible_collections.flatnet.ops.plugins.module_utils import transport as transport_module
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    AnswerCut,
    CertificateRefused,
    NoAnswer,
    ServerError,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Credentials, RequestsTransport
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.unit


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked; ``/moved`` points elsewhere, ``/cut`` breaks off, ``/headers`` and ``/body`` tell what came."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[Any]] = set()

    def do_GET(self) -> None:
        """Answer."""
        self.connections.add(self.client_address)
        path = self.path.partition("?")[0]
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        told = {"/headers": dict(self.headers), "/body": [self.headers["Content-Type"], sent]}
        body = json.dumps(told.get(path, [self.command, self.path])).encode()
        self.send_response(302 if path == "/moved" else 404 if path == "/gone" else 200)
        self.send_header("location", "/")
        if path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"9\r\n[1, 2, 3,\r\n9\r\n4"
        else:
            self.send_header("Content-Length", str(len(body) + (path == "/cut")))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = path in ("/cut", "/chunks")

    def do_POST(self) -> None:
        """Answer in the same way."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a real server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a real server."""
    for port in serve():
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Secure:
    """A server with a certificate for 127.0.0.1, and who vouches for it."""

    port: int
    ca: Path
    other_ca: Path


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """A real server that speaks TLS."""
    directory = tmp_path_factory.mktemp("tls")
    authority = certificate(directory / "ca.pem")
    certificate(directory / "other.pem")
    certificate(directory / "server.pem", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    for port in serve(context):
        yield Secure(port, directory / "ca.pem", directory / "other.pem")


Issuer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def certificate(path: Path, issuer: Issuer | None = None) -> Issuer:
    """Write a certificate and its key: an authority's, or one for 127.0.0.1 that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    by, by_key = issuer or (name, key)
    now = datetime.now(UTC)
    public, signing = key.public_key(), by_key.public_key()
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
        .add_extension(alternative, critical=False)
        .sign(by_key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return name, key


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
        with pytest.raises(NoAnswer, match=r"within 0\.2 s and did not \(timed out\)"):
            RequestsTransport(0.2).request("GET", address)


def test_what_the_library_has_hidden_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    # Older versions of urllib3 try an argument first that no Python 3 knows.
    def send(*_arguments: object, **_options: object) -> None:
        try:
            raise TypeError("getresponse() got an unexpected keyword argument 'buffering'")
        except TypeError:
            raise requests.ConnectionError("Connection reset by peer") from None

    monkeypatch.setattr(requests.Session, "send", send)

    with pytest.raises(NoAnswer, match=r"and did not \(Connection reset by peer\)"):
        RequestsTransport(5).request("GET", "http://127.0.0.1/")


@pytest.mark.parametrize(("path", "reason"), [("/cut", "IncompleteRead"), ("/chunks", "IncompleteRead")])
def test_an_answer_that_breaks_off_is_no_answer(url: str, path: str, reason: str) -> None:
    with pytest.raises(AnswerCut, match=rf"GET {url}{path} was expected to answer whole.*{reason}"):
        RequestsTransport(5).request("GET", url + path)


def test_a_redirect_is_an_answer_with_its_target_however_the_header_is_written(url: str) -> None:
    answer = RequestsTransport(5).request("GET", url + "/moved")

    assert (answer.status, answer.headers.get("Location")) == (302, "/")


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ({"title": "監視"}, "application/json", '{"title": "\\u76e3\\u8996"}'),
        ({}, "application/json", "{}"),
        ([], "application/json", "[]"),
        (None, None, ""),
    ],
)
def test_a_body_is_sent_as_json(url: str, body: Any, kind: str | None, sent: str) -> None:
    assert RequestsTransport(5).request("POST", url + "/body", body=body).json() == [kind, sent]


@pytest.mark.parametrize("name", ["a%2Fb", "50%25", "%E7%9B%A3%E8%A6%96", "a%20b%3Fc%23d", "%2E%2E", "%2E"])
def test_a_name_in_a_path_stays_encoded(url: str, name: str) -> None:
    assert RequestsTransport(5).request("GET", f"{url}/groups/{name}/rules", {"q": "%2E?"}).json() == [
        "GET",
        f"/groups/{name}/rules?q=%252E%3F",
    ]


BASIC = base64.b64encode("監視:pä:ss".encode()).decode("ascii")


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (Credentials(token="glsa_x"), "Bearer glsa_x"),
        (Credentials(user="監視", password="pä:ss"), f"Basic {BASIC}"),
        (Credentials(), None),
        (Credentials("", "", ""), None),
        (None, None),
    ],
)
def test_who_asks_is_told_with_every_request(
    url: str, credentials: Credentials | None, header: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n", "utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    transport = RequestsTransport(5, credentials, {"X-Grafana-Org-Id": "2"})

    for _again in range(2):
        told = transport.request("GET", url + "/headers").json()
        assert (told.get("Authorization"), told["X-Grafana-Org-Id"]) == (header, "2")


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials("t", "u", "p"), "either a token or a user with a password was expected, and both are given"),
        (Credentials("t", "u"), "both are given"),
        (Credentials("t", password="p"), "both are given"),
        (Credentials(user="u"), "expected to come with a password, and one of the two is missing: give both"),
        (Credentials(password="p"), "one of the two is missing"),
        (Credentials("secret\n"), "a token was expected to be one word"),
        (Credentials("sec ret"), "a token was expected to be one word"),
        (Credentials("秘密"), "a token was expected to be one word"),
    ],
)
def test_it_must_be_clear_who_asks(credentials: Credentials, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        RequestsTransport(5, credentials)
    assert not any(word in str(caught.value) for word in ("secret", "sec ret", "秘密"))


def test_a_certificate_is_verified_by_who_vouches_for_it(secure: Secure) -> None:
    transport = RequestsTransport(5, ca=secure.ca)

    assert transport.request("GET", f"https://127.0.0.1:{secure.port}/a").json() == ["GET", "/a"]


@pytest.mark.parametrize(
    ("host", "ca", "reason"),
    [
        ("127.0.0.1", "other_ca", "unable to get local issuer certificate|self-signed certificate"),
        ("127.0.0.1", None, "unable to get local issuer certificate|self-signed certificate"),
        ("localhost", "ca", "[Hh]ostname mismatch|doesn't match"),
    ],
)
def test_a_certificate_that_does_not_verify_is_refused(secure: Secure, host: str, ca: str | None, reason: str) -> None:
    address = f"https://{host}:{secure.port}/a"

    with pytest.raises(CertificateRefused, match=rf"^GET {address} .*does not verify \(.*({reason}).*as ca_path$"):
        RequestsTransport(5, ca=getattr(secure, ca) if ca else None).request("GET", address)


def test_a_server_without_tls_shows_no_certificate(url: str) -> None:
    with pytest.raises(NoAnswer, match=r"(?i)did not \(.*(wrong.version.number|record layer).*check"):
        RequestsTransport(5).request("GET", url.replace("http:", "https:"))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_of_certificates_that_holds_none_is_named(tmp_path: Path, content: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content, "utf-8")

    with pytest.raises(UsageError, match=rf"{ca} was expected to hold certificates as PEM, and .*: give"):
        RequestsTransport(5, ca=ca)


def test_many_threads_share_so_many_connections(url: str) -> None:
    transport, together = RequestsTransport(5, connections=16), threading.Barrier(16)

    def ask(number: int) -> int:
        together.wait()
        return transport.request("GET", f"{url}/{number}").status

    Handler.connections.clear()
    with ThreadPoolExecutor(16) as pool:
        for _again in range(5):
            assert set(pool.map(ask, range(16))) == {200}
    assert len(Handler.connections) <= 16


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


def test_another_status_than_expected_is_shown() -> None:
    answer = Answer("GET", "http://h/x", 503, "not\n ready\n")

    assert answer.expect(200, 503) is answer
    words = r"GET http://h/x answered status 503 \('not ready'\), expected 200 or 404: check the address, read the server's log"
    with pytest.raises(ServerError, match=words):
        answer.expect(200, 404)


@pytest.mark.parametrize("text", ['{"other": 1}', "[]", '"version"'])
def test_an_answer_without_the_member_is_of_another_server(text: str) -> None:
    assert Answer("GET", "http://h/x", 200, '{"version": null}').member("version") is None
    with pytest.raises(
        ServerError, match=r"GET http://h/x was expected to answer with 'version', and answered .*server itself"
    ):
        Answer("GET", "http://h/x", 200, text).member("version")
