# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a Grafana against the requirements' loop of curl; the stand-in answers as slowly as it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import Row
from tests.lab.machine import free_port, listens, wait_until
from tests.lab.standins.grafana.client import Client, basic
from tests.lab.standins.grafana.seed import panel, seed
from tests.lab.standins.grafana.server import CONTROL

ROOT = Path(__file__).parents[2]
STANDINS = ROOT / "tests" / "lab" / "standins"
BY_HAND = Path(__file__).with_name("by-hand-grafana.sh")
DASHBOARDS, FEWER, PANELS = 1000, 200, 20
RESTORED = 160
# As slow as the recorded server, and as one that does not wait for its database.
SLOW, QUICK = 0.1, 0.01
MANY, DEFAULT = "16", "8"


def measure(directory: Path) -> Iterator[Row]:
    """Every row, each side in turn."""
    with running(directory / "source") as server:
        server.fill(FEWER)
        few = server.ours("backup", directory / "few", MANY, "dashboards", "folders")
        server.fill(DASHBOARDS)
        server.answer_after(SLOW)
        loop = server.by_hand("export", directory / "loop")
        ours = server.ours("backup", directory / "ours", MANY, "dashboards", "folders")
        yield Row("grafana-backup-100ms", ours["seconds"], loop, 0.1)
        default = server.ours("backup", directory / "default", DEFAULT, "dashboards", "folders")
        yield Row("grafana-backup-100ms-default", default["seconds"], loop, 0.2)
        single = server.ours("backup", directory / "single", "1", "dashboards", "folders")
        yield Row("grafana-backup-100ms-single", single["seconds"], loop, 1)
        server.answer_after(QUICK)
        loop = server.by_hand("export", directory / "loop")
        quick = server.ours("backup", directory / "quick", MANY, "dashboards", "folders")
        yield Row("grafana-backup-10ms", quick["seconds"], loop, 0.2)
        unchanged = server.ours("backup", directory / "quick", MANY, "dashboards", "folders")
        yield Row("grafana-unchanged-files", unchanged["written"], None, 0)
        yield Row("grafana-memory", ours["memory"], few["memory"], 1.2)
        yield Row("grafana-second-client", *server.seen_by_another(directory / "seen"), 3)
        seed(server.url)
        everything = server.ours("backup", directory / "everything", DEFAULT)
        yield Row("grafana-everything", everything["seconds"], None, 60)
    yield from restored(directory)


def restored(directory: Path) -> Iterator[Row]:
    """The rows of a restore onto an empty server."""
    with running(directory / "some") as server:
        server.fill(RESTORED)
        server.ours("backup", directory / "files", DEFAULT, "dashboards", "folders")
        server.by_hand("export", directory / "bodies")
    with running(directory / "for curl") as server:
        server.answer_after(SLOW)
        loop = server.by_hand("import", directory / "bodies")
    with running(directory / "for us") as server:
        server.answer_after(SLOW)
        ours = server.ours("restore", directory / "files", DEFAULT, "dashboards", "folders")
    yield Row("grafana-restore-100ms", ours["writing"], loop, 0.2)
    yield Row("grafana-restore-100ms-proved", ours["seconds"], loop, 0.5)


@dataclass(frozen=True)
class Server:
    """A stand-in in a process of its own."""

    url: str
    token: str

    def fill(self, number: int) -> None:
        """Have so many dashboards, on different servers the same ones."""

        def post(first: int) -> None:
            client = Client(self.url, f"Bearer {self.token}")
            for one in range(first, number, 4):
                panels = [panel(place, f"Panel {place}") for place in range(PANELS)]
                board = {"uid": f"b{one:05}", "title": f"Board {one:05}", "schemaVersion": 38, "panels": panels}
                client.send("POST", "/api/dashboards/db", {"dashboard": board, "folderUid": "", "overwrite": True})
            client.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(post, range(4)))

    def answer_after(self, seconds: float) -> None:
        """Let each answer take so long."""
        Client(self.url).send("PUT", CONTROL, {"latency": seconds})

    def ours(self, what: str, directory: Path, workers: str, *kinds: str) -> dict[str, float]:
        """One run of ours; its own start is in the seconds of nobody."""
        program = [
            sys.executable,
            "-m",
            "tests.bench.grafana_once",
            what,
            self.url,
            self.token,
            str(directory),
            workers,
        ]
        path = os.pathsep.join([str(ROOT / ".cache"), str(ROOT)])
        done = subprocess.run(
            [*program, *kinds], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
        )
        return {name: float(value) for name, value in json.loads(done.stdout).items()}

    def by_hand(self, what: str, directory: Path) -> float:
        """The same by hand, in seconds."""
        url = self.url.replace("://", "://admin:admin@")
        done = subprocess.run([BY_HAND, what, url, directory], capture_output=True, text=True, check=True)
        began, ended = map(float, done.stdout.split())
        return ended - began

    def seen_by_another(self, directory: Path) -> tuple[float, float]:
        """The median latency that somebody else sees while a backup runs, and when none does."""
        quiet: list[float] = []
        busy: list[float] = []
        over = threading.Event()

        def ask(seen: list[float]) -> None:
            began = time.monotonic()
            client.get("/api/org")
            seen.append(time.monotonic() - began)

        client = Client(self.url, basic("admin", "admin"))
        for _number in range(50):
            ask(quiet)

        def watch() -> None:
            while not over.is_set():
                ask(busy)

        watching = threading.Thread(target=watch)
        watching.start()
        self.ours("backup", directory, DEFAULT, "dashboards", "folders")
        over.set()
        watching.join()
        client.close()
        return median(busy), median(quiet)


@contextmanager
def running(data: Path) -> Iterator[Server]:
    """A new stand-in, as long as the context lasts."""
    data.mkdir(parents=True)
    port = free_port()
    told = {"GF_PATHS_DATA": str(data), "GF_SERVER_HTTP_PORT": str(port), "PYTHONPATH": str(STANDINS)}
    with subprocess.Popen([sys.executable, "-m", "grafana"], env={**os.environ, **told}) as process:
        try:
            wait_until("A Grafana that listens", lambda: listens(port), 10)
            url = f"http://127.0.0.1:{port}"
            client = Client(url, basic("admin", "admin"))
            account = client.send("POST", "/api/serviceaccounts", {"name": "bench", "role": "Admin"})
            token = client.send("POST", f"/api/serviceaccounts/{account['id']}/tokens", {"name": "bench"})["key"]
            client.close()
            yield Server(url, token)
        finally:
            process.terminate()
