# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logs of a site, read over WinRM and asked of Loki: as nginx writes them, and as no nginx in a test would."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Host, Lab
from tests.lab.host import DIRECT
from tests.lab.machine import wait_until
from tests.lab.play import Ended, run
from tests.lab.windows.gateway import Gateway

pytestmark = [pytest.mark.gateway, pytest.mark.long]

LOGS = r"C:\openresty\logs"
# Nobody may have such a line carried out as a template.
TEMPLATE = "{{ 70001 * 70001 }} {% if %} <script>"
MANY = """2026/11/24 11:15:00 [notice] 3988#4001: 起動しました\r
2026/11/24 11:15:01 [error] 3988#4001: *7 lua entry thread aborted: runtime error: 失敗\r
stack traceback:\r
coroutine 0:\r
\t[C]: in function 'error'\r
2026/11/24 11:15:02 [warn] 3988#4001: *8 an upstream response is buffered\r
2026/11/24 11:15:03 [emerg] 3988#4001: 最後\r
"""
HOLD = """
$file = [IO.File]::Open('C:\\openresty\\logs\\held.log', 'Open', 'ReadWrite', 'None')
[IO.File]::WriteAllText('C:\\held', '')
while ([IO.File]::Exists('C:\\held')) { [Threading.Thread]::Sleep(50) }
"""


