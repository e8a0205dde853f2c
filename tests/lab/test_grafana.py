# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for Grafana answers what a real one has answered, and says what nobody has seen."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.lab.machine import free_port, listens, wait_until
from tests.lab.standins.grafana.client import Client, basic, bearer
from tests.lab.standins.grafana.control import Fault, cut_body, login_page, redirect, slow, too_many
from tests.lab.standins.grafana.seed import BOARDS, FOLDERS, GROUPS, RULES_OF_A_GROUP, seed
from tests.lab.standins.grafana.server import CONTROL, Running, started

pytestmark = pytest.mark.lab

STANDINS = Path(__file__).parent / "standins"
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
SERVERS = ("grafana-9.4", "grafana-9.4-changes")
FILES = {f"{folder}/{file.stem}": file for folder in SERVERS for file in sorted((RECORDINGS / folder).glob("*.json"))}
PASSWORD = "recorded"
PROMETHEUS = "http://127.0.0.1:9090"
TIME = re.compile(r"(?!0001)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# What the server makes up: the recorded one is known by what stands in its place.
MADE_UP = ("uid", "silenceID", "accessToken", "accessErrorId", "key", "id")
MILLENNIUM = 946684800000
CLOCKS = ("created", "updated", "lastSeenAtAge")


class Prometheus(BaseHTTPRequestHandler):
    """Answers the query that was recorded, and refuses the broken one."""

    def do_GET(self) -> None:
        """Answer."""
        broken = "%7B" in self.path
        found = json.loads(FILES["grafana-9.4-changes/005-proxy-query"].read_text())["response"]["body"]
        content = json.dumps({"status": "error"} if broken else found).encode()
        self.send_response(400 if broken else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def prometheus() -> Iterator[str]:
    """What the recorded data source asked."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def authorization(name: str, request: dict[str, Any], tokens: dict[str, str]) -> str:
    """The credentials of a recorded request: its name says whose they were."""
    if request["auth"] == "none":
        return ""
    if "with-wrong-password" in name:
        return basic("admin", "wrong")
    if request["auth"] != "token":
        return basic("admin", PASSWORD)
    words = name.replace("org-admin", "admin").replace("user-permissions", "viewer")
    return bearer(next((token for role, token in tokens.items() if role in words), "glsa_bad"))


def learn(recorded: Any, got: Any, known: dict[str, str], name: str = "") -> None:
    """Note what was made up on both sides."""
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in recorded.keys() & got.keys():
            learn(recorded[key], got[key], known, key)
    elif isinstance(recorded, list) and isinstance(got, list):
        for one, other in zip(recorded, got, strict=False):
            learn(one, other, known, name)
    elif name in MADE_UP and isinstance(recorded, str) and isinstance(got, str) and recorded and recorded != got:
        known[recorded] = got


def lasting(value: Any, name: str = "") -> Any:
    """An answer without what depends on the clock, and without an order that Go does not promise."""
    if isinstance(value, dict):
        return {key: lasting(part, key) for key, part in value.items()}
    if isinstance(value, list):
        parts = [lasting(part, name) for part in value]
        permissions = parts and isinstance(parts[0], dict) and "permissionName" in parts[0]
        return sorted(parts, key=partial(json.dumps, sort_keys=True)) if permissions else parts
    if isinstance(value, str):
        return "AGO" if name == "lastSeenAtAge" else TIME.sub("TIME", value)
    return "MOMENT" if name in CLOCKS or (name == "values" and value > MILLENNIUM) else value


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """What the real server has answered to each recorded request, and what the stand-in answers, asked in that order."""
    found: dict[str, tuple[Any, Any]] = {}
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    for folder in SERVERS:
        known: dict[str, str] = {}
        tokens: dict[str, str] = {}
        with ExitStack() as stack:
            if folder.endswith("-changes"):
                known[PROMETHEUS] = stack.enter_context(prometheus())
            server = stack.enter_context(started(tmp_path_factory.mktemp(folder), PASSWORD))
            for name, file in FILES.items():
                if not name.startswith(f"{folder}/"):
                    continue
                text = file.read_text()
                for recorded, ours in known.items():
                    text = text.replace(recorded, ours)
                exchange = json.loads(text)
                request, response = exchange["request"], exchange["response"]
                if "silence" in name and request["body"]:
                    request["body"]["endsAt"] = f"{int(hour[:4]) + 1}{hour[4:]}:00:00.000Z"
                client = Client(server.url, authorization(name, request, tokens))
                status, body = client.ask(request["method"], request["path"], request["body"], request["headers"])
                client.close()
                if "create-token" in name and status == 200:
                    tokens[name.rpartition("-")[2]] = body["key"]
                learn(response["body"], body, known)
                text = json.dumps(response["body"])
                for recorded, ours in known.items():
                    text = text.replace(recorded, ours)
                found[name] = ((response["status"], json.loads(text)), (status, body))
    return found


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"recorded exchanges with real servers are not at {RECORDINGS}")
@pytest.mark.parametrize("name", FILES or ["none"])
def test_answers_as_the_real_server_did(exchanges: dict[str, tuple[Any, Any]], name: str) -> None:
    expected, got = exchanges[name]
    assert (got[0], lasting(got[1])) == (expected[0], lasting(expected[1]))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with started(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server that is full, and the token that the seed has made."""
    with started(tmp_path_factory.mktemp("seeded")) as running:
        yield running, seed(running.url)


def board(uid: str, title: str, folder: str = "", **more: Any) -> dict[str, Any]:
    """What saves a dashboard."""
    return {"dashboard": {"id": None, "uid": uid, "title": title, "panels": []}, "folderUid": folder, **more}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/login"),
        ("GET", "/api/admin/settings"),
        ("GET", "/api/search?query=gateway"),
        ("GET", "/api/search?type=dash-annotation"),
        ("GET", "/api/v1/provisioning/alert-rules/none"),
        ("GET", "/api/v1/provisioning/alert-rules/export?format=json"),
        ("DELETE", "/api/dashboards/uid/provisioned"),
        ("PUT", "/api/annotations/1"),
        ("POST", "/api/dashboards/import"),
    ],
)
def test_what_was_not_recorded_is_not_implemented(server: Running, method: str, path: str) -> None:
    status, text = server.client().ask(method, path)
    assert status == 501
    assert "no recorded exchange" in text


