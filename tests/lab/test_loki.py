# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for Loki answers what real ones have answered, and loses what real ones lose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import DIRECT
from tests.lab.machine import free_port, listens, wait_until

pytestmark = pytest.mark.lab

STANDINS = Path(__file__).parent / "standins"
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
FOLDERS = {"loki-2.9.3": "boltdb-shipper", "loki-3.4.2": "tsdb"}
ACTIVE = {"boltdb-shipper": "boltdb-shipper-active", "tsdb": "tsdb-shipper-active"}
# The moment of each recording: what is pushed without labels has it.
MOMENTS = {"loki-2.9.3": 1795462305, "loki-3.4.2": 1795467040}
STARTING = ("28-ready-while-starting", "29-ready-15s-after-start")
NAMES = [
    f"{file.parent.name}/{file.stem}" for folder in FOLDERS for file in sorted((RECORDINGS / folder).glob("*.json"))
]
SIZES = (
    *("totalBytesProcessed", "totalLinesProcessed", "totalEntriesReturned", "totalPostFilterLines"),
    "totalStructuredMetadataBytesProcessed",
)
CONFIGURATION = """\
server:
  http_listen_port: {port}
common:
  path_prefix: {directory}
schema_config:
  configs:
    - from: "2024-01-01"
      store: {store}
      object_store: filesystem
      schema: v13
"""
COUNT = 'sum(count_over_time({job=~".+"}[24h]))'


@dataclass(frozen=True)
class Answer:
    """What a server answers."""

    status: int
    content_type: str
    text: str


@dataclass
class Loki:
    """A stand-in that runs on the machine."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: str | None = None) -> Answer:
        """Send one request."""
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(url, None if body is None else body.encode(), headers, method=method)
        try:
            with DIRECT.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers.get("Content-Type", ""), answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers.get("Content-Type", ""), error.read().decode())

    def query(self, path: str, **parameters: str) -> Answer:
        """Ask a question below /loki/api/v1."""
        return self.ask("GET", f"/loki/api/v1/{path}?{urllib.parse.urlencode(parameters)}")

    def push(self, *lines: str, seconds_ago: int = 0) -> None:
        """Push lines, a nanosecond apart."""
        begin = time.time_ns() - seconds_ago * 10**9 - len(lines)
        values = [[str(begin + index), line] for index, line in enumerate(lines)]
        pushed = {"streams": [{"stream": {"job": "gateway", "host": "win"}, "values": values}]}
        assert self.ask("POST", "/loki/api/v1/push", json.dumps(pushed)).status == 204

    def count(self) -> int:
        """How many lines of the last day it shows."""
        result = json.loads(self.query("query", query=COUNT, time=str(time.time_ns())).text)["data"]["result"]
        return int(result[0]["value"][1]) if result else 0

    def flush(self) -> None:
        """Flush, and wait until it is done."""
        assert self.ask("POST", "/flush").status == 204
        wait_until("A flush", lambda: not any(path.stat().st_size for path in (self.directory / "wal").iterdir()), 10)


@contextmanager
def started(directory: Path, store: str = "tsdb", ready_seconds: str = "0") -> Iterator[Loki]:
    """A stand-in over a directory; it is killed, not stopped."""
    port = free_port()
    file = directory.with_suffix(".yml")
    file.write_text(CONFIGURATION.format(port=port, directory=directory, store=store))
    environment = {**os.environ, "PYTHONPATH": str(STANDINS), "LOKI_READY_SECONDS": ready_seconds}
    with subprocess.Popen([sys.executable, "-m", "loki", f"-config.file={file}"], env=environment) as process:
        try:
            wait_until("A listening Loki", partial(listens, port), 20)
            yield Loki(directory, port, process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    with started(tmp_path_factory.mktemp("asked") / "loki") as running:
        yield running


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """What a real server has answered to each recorded request, and what the stand-in answers, asked in that order."""
    found: dict[str, tuple[Any, Any]] = {}
    for folder, store in FOLDERS.items():
        directory = tmp_path_factory.mktemp(folder) / "loki"
        seconds = (int(time.time()) - MOMENTS[folder]) // 60 * 60
        with started(directory, store) as loki, started(directory.with_name("new"), store, "600") as new:
            for file in sorted((RECORDINGS / folder).glob("*.json")):
                recorded = json.loads(moved(file.read_text(), seconds))
                request, response = recorded["request"], recorded["response"]
                body = request["body"] if isinstance(request["body"], str | None) else json.dumps(request["body"])
                answer = (new if file.stem in STARTING else loki).ask(request["method"], request["path"], body)
                text = answer.text.replace(str(directory), "/loki")
                got = json.loads(text) if "json" in answer.content_type else text
                expected = (response["status"], response["headers"].get("Content-Type", ""), response["body"])
                found[f"{folder}/{file.stem}"] = (expected, (answer.status, answer.content_type, got))
    return found


def moved(text: str, seconds: int) -> str:
    """A recording with every point in time moved."""
    text = re.sub(r"\b179\d{7}(?=(\d{9})?\b)", lambda found: str(int(found[0]) + seconds), text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lambda found: moved_date(found[0], seconds), text)


def moved_date(text: str, seconds: int) -> str:
    """A point in time as error messages write it, moved."""
    return (datetime.fromisoformat(text) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def lasting(answer: tuple[int, str, Any]) -> tuple[int, str, Any]:
    """An answer without what depends on the clock, on measured times, and on an order that Loki does not promise."""
    status, content_type, body = answer
    if isinstance(body, str):
        body = re.sub(r"oldest acceptable timestamp is: \S+", "oldest acceptable timestamp is: TIME", body)
        body = re.sub(r"^(loki_ingester_\S+) \d+$", r"\1 NUMBER", body, flags=re.MULTILINE)
    elif "stats" in body.get("data", ()):
        body["data"]["stats"] = sizes(body["data"]["stats"])
    elif isinstance(body.get("data"), list):
        body["data"].sort(key=partial(json.dumps, sort_keys=True))
    return status, content_type, body


def sizes(statistics: dict[str, Any]) -> dict[str, Any]:
    """The structure of a query's statistics, and how much it has read."""
    return {
        name: sizes(value) if isinstance(value, dict) else value if name in SIZES else None
        for name, value in statistics.items()
    }


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"recorded exchanges with real servers are not at {RECORDINGS}")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_answers_as_the_real_server_did(exchanges: dict[str, tuple[Any, Any]], name: str) -> None:
    expected, got = map(lasting, exchanges[name])
    if name.endswith("-config"):
        assert got[:2] == expected[:2]
        assert got[2].startswith(expected[2].rpartition("\n")[0])
    else:
        assert got == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/loki/api/v1/tail"),
        ("DELETE", "/ready"),
        ("POST", "/loki/api/v1/query"),
        ("GET", "/metrics"),
        ("GET", "/loki/api/v1/labels"),
        (
            "GET",
            "/loki/api/v1/query?time=1&query=" + urllib.parse.quote('topk(3, count_over_time({job="gateway"}[1h]))'),
        ),
        ("GET", "/loki/api/v1/query?time=1&query=" + urllib.parse.quote('sum(count_over_time({job!="gateway"}[1h]))')),
    ],
)
def test_what_was_not_recorded_is_not_implemented(loki: Loki, method: str, path: str) -> None:
    answer = loki.ask(method, path)
    assert answer.status == 501
    assert "recorded" in answer.text or "Unsupported method" in answer.text