@dataclass(frozen=True)
class Site:
    """A WSL2 host and its gateway."""

    lab: Lab
    wsl: Host
    gateway: Gateway
    reports: Path

    @property
    def logs(self) -> Path:
        """Where the gateway's logs lie."""
        return self.gateway.drive / "openresty" / "logs"

    def write(self, name: str, content: str | bytes) -> None:
        """Make a log."""
        (self.logs / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def read(self, *looks: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Read the error log with each of these options, one look after the other, in one play."""
        names = [f"look{number}" for number in range(len(looks))]
        tasks: list[dict[str, Any]] = [
            {"flatnet.ops.gateway_logs_info": {"access_log": "", **look}, "register": name}
            for name, look in zip(names, looks, strict=True)
        ]
        tasks.append({"ansible.builtin.debug": {"msg": f"ANSWER {{{{ [{', '.join(names)}] | to_json }}}}"}})
        book = self.reports / "book.yml"
        book.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}], sort_keys=False))
        ended = run(self.lab, str(book), self.reports)
        assert ended.code == 0, ended.output
        (line,) = [line for line in ended.output.splitlines() if '"ANSWER ' in line]
        found: list[dict[str, Any]] = json.loads(
            json.loads(line.strip().removeprefix('"msg": ')).removeprefix("ANSWER ")
        )
        return found

    def play(self, *options: str, **variables: object) -> tuple[Ended, dict[str, Any]]:
        """Run the playbook; its report says how it ended, whatever the exit code does."""
        ended = run(self.lab, "logs", self.reports, *options, **variables)
        made = sorted(self.reports.glob("*-logs-*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        report: dict[str, Any] = json.loads(made[-1].read_text("utf-8"))
        assert (report["verdict"] == "failed") == (ended.code != 0), ended.output
        return ended, report

    def push(self, *lines: str) -> None:
        """Have Loki keep some lines of now."""
        values = [[str(time.time_ns() + number), line] for number, line in enumerate(lines)]
        body = {"streams": [{"stream": {"job": "podman", "container": "app-notes"}, "values": values}]}
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(
            f"{self.wsl.url('loki')}/loki/api/v1/push", json.dumps(body).encode(), headers=headers
        )
        with DIRECT.open(asked, timeout=10) as answer:
            assert answer.status == 204


def error_log(name: str) -> dict[str, str]:
    """Of this log."""
    return {"error_log": rf"logs\{name}"}


def texts(found: Mapping[str, Any], log: str = "error") -> list[str]:
    """The entries of a look."""
    return [entry["text"] for entry in found["logs"][log]["entries"]]


def line(number: int, level: str = "error") -> str:
    """A line of an error log."""
    return f"2026/11/24 11:{number // 60:02}:{number % 60:02} [{level}] 3988#4001: entry {number}\r\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"logs-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        wsl = lab.new_host("wsl1", gateway=gateway)
        gateway.start_nginx()
        yield Site(lab, wsl, gateway, tmp_path_factory.mktemp("reports"))


def test_entries_come_whole_by_level_and_the_last_ones(site: Site) -> None:
    site.write("many.log", MANY)
    everything, bad, last = site.read(
        error_log("many.log"), {**error_log("many.log"), "level": "error"}, {**error_log("many.log"), "lines": 2}
    )

    entries = everything["logs"]["error"]["entries"]
    assert [entry["level"] for entry in entries] == ["notice", "error", "warn", "emerg"]
    assert entries[1]["text"].splitlines() == MANY.splitlines()[1:5]
    assert texts(bad) == [entries[1]["text"], entries[3]["text"]]
    assert texts(last) == [entries[2]["text"], entries[3]["text"]]
    assert (everything["changed"], everything["unread"], everything["gaps"]) == (False, [], [])
    # The time of the log is that of the host.
    shown = site.gateway.powershell("([DateTime]'2026-11-24T11:15:00').ToUniversalTime().ToString('s')").stdout.strip()
    assert entries[0]["time"] == f"{shown}Z"


def test_only_the_end_of_a_huge_log_is_read(site: Site) -> None:
    huge = site.logs / "huge.log"
    with huge.open("wb") as file:
        file.truncate(5 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + "".join(line(number) for number in range(3)).encode())
    try:
        began = time.monotonic()
        enough, all_of_them = site.read({**error_log("huge.log"), "lines": 2}, error_log("huge.log"))
        seconds = time.monotonic() - began
    finally:
        huge.unlink()

    assert [text[-1] for text in texts(enough)] == ["1", "2"]
    assert (enough["gaps"], enough["logs"]["error"]["size"]) == ([], (5 << 30) + 1 + 3 * len(line(0)))
    assert [text[-1] for text in texts(all_of_them)] == ["0", "1", "2"]
    assert "only the last 16 MiB" in all_of_them["gaps"][0]
    assert seconds < 60


def test_entries_since_a_time_reach_as_far_back_as_the_log_does(site: Site) -> None:
    # The clock of the host may be in another zone than that of the controller.
    zone = site.gateway.powershell("[DateTimeOffset]::Now.Offset.TotalMinutes").stdout.strip()
    now = datetime.now(UTC)
    local = now + timedelta(minutes=float(zone))
    old = "".join(
        f"{local - timedelta(hours=2):%Y/%m/%d %H:%M:%S} [error] 1#2: old {number} {'x' * 900}\r\n"
        for number in range(400)
    )
    new = "".join(
        f"{local - timedelta(minutes=10):%Y/%m/%d %H:%M:%S} [error] 1#2: new {number} {'x' * 900}\r\n"
        for number in range(400)
    )
    site.write("since.log", old + new)
    asked = {**error_log("since.log"), "lines": 1000}
    common = "".join(
        f'10.20.0.1 - - [{now - ago:%d/%b/%Y:%H:%M:%S} +0000] "GET /{name} HTTP/1.1" 200 3\r\n'
        for ago, name in ((timedelta(hours=2), "old"), (timedelta(minutes=10), "new"))
    )
    site.write("requests.log", common + "99/Xxx/2026:99:99:99 +0000 is no time\r\n")
    hour, ago, requests = site.read(
        {**asked, "since": "1h"},
        {**asked, "since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"},
        {"error_log": "", "access_log": r"logs\requests.log", "since": "1h"},
    )

    # More than the first part of the log that is looked through.
    assert len(new) > 262144
    assert len(texts(hour)) == 400
    assert all(" new " in text for text in texts(hour))
    assert texts(ago) == texts(hour)
    recent, timeless = texts(requests, "access")
    assert "GET /new " in recent
    assert timeless == "99/Xxx/2026:99:99:99 +0000 is no time"


def test_a_later_look_goes_on_and_loses_nothing_when_the_log_was_rotated(site: Site) -> None:
    log = site.logs / "going.log"
    site.write("going.log", line(0) + line(1) + line(2)[:30])
    (first,) = site.read(error_log("going.log"))
    assert [text[-1] for text in texts(first)] == ["0", "1"]

    with log.open("ab") as file:
        file.write((line(2)[30:] + "".join(map(line, range(3, 6)))).encode())
    after = {**error_log("going.log"), "after": first["next"]}
    some, rest = site.read({**after, "lines": 2}, after)
    assert [text[-1] for text in texts(some)] == ["2", "3"]
    assert (some["logs"]["error"]["more"], rest["logs"]["error"]["more"]) == (True, False)
    assert [text[-1] for text in texts(rest)] == ["2", "3", "4", "5"]

    log.rename(site.logs / "going.log.20261124T021500Z")
    site.write("going.log", line(6))
    step, whole = site.read(
        {**error_log("going.log"), "after": some["next"], "lines": 1}, {**error_log("going.log"), "after": some["next"]}
    )
    assert [text[-1] for text in texts(step)] == ["4"]
    assert [text[-1] for text in texts(whole)] == ["4", "5", "6"]
    assert (whole["gaps"], whole["logs"]["error"]["rotated"]) == ([], True)
    assert whole["logs"]["error"]["aside"] == [rf"{LOGS}\going.log.20261124T021500Z"]
    assert "it was rotated since the earlier look" in whole["msg"]

    (site.logs / "going.log.20261124T021500Z").unlink()
    on, none = site.read(
        {**error_log("going.log"), "after": step["next"]}, {**error_log("going.log"), "after": whole["next"]}
    )
    assert [text[-1] for text in texts(on)] == ["6"]
    assert "beside it none is the old one" in on["gaps"][0]
    assert (texts(none), none["gaps"], none["logs"]["error"]["rotated"]) == ([], [], False)


def test_a_log_that_was_empty_is_followed_past_its_rotation(site: Site) -> None:
    site.write("empty.log", "")
    (first,) = site.read(error_log("empty.log"))
    site.write("empty.log", line(1))
    (still,) = site.read({**error_log("empty.log"), "after": first["next"]})
    (site.logs / "empty.log").rename(site.logs / "empty.log.20261124T021500Z")
    site.write("empty.log", line(2))
    (then,) = site.read({**error_log("empty.log"), "after": first["next"]})

    assert ([text[-1] for text in texts(still)], still["logs"]["error"]["rotated"]) == (["1"], False)
    assert ([text[-1] for text in texts(then)], then["logs"]["error"]["rotated"]) == (["1", "2"], True)


def test_what_windows_says_in_its_own_code_page_can_be_read(site: Site) -> None:
    # The code page of the lab's Windows.
    site.write("words.log", line(0).encode() + "2026/11/24 11:15:00 [crit] 1#2: Accès refusé\r\n".encode("cp1252"))
    (found,) = site.read(error_log("words.log"))

    assert texts(found)[1].endswith("Accès refusé")


def test_a_log_that_cannot_be_read_is_named(site: Site) -> None:
    held = site.gateway.drive / "held"
    site.write("held.log", line(0))
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(site.gateway.powershell, HOLD, timeout=120)
        try:
            wait_until("The program that holds a log", held.exists, 60)
            missing, elsewhere, folder, locked = site.read(
                error_log("nowhere.log"),
                {"error_log": r"C:\nowhere\error.log"},
                {"error_log": "logs"},
                error_log("held.log"),
            )
        finally:
            held.unlink(missing_ok=True)
        assert holding.result().code == 0

    assert [look["logs"]["error"]["problem"] for look in (missing, elsewhere, folder, locked)] == [
        "missing",
        "missing",
        "denied",
        "locked",
    ]
    assert missing["unread"] == [
        rf"the error log was expected in {LOGS}\nowhere.log, and there is no such file: say where it is, or leave it out by an empty name"
    ]
    assert "another program keeps it to itself" in locked["unread"][0]
    assert "held.log" in locked["unread"][0]


def test_the_playbook_shows_what_the_site_has_logged(site: Site) -> None:
    # nginx has both open; it writes the times, and what was asked for.
    with DIRECT.open(f"{site.gateway.url('http')}/healthz", timeout=10):
        pass
    with (site.logs / "error.log").open("ab") as file:
        file.write(f"2099/11/24 11:15:00 [error] 1#2: {TEMPLATE} 日本語\r\n".encode())
    site.push(f"level=error msg={TEMPLATE!r}", "all is well")
    ended, report = site.play()

    assert report["verdict"] == "good", ended.output
    assert "changed=0" in ended.output.partition("PLAY RECAP")[2]
    steps = {host["host"]: host["steps"] for host in report["hosts"]}
    (gateway,) = steps["gateway1"]
    assert gateway["evidence"]["error"][-1].endswith(f"{TEMPLATE} 日本語")
    assert "GET /healthz" in gateway["evidence"]["access"][-1]
    assert gateway["numbers"] == {
        "error_entries": len(gateway["evidence"]["error"]),
        "access_entries": len(gateway["evidence"]["access"]),
    }
    (loki,) = steps["wsl1"]
    assert loki["numbers"] == {"lines": 1}
    assert TEMPLATE in loki["evidence"]["lines"][0]
    # What an operator sees, too.
    assert ended.output.count(TEMPLATE) == 2
    assert "日本語" in ended.output
    assert "4900140001" not in ended.output
    html = next(path for path in site.reports.glob(f"{report['run']}/report.html")).read_text("utf-8")
    assert TEMPLATE not in html
    assert "{{ 70001 * 70001 }}" in html

    place = re.search(r"-e '(\{.*\})' goes on from here", ended.output)
    assert place
    # As it is printed, so can it be typed.
    later, again = site.play(
        "--limit", "gateway", "--check", "--extra-vars", place[1], "--extra-vars", "flatnet_logs_level=debug"
    )
    assert [host["host"] for host in again["hosts"]] == ["gateway1"]
    assert TEMPLATE not in later.output


def test_the_playbook_of_one_group_needs_no_other(site: Site) -> None:
    _ended, report = site.play("--limit", "wsl", flatnet_logs_query='{job="gateway"}', flatnet_logs_limit=3)

    ((step,),) = [host["steps"] for host in report["hosts"]]
    assert (step["module"], step["numbers"]) == ("loki_query_info", {"lines": 3})
    assert "has 3 lines or more of the last 1h" in step["message"]


def test_a_log_that_is_missing_fails_the_playbook_by_name(site: Site) -> None:
    ended, report = site.play("--limit", "gateway", flatnet_logs_access_log=r"logs\nowhere.log")

    assert ended.code == 2
    assert rf"the access log was expected in {LOGS}\nowhere.log, and there is no such file" in report["message"]
    # The other one is shown all the same.
    assert rf"{LOGS}\error.log:".replace("\\", "\\\\") in ended.output


def test_a_loki_that_does_not_answer_fails_the_playbook_by_name(site: Site) -> None:
    ended, report = site.play("--limit", "wsl", flatnet_logs_url="http://127.0.0.1:9")

    assert ended.code == 2
    assert "Connection refused" in report["message"]