def test_a_token_is_no_person(server: Running) -> None:
    client = server.client(server.token())
    client.send("POST", "/api/folders", {"uid": "ops", "title": "Operations"})
    roles = [item.get("role") for item in client.get("/api/folders/ops/permissions")]
    assert sorted(roles) == ["Editor", "Viewer"]
    team = client.send("POST", "/api/teams", {"name": "SRE"})["teamId"]
    assert client.get(f"/api/teams/{team}/members") == []


def test_another_dashboard_of_the_title_is_the_one_that_an_overwrite_changes(server: Running) -> None:
    client = server.client()
    client.send("POST", "/api/dashboards/db", board("first", "Traffic"))
    saved = client.send("POST", "/api/dashboards/db", board("second", "Traffic", overwrite=True))
    assert (saved["uid"], saved["version"]) == ("first", 2)
    assert client.ask("GET", "/api/dashboards/uid/second")[0] == 404


def test_library_panels_without_a_folder_are_shown_and_not_counted(server: Running) -> None:
    client = server.client()
    for number in range(3):
        panel = {"uid": f"l{number}", "folderUid": "", "name": f"L{number}", "kind": 1, "model": {"type": "stat"}}
        client.send("POST", "/api/library-elements", panel)
    found = client.get("/api/library-elements?perPage=2&page=1")["result"]
    assert (found["totalCount"], [element["uid"] for element in found["elements"]]) == (0, ["l0", "l1"])


def test_everything_answered_survives_a_kill(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ, "PYTHONPATH": str(STANDINS), "GF_PATHS_DATA": str(tmp_path), "GF_SERVER_HTTP_PORT": str(port),
        "GF_SECURITY_ADMIN_PASSWORD": "kept", "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
        "GF_SERVER_ROOT_URL": "https://example.org/grafana/",
    }  # fmt: skip
    client = Client(f"http://127.0.0.1:{port}/grafana", basic("admin", "kept"))
    with subprocess.Popen([sys.executable, "-m", "grafana"], env=environment) as process:
        try:
            wait_until("A listening Grafana", partial(listens, port), 20)
            client.send("POST", "/api/folders", {"uid": "ops", "title": "運用"})
            client.send("POST", "/api/dashboards/db", board("gw", "Gateway traffic", "ops"))
        finally:
            process.kill()
    with started(tmp_path, "kept") as running:
        found = running.client().get("/api/dashboards/uid/gw")
        assert (found["meta"]["folderTitle"], found["dashboard"]["title"]) == ("運用", "Gateway traffic")
        made = running.client().send("POST", "/api/folders", {"uid": "next", "title": "Next"})
        assert made["id"] == found["dashboard"]["id"] + 1


def test_many_clients_write_at_once(server: Running) -> None:
    token = server.token()

    def write(number: int) -> int:
        client = server.client(token)
        ids = [
            client.send("POST", "/api/dashboards/db", board(f"b{number}-{one}", f"Board {number} {one}"))["id"]
            for one in range(10)
        ]
        client.close()
        return len(set(ids))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(write, range(16))) == [10] * 16
    found = server.client(token).get("/api/search?type=dash-db&limit=5000")
    assert len({hit["id"] for hit in found}) == len(found) == 161


