# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logs of a gateway put aside by the scheduled task while nginx writes them; in the order of this file."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Lab
from tests.lab.machine import wait_until
from tests.lab.play import run
from tests.lab.windows.below import Windows, ask_http, below, unchangeable
from tests.lab.windows.gateway import Gateway
from tests.lab.windows.image import USER

pytestmark = [pytest.mark.gateway, pytest.mark.long]

TASK = "flatnet-log-rotation"
NGINX = r"C:\openresty\nginx.exe"
STAMP = "%Y%m%dT%H%M%SZ"
HOLD = r"""
$file = [IO.File]::Open('C:\ProgramData\flatnet\transactions\lock', 'OpenOrCreate', 'ReadWrite', 'Read')
[IO.File]::WriteAllText('C:\held', '')
while ([IO.File]::Exists('C:\held')) { [Threading.Thread]::Sleep(50) }
"""


@dataclass(frozen=True)
class Site:
    """A gateway that runs, and its host from below."""

    gateway: Gateway
    host: Windows
    reports: Path

    @property
    def logs(self) -> Path:
        return self.gateway.drive / "openresty" / "logs"

    @property
    def said(self) -> Path:
        """What the last run says of itself."""
        return self.gateway.drive / "ProgramData" / "flatnet" / "log_rotation.json"

    def act(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Run one task that has to end well, and give back its answer."""
        tasks = [
            {f"flatnet.ops.{action}": arguments, "register": "answer"},
            {"ansible.builtin.debug": {"msg": "ANSWER {{ answer | to_json }}"}},
        ]
        book = self.reports / "book.yml"
        book.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}], sort_keys=False))
        ended = run(self.gateway.lab, str(book), self.reports)
        assert ended.code == 0, ended.output
        (line,) = [line for line in ended.output.splitlines() if '"ANSWER ' in line]
        answer: dict[str, Any] = json.loads(json.loads(line.strip().removeprefix('"msg": ')).removeprefix("ANSWER "))
        return answer

    def setup(self, **arguments: Any) -> dict[str, Any]:
        """Install the tasks."""
        return self.act("gateway_tasks", account=USER, **arguments)

    def rotate(self) -> dict[str, Any]:
        """Let the scheduler run the task, and give back what it says of itself and the code that it ended with."""
        self.said.unlink(missing_ok=True)
        self.gateway.lab_request("task-run", {"name": TASK})
        return self.ended()

    def ended(self) -> dict[str, Any]:
        """Wait until the task has ended."""

        def task() -> dict[str, Any]:
            found: list[dict[str, Any]] = self.gateway.lab_request("tasks", {"name": TASK})
            return found[0]

        wait_until("The end of the rotation", lambda: bool(task()["last_run"]) and not task()["running"], 60)
        said: dict[str, Any] = json.loads(self.said.read_text("utf-8-sig")) if self.said.exists() else {}
        return {**said, "code": task()["last_result"]}

    def aside(self, log: str) -> list[str]:
        """What was put aside of a log, the oldest first."""
        return sorted(path.name for path in self.logs.glob(f"{log}.*"))

    def ask(self, path: str = "/healthz") -> None:
        """Have the gateway write a line into its access log, soon after it has answered."""
        status, _body = ask_http(self.host.address, 80, path, "localhost")
        assert status == 200

    def expect(self, words: str, *names: str) -> None:
        """Wait until one of these logs, and no other, has a line with these words."""

        def count() -> int:
            return sum((self.logs / name).read_text().count(words) for name in names)

        wait_until(f"A line with {words}", lambda: count() > 0, 10)
        assert count() == 1

    @contextmanager
    def paused(self, number: int) -> Iterator[None]:
        """A process of nginx, counted from the oldest, which is the master, does nothing for a while."""
        pid = self.host.processes(NGINX)[number]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"rotation-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        gateway.start_nginx()
        site = Site(gateway, below(gateway), tmp_path_factory.mktemp("reports"))
        site.setup()
        yield site


def test_an_hour_later_the_logs_of_the_day_are_aside_and_no_line_is_lost(site: Site) -> None:
    asked: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            site.ask(f"/healthz?number={len(asked)}")
            asked.append(len(asked))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        wait_until("Some requests", lambda: len(asked) > 20, 30)
        site.gateway.pass_time(3600)
        wait_until("The task of the next hour", site.said.exists, 60)
        ended = site.ended()
        count = len(asked)
        wait_until("Some requests more", lambda: len(asked) > count + 20, 30)
        enough.set()
        asking.result()
        site.expect(f"?number={asked[-1]} ", "access.log")

    assert (ended["code"], ended["problem"]) == (0, None)
    ((error,), (access,)) = site.aside("error.log"), site.aside("access.log")
    assert ended["rotated"] == [rf"C:\openresty\logs\{name}" for name in (error, access)]
    before, after = ((site.logs / name).read_text() for name in (access, "access.log"))
    written = [int(number) for text in (before, after) for number in re.findall(r"\?number=(\d+) ", text)]
    assert written == asked
    assert "?number=" in before
    assert "?number=" in after


def test_a_second_run_of_the_day_leaves_them_alone(site: Site) -> None:
    site.ask()
    before = site.aside("access.log")

    assert {**site.rotate(), "at": ""} == {"at": "", "rotated": [], "removed": [], "problem": None, "code": 0}
    assert site.aside("access.log") == before


def test_what_was_installed_is_left_alone_and_another_size_is_another_task(site: Site) -> None:
    assert site.setup()["made"] == []
    assert site.setup(log_megabytes=1, log_keep_days=3)["made"] == [f"task {TASK}"]
    assert site.act("gateway_info")["tasks"][TASK]["enabled"] is True


def test_a_log_that_is_too_large_does_not_wait_for_the_next_day_and_old_ones_go(site: Site) -> None:
    now = datetime.now(UTC)
    old, young = (f"access.log.{now - timedelta(days=days):{STAMP}}" for days in (4, 2))
    for name in (old, young, "access.log.mine", "other.log"):
        (site.logs / name).write_text("kept\n")
    with (site.logs / "access.log").open("ab") as log:
        log.write(b"x" * (1 << 20) + b"\r\n")
    errors = site.aside("error.log")
    ended = site.rotate()

    assert (ended["code"], ended["removed"]) == (0, [rf"C:\openresty\logs\{old}"])
    assert [name.rpartition("\\")[2].partition(".log")[0] for name in ended["rotated"]] == ["access"]
    assert site.aside("error.log") == errors
    assert not (site.logs / old).exists()
    assert all((site.logs / name).exists() for name in (young, "access.log.mine", "other.log"))


def enlarge(site: Site) -> None:
    """The next run has to put the access log aside."""
    with (site.logs / "access.log").open("ab") as log:
        log.write(b"x" * (1 << 20) + b"\r\n")


def test_where_nginx_does_not_open_its_log_again_it_gets_its_name_back(site: Site) -> None:
    enlarge(site)
    before = site.aside("access.log")
    with site.paused(0):
        ended = site.rotate()
        assert site.aside("access.log") == before
    site.ask("/healthz?after=refusal")
    shown = site.act("gateway_logs_info")

    assert (ended["code"], ended["rotated"]) == (1, [])
    assert r"nginx was expected to open C:\openresty\logs\access.log again within 10 s, and has not" in ended["problem"]
    site.expect("?after=refusal", "access.log")
    assert shown["rotation"]["problem"] == ended["problem"]
    assert f"the rotation of the logs failed at {ended['at']}: nginx was expected" in shown["msg"]
    assert site.rotate()["code"] == 0


def test_a_worker_that_comes_late_loses_nothing(site: Site) -> None:
    enlarge(site)
    with site.paused(1):
        ended = site.rotate()
    site.ask("/healthz?after=pause")
    (name,) = ended["rotated"]

    assert ended["code"] == 0
    site.expect("?after=pause", "access.log", name.rpartition("\\")[2])

    def comes() -> bool:
        site.ask("/healthz?at=last")
        return "?at=last" in (site.logs / "access.log").read_text()

    wait_until("The worker's first line in the new log", comes, 10)


def test_a_run_that_died_after_the_rename_is_finished_by_the_next(site: Site) -> None:
    aside = site.logs / f"access.log.{datetime.now(UTC):{STAMP}}"
    (site.logs / "access.log").rename(aside)
    site.ask("/healthz?in=between")
    site.expect("?in=between", aside.name)
    assert site.rotate()["code"] == 0
    site.ask("/healthz?after=all")
    site.expect("?after=all", "access.log")


def test_a_transaction_is_not_disturbed(site: Site) -> None:
    enlarge(site)
    held = site.gateway.drive / "held"
    before = site.aside("access.log")
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(site.gateway.powershell, HOLD, timeout=120)
        try:
            wait_until("The program that holds the lock", held.exists, 60)
            assert site.rotate() == {"code": 0}
        finally:
            held.unlink(missing_ok=True)
        assert holding.result().code == 0
    assert site.aside("access.log") == before


def test_a_folder_that_cannot_be_written_to_is_named(site: Site) -> None:
    with unchangeable(site.logs):
        ended = site.rotate()

    assert (ended["code"], ended["rotated"]) == (1, [])
    assert r"C:\openresty\logs\access.log was expected to be renamed, and Windows said '" in ended["problem"]


def test_logs_that_no_master_would_open_again_are_left_alone(site: Site) -> None:
    site.gateway.lab_request("task-enable", {"name": "flatnet-gateway", "enabled": False})
    os.kill(site.host.processes(NGINX)[0], signal.SIGKILL)
    before = site.aside("access.log")
    orphaned = site.rotate()
    site.gateway.end("nginx.exe")
    stopped = site.rotate()

    assert orphaned["code"] == 1
    assert (
        r"a master of nginx was expected below C:\openresty to open its logs again, and there is none"
        in (orphaned["problem"])
    )
    assert (stopped["code"], stopped["rotated"], stopped["problem"]) == (0, [], None)
    assert site.aside("access.log") == before
