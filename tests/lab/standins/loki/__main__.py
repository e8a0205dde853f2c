# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: `python3 -m loki -config.file=FILE`, as Loki itself is called."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .logql import SECOND, UNITS, NotRecorded, Query, Refused, parse
from .statistics import statistics
from .store import VERSIONS, Entry, Labels, Store, Version

HERE = Path(__file__).parent
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
JSON_UTF8 = "application/json; charset=UTF-8"
OLDEST = 7 * UNITS["d"]
GRACE = 10 * UNITS["m"]
LONGEST_QUERY = 721 * UNITS["h"]
MOST_ENTRIES = 5000
LIMIT_NAMES = {"2.9.3": "max_entries_limit", "3.4.2": "max_entries_limit_per_query"}
SERVICES = {
    "2.9.3": "ingester-querier query-scheduler-ring query-scheduler ring cache-generation-loader query-frontend ingester"
    " server store distributor ruler memberlist-kv query-frontend-tripperware compactor querier",
    "3.4.2": "ring ingester distributor ingester-querier cache-generation-loader query-scheduler-ring store rule-evaluator"
    " querier ruler memberlist-kv query-frontend-tripperware query-scheduler query-frontend compactor server",
}
NOT_FOUND = ("/loki/api/v1/nope", "/ingester/ring")
METRICS = """\
loki_build_info{{branch="",goarch="amd64",goos="linux",goversion="go1.24.4",revision="unknown",tags="unknown",version="{version}"}} 1
# HELP loki_ingester_memory_chunks The total number of chunks in memory.
# TYPE loki_ingester_memory_chunks gauge
loki_ingester_memory_chunks {streams}
# HELP loki_ingester_memory_streams The total number of streams in memory per tenant.
# TYPE loki_ingester_memory_streams gauge
loki_ingester_memory_streams{{tenant="fake"}} {streams}
# HELP loki_ingester_memory_streams_labels_bytes Total bytes of labels of the streams in memory.
# TYPE loki_ingester_memory_streams_labels_bytes gauge
loki_ingester_memory_streams_labels_bytes {label_bytes}
loki_ingester_streams_created_total{{tenant="fake"}} {streams}
loki_ingester_streams_removed_total{{tenant="fake"}} 0"""


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: str = ""
    status: int = 200
    content_type: str = TEXT


@dataclass(frozen=True)
class Configuration:
    """What the stand-in reads of Loki's configuration file."""

    version: Version
    directory: Path
    port: int
    schema: str

    @classmethod
    def read(cls, file: Path) -> Configuration:
        """Read the file; a key that is missing has Loki's default."""
        text = file.read_text()
        schema = re.search(r"^schema_config:\n(?:[ -].*\n?)+", text, re.MULTILINE)
        stores = re.findall(r"^[ -]+store: *(\S+)", schema[0] if schema else "", re.MULTILINE)
        if not schema or not stores or stores[-1] not in VERSIONS:
            raise SystemExit(f"{file}: schema_config was expected to name a store of {', '.join(VERSIONS)}")
        port = re.search(r"^ +http_listen_port: *(\d+)", text, re.MULTILINE)
        prefix = re.search(r"^ +path_prefix: *(\S+)", text, re.MULTILINE)
        directory = Path(prefix[1] if prefix else "/loki")
        return cls(VERSIONS[stores[-1]], directory, int(port[1]) if port else 3100, schema[0])


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    parameters: dict[str, str]
    body: bytes

    def required(self, name: str) -> int:
        """A whole number that was always given, as times in nanoseconds are."""
        value = self.number(name)
        if not value:
            raise NotRecorded(f"no recorded exchange has {self.path} without {name}")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.parameters.get(name, str(default))
        if not value.isdigit():
            raise NotRecorded(f"no recorded exchange has a {name} like {value}")
        return int(value)