def test_config_shows_the_schema(loki: Loki) -> None:
    shown = loki.ask("GET", "/config").text
    assert '\nschema_config:\n  configs:\n    - from: "2024-01-01"\n      store: tsdb\n' in shown


@pytest.mark.parametrize("store", FOLDERS.values())
def test_every_acknowledged_line_survives_a_kill(tmp_path: Path, store: str) -> None:
    directory = tmp_path / "loki"
    with started(directory, store) as loki:
        loki.push("shipped 起動", "second")
        loki.flush()
        loki.push("third")
    with started(directory, store) as loki:
        assert loki.count() == 3
        loki.push("fourth")
    with started(directory, store) as loki:
        assert loki.count() == 4


def test_a_line_that_was_being_written_is_ignored(tmp_path: Path) -> None:
    directory = tmp_path / "loki"
    with started(directory) as loki:
        loki.push("whole")
    with next((directory / "wal").iterdir()).open("ab") as segment:
        segment.write(b"[[[")
    with started(directory) as loki:
        assert loki.count() == 1


@pytest.mark.parametrize(("store", "active"), ACTIVE.items())
def test_what_is_missing_loses_the_lines_that_it_held(tmp_path: Path, store: str, active: str) -> None:
    directory = tmp_path / "loki"
    with started(directory, store) as loki:
        loki.push("old", "also old", seconds_ago=7200)
        loki.flush()
        loki.push("recent")
    for part, left in {"wal": 2, active: 1, "chunks": 1, "rules-temp": 3, "compactor": 3}.items():
        copy = tmp_path / part / "loki"
        shutil.copytree(directory, copy)
        shutil.rmtree(copy / part)
        with started(copy, store) as loki:
            assert loki.count() == left, part


def test_another_schema_does_not_find_the_lines(tmp_path: Path) -> None:
    directory = tmp_path / "loki"
    with started(directory, "boltdb-shipper") as loki:
        loki.push("old")
        loki.flush()
    with started(directory, "tsdb") as loki:
        assert loki.count() == 0


def test_a_line_is_kept_once(loki: Loki) -> None:
    before = loki.count()
    pushed = {"streams": [{"stream": {"job": "twice"}, "values": [[str(time.time_ns()), "the same line"]]}]}
    for _attempt in range(2):
        assert loki.ask("POST", "/loki/api/v1/push", json.dumps(pushed)).status == 204
    assert loki.count() == before + 1


def test_an_empty_store_has_no_labels(tmp_path: Path) -> None:
    with started(tmp_path / "loki") as loki:
        answer = loki.query("labels", start="1", end=str(time.time_ns()))
        assert json.loads(answer.text) == {"status": "success"}


def test_sigterm_ends_it(tmp_path: Path) -> None:
    with started(tmp_path / "loki") as loki:
        loki.process.terminate()
        assert loki.process.wait(timeout=10) == 0