def test_a_client_does_not_wait_for_another_one(server: Running) -> None:
    server.control.faults.append(slow(3600, path="^/api/org$"))
    waiting = http.client.HTTPConnection(server.url.removeprefix("http://"))
    waiting.request("GET", "/api/org", headers={"Authorization": basic("admin", "admin")})
    wait_until("The slow request", lambda: server.control.count(path="^/api/org$") == 1, 10)
    assert server.client().get("/api/orgs") == [{"id": 1, "name": "Main Org."}]
    waiting.close()


def test_faults_hit_what_they_name_after_some_and_for_so_many(server: Running) -> None:
    client = server.client()
    server.control.faults.append(Fault("GET", "^/api/org$", after=1, times=2, status=503, body='{"message":"no"}'))
    assert [client.ask("GET", "/api/org")[0] for _attempt in range(4)] == [200, 503, 503, 200]
    assert client.ask("GET", "/api/orgs")[0] == 200
    assert (server.control.count("GET", "^/api/org$"), server.control.count()) == (4, 5)


def test_every_kind_of_fault(server: Running) -> None:
    def ask(fault: Fault) -> http.client.HTTPResponse:
        server.control.faults[:] = [fault]
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", "/api/health")
        return connection.getresponse()

    page = ask(login_page())
    assert (page.status, page.headers.get_content_type()) == (200, "text/html")
    with pytest.raises(http.client.IncompleteRead):
        ask(cut_body()).read()
    busy = ask(too_many(7))
    assert (busy.status, busy.headers["Retry-After"]) == (429, "7")
    away = ask(redirect("https://login.example.org/"))
    assert (away.status, away.headers["Location"]) == (302, "https://login.example.org/")


def test_a_server_in_a_container_is_told_by_its_own_address(server: Running) -> None:
    client = Client(server.url)
    client.send("PUT", CONTROL, {"latency": 0.001, "faults": [{"path": "^/api/health", "status": 502, "times": 1}]})
    assert [client.ask("GET", "/api/health")[0] for _attempt in range(2)] == [502, 200]
    assert client.get(CONTROL) == [["GET", "/api/health"]] * 2
    assert server.control.latency == 0.001
    client.send("DELETE", CONTROL)
    assert client.get(CONTROL) == []


def test_the_seed_holds_what_restores_have_to_carry(seeded: tuple[Running, str]) -> None:
    running, token = seeded
    client = running.client(token)
    found = client.get("/api/search?limit=5000")
    boards = [hit for hit in found if hit["type"] == "dash-db"]
    titles = [hit["title"] for hit in boards]
    assert len(boards) > BOARDS >= 200
    assert len(found) - len(boards) == len(FOLDERS)
    assert titles.count("Overview 概要") == 3
    assert all(any(mark in title for title in titles) for mark in ("の", "/", "%", '"')) and any(
        title != title.strip() for title in titles
    )
    assert client.get("/api/dashboards/uid/provisioned")["meta"]["provisioned"]
    large = client.get("/api/dashboards/uid/large")["dashboard"]
    assert len(large["panels"][0]["options"]["content"]) >= 1024 * 1024
    panels = client.get("/api/library-elements?perPage=100")["result"]["elements"]
    assert {panel["meta"]["connectedDashboards"] for panel in panels} == {0, 1, 2, 3}
    for path in ("folders/ops", "dashboards/uid/overview-general"):
        whom = client.get(f"/api/{path}/permissions")
        assert any(item.get("role") for item in whom) and any(item["teamId"] for item in whom)
    assert any(item["userId"] for item in client.get("/api/folders/ops/permissions"))
    assert any(client.get(f"/api/datasources/uid/{uid}")["secureJsonFields"] for uid in ("prom", "loki"))
    rules = client.get("/api/v1/provisioning/alert-rules")
    assert len(rules) == len(GROUPS) * RULES_OF_A_GROUP >= 30
    for group, (folder, interval) in GROUPS.items():
        path = f"/api/v1/provisioning/folder/{folder}/rule-groups/{urllib.parse.quote(group, safe='')}"
        assert client.get(path)["interval"] == interval
    points = [point["name"] for point in client.get("/api/v1/provisioning/contact-points")]
    assert points.count("ops") == 2
    assert client.get("/api/v1/provisioning/policies")["routes"][0]["routes"][0]["routes"]
    assert client.get("/api/v1/provisioning/mute-timings") and client.get("/api/v1/provisioning/templates")
    team = next(team for team in client.get("/api/teams/search")["teams"] if team["name"] == "SRE")
    assert len(client.get(f"/api/teams/{team['id']}/members")) == 3
    assert client.get(f"/api/teams/{team['id']}/preferences")["homeDashboardUID"] == "overview-ops"
    assert client.get("/api/serviceaccounts/search")["totalCount"] == 3
    assert len(client.get("/api/playlists")) == len(client.get("/api/datasources/correlations")) == 2
    assert len(client.get("/api/annotations?type=annotation&limit=1000")) == 40
    assert client.get("/api/org/preferences")["homeDashboardUID"] == "overview-general"