@dataclass
class Loki:
    """What the server knows, and one method for each thing that can be asked."""

    configuration: Configuration
    store: Store
    ready_after: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def version(self) -> Version:
        """The version that is stood in for."""
        return self.configuration.version

    def answer(self, request: Request) -> Answer:
        """Answer a request, as the real server did."""
        asked = f"{request.method} {request.path}"
        label = re.fullmatch(r"GET /loki/api/v1/label/(\w+)/values", asked)
        try:
            with self.lock:
                if label:
                    return self.label_values(request, label[1])
                if asked in ANSWERS:
                    return ANSWERS[asked](self, request)
        except Refused as refusal:
            return Answer(str(refusal), 400)
        except NotRecorded as error:
            return Answer(f"{error}\n", 501)
        if request.path in NOT_FOUND:
            return Answer("404 page not found\n", 404)
        return Answer(f"no recorded exchange has {asked}\n", 501)

    def ready(self, _request: Request) -> Answer:
        """Not ready for some time after each start."""
        if time.monotonic() < self.ready_after:
            return Answer("Ingester not ready: waiting for 15s after being ready\n", 503)
        return Answer("ready\n")

    def build(self, _request: Request) -> Answer:
        """The version; a build without version control knows nothing else."""
        unknown = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
        return Answer(json.dumps({"version": self.version.number, **unknown}), content_type=JSON)

    def config(self, _request: Request) -> Answer:
        """As much of the configuration as was recorded, then the schema."""
        head = (HERE / f"config-{self.version.number}.txt").read_text()
        return Answer(head + self.configuration.schema)

    def services(self, _request: Request) -> Answer:
        """Everything that runs inside."""
        return Answer("".join(f"{name} => Running\n" for name in SERVICES[self.version.number].split()))

    def metrics(self, _request: Request) -> Answer:
        """The head of the metrics."""
        if self.version.number != "2.9.3":
            raise NotRecorded("metrics were recorded of 2.9.3 only")
        label_bytes = sum(len(name) + len(value) for labels in self.store.streams for name, value in labels)
        text = METRICS.format(version=self.version.number, streams=len(self.store.streams), label_bytes=label_bytes)
        return Answer(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    def rules(self, _request: Request) -> Answer:
        """There are none."""
        directory = self.configuration.directory / "rules" / "fake"
        if directory.exists():
            raise NotRecorded("no recorded exchange shows rules")
        raise Refused(f"unable to read rule dir {directory}: open {directory}: no such file or directory\n")

    def flush(self, _request: Request) -> Answer:
        """Answer at once, flush later."""
        threading.Thread(target=self._flush).start()
        return Answer(status=204)

    def _flush(self) -> None:
        with self.lock:
            self.store.flush()

    def push(self, request: Request) -> Answer:
        """Take lines, unless they are too old or too new."""
        now = time.time_ns()
        taken: dict[Labels, list[Entry]] = {}
        errors = []
        for labels, entries in self._pushed(request.body):
            shown = ", ".join(f'{name}="{value}"' for name, value in labels)
            for instant, line in entries:
                begin = f"entry for stream '{{{shown}}}' has timestamp too"
                if instant < now - OLDEST:
                    oldest = f"oldest acceptable timestamp is: {rfc3339(now - OLDEST)}"
                    errors.append(f"{begin} old: {rfc3339(instant)}, {oldest}\n")
                elif instant > now + GRACE:
                    errors.append(f"{begin} new: {rfc3339(instant)}\n")
                else:
                    taken.setdefault(labels, []).append((instant, line))
        if len(errors) > 1 or (errors and taken):
            raise NotRecorded("no recorded exchange has a push of which a part is too old or too new")
        if errors:
            raise Refused(errors[0])
        self.store.append(taken)
        return Answer(status=204)

    def _pushed(self, body: bytes) -> list[tuple[Labels, list[Entry]]]:
        """What a push holds, in the form that clients without protobuf use."""
        try:
            streams = json.loads(body)["streams"]
            pushed = [
                (self._labels(stream["stream"]), [(int(instant), str(line)) for instant, line in stream["values"]])
                for stream in streams
            ]
        except (UnicodeDecodeError, ValueError, KeyError, TypeError):
            text = body.decode(errors="replace")
            if re.match(r'\{[^"\s}]', text) and len(text) <= 10:
                wrong = f'expect ", but found {text[1]}, error found in #2 byte of ...|{text}|...'
                raise Refused(f"loghttp.PushRequest.readFieldHash: {wrong}, bigger context ...|{text}|...\n") from None
            raise NotRecorded("no recorded exchange has a push like this: JSON with streams is") from None
        return pushed

    def _labels(self, given: dict[str, str]) -> Labels:
        labels = self.version.labels(given)
        if not labels:
            raise Refused("error at least one label pair is required per stream\n")
        return labels

    def labels(self, request: Request) -> Answer:
        """The names of all labels."""
        return listing({name for labels in self._streams(request) for name, _value in labels})

    def label_values(self, request: Request, label: str) -> Answer:
        """The values of one label."""
        return listing({value for labels in self._streams(request) for name, value in labels if name == label})

    def series(self, request: Request) -> Answer:
        """The labels of every stream that matches."""
        query = self._query(request, "match[]")
        found = query.streams(self.store, request.required("start"), request.required("end"))
        return Answer(dumps({"status": "success", "data": [dict(labels) for labels in found]}), content_type=JSON_UTF8)

    def index_stats(self, request: Request) -> Answer:
        """What the index knows of a selector: nothing before a flush."""
        self._query(request)
        if self.store.flushed:
            raise NotRecorded("no recorded exchange shows index statistics after a flush")
        return Answer(dumps(dict.fromkeys(("streams", "chunks", "bytes", "entries"), 0)), content_type=JSON_UTF8)

    def query(self, request: Request) -> Answer:
        """Numbers at one instant."""
        query = self._query(request)
        if query.number is None:
            raise NotRecorded("no recorded exchange has an instant query for lines")
        instant = request.required("time")
        values = query.values(query.number, self.store, instant)
        result = [{"metric": dict(group), "value": [seconds(instant), value]} for group, value in values.items()]
        work = self._work(query, instant - query.number.range + 1, instant + 1, len(result))
        return self._result("vector", result, work)

    def query_range(self, request: Request) -> Answer:
        """Lines, or numbers at every step."""
        query = self._query(request)
        begin, end = request.required("start"), request.number("end", time.time_ns())
        limit = request.number("limit", 100)
        if limit > MOST_ENTRIES:
            name = LIMIT_NAMES[self.version.number]
            raise Refused(f"max entries limit per query exceeded, limit > {name} ({limit} > {MOST_ENTRIES})")
        if end - begin > LONGEST_QUERY:
            length = duration(end - begin)
            raise Refused(f"the query time range exceeds the limit (query length: {length}, limit: 30d1h)")
        if query.number is None:
            return self._lines(query, begin, end, limit, request.parameters.get("direction", "backward") == "backward")
        step = request.required("step") * SECOND
        points: dict[Labels, list[list[int | float | str]]] = {}
        for instant in range(begin // step * step, -(-end // step) * step + 1, step):
            for group, value in query.values(query.number, self.store, instant).items():
                points.setdefault(group, []).append([seconds(instant), value])
        result = [{"metric": dict(group), "values": values} for group, values in points.items()]
        return self._result("matrix", result, self._work(query, begin - query.number.range, end + step, len(result)))

    def _lines(self, query: Query, begin: int, end: int, limit: int, backward: bool) -> Answer:
        found = query.streams(self.store, begin, end)
        every = [(entry, labels) for labels, entries in found.items() for entry in entries]
        every.sort(key=lambda line: line[0][0], reverse=backward)
        shown: dict[Labels, list[list[str]]] = {}
        for (instant, line), labels in every[:limit]:
            shown.setdefault(labels, []).append([str(instant), line])
        level = {"detected_level": "unknown"} if self.version.newer else {}
        result = [{"stream": dict(labels) | level, "values": values} for labels, values in shown.items()]
        return self._result("streams", result, self._work(query, begin, end, len(every[:limit])))

    def _work(self, query: Query, begin: int, end: int, returned: int) -> dict[str, Any]:
        passed = query.streams(self.store, begin, end)
        read = replace(query, needles=()).streams(self.store, begin, end)
        lines = [line for entries in read.values() for _instant, line in entries]
        return statistics(self.version, lines, sum(map(len, passed.values())), returned)

    def _result(self, kind: str, result: list[Any], work: dict[str, Any]) -> Answer:
        data = {"resultType": kind, "result": result, "stats": work}
        content_type = JSON if kind != "streams" and not self.version.newer else JSON_UTF8
        return Answer(dumps({"status": "success", "data": data}), content_type=content_type)

    def _query(self, request: Request, name: str = "query") -> Query:
        return parse(request.parameters.get(name, ""))

    def _streams(self, request: Request) -> list[Labels]:
        begin, end = request.required("start"), request.required("end")
        return [labels for labels, stream in self.store.streams.items() if stream.between(begin, end)]


ANSWERS: dict[str, Callable[[Loki, Request], Answer]] = {
    "GET /ready": Loki.ready,
    "GET /config": Loki.config,
    "GET /services": Loki.services,
    "GET /metrics": Loki.metrics,
    "POST /flush": Loki.flush,
    "POST /loki/api/v1/push": Loki.push,
    "GET /loki/api/v1/status/buildinfo": Loki.build,
    "GET /loki/api/v1/rules": Loki.rules,
    "GET /loki/api/v1/labels": Loki.labels,
    "GET /loki/api/v1/series": Loki.series,
    "GET /loki/api/v1/index/stats": Loki.index_stats,
    "GET /loki/api/v1/query": Loki.query,
    "GET /loki/api/v1/query_range": Loki.query_range,
}


def dumps(value: object) -> str:
    """JSON as the server writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def listing(names: Iterable[str]) -> Answer:
    """A list of names; where there are none, the field is missing."""
    data = {"data": sorted(names)} if names else {}
    return Answer(dumps({"status": "success", **data}), content_type=JSON_UTF8)


def seconds(instant: int) -> int | float:
    """An instant as numbers carry it."""
    return instant // SECOND if instant % SECOND == 0 else instant / SECOND


def rfc3339(instant: int) -> str:
    """An instant as error messages write it."""
    return datetime.fromtimestamp(instant // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(nanoseconds: int) -> str:
    """A duration of hours as Go writes it."""
    hours, rest = divmod(nanoseconds, 3600 * SECOND)
    minutes, rest = divmod(rest, 60 * SECOND)
    return f"{hours}h{minutes}m{seconds(rest)}s"


class Handler(BaseHTTPRequestHandler):
    """Carries requests to Loki, and its answers back."""

    protocol_version = "HTTP/1.1"

    def __init__(self, loki: Loki, *arguments: Any) -> None:
        self._loki = loki
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer what has no body."""
        self._answer()

    def do_POST(self) -> None:
        """Answer what has one."""
        self._answer()

    def _answer(self) -> None:
        path, _mark, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, path, dict(urllib.parse.parse_qsl(query)), body)
        answer = self._loki.answer(request)
        content = answer.body.encode()
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say only what could not be answered."""
        if code == 501:
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    """One thread for each connection, and room for many that wait."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Read the configuration, then serve until SIGTERM; what was pushed is in the write-ahead log by then."""
    parser = argparse.ArgumentParser(prog="loki", description=__doc__)
    parser.add_argument("-config.file", dest="file", type=Path, default=Path("/etc/loki/local-config.yaml"))
    configuration = Configuration.read(parser.parse_args().file)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    store = Store(configuration.directory, configuration.version)
    loki = Loki(configuration, store, time.monotonic() + float(os.environ.get("LOKI_READY_SECONDS", "15")))
    Server(("", configuration.port), partial(Handler, loki)).serve_forever()


if __name__ == "__main__":
    main()
