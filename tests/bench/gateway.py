# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's tasks against `win_ping`, and its changes under load against the commands typed by hand."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.bench import Row
from tests.lab import Lab
from tests.lab.machine import LabError, wait_until
from tests.lab.play import ROOT, command
from tests.lab.windows.gateway import Gateway

FILES, ROUNDS = 50, 7
CLIENTS, EVERY = 4, 0.02
SETTLED = 1.0
PAGE = "/bench"
CONFIGURATION = "conf.d/gateway.conf"
PROBE = {"path": PAGE, "pattern": "^bench"}
INFO: dict[str, Any] = {"flatnet.ops.gateway_info": {}}
PING: dict[str, Any] = {"ansible.windows.win_ping": {}}
RELOAD = {"flatnet.ops.gateway": {"state": "reloaded"}}


def measure(lab: Lab, reports: Path) -> Iterator[Row]:
    """Every row, each side in turn."""
    reports.mkdir(parents=True)
    site = Site(lab.new_gateway("gateway1"), reports)
    site.begin()
    ping, info, unchanged = site.by_turns([PING, INFO, site.rollout()])
    yield Row("gateway-info", info, ping, 1.5)
    yield Row("gateway-config-unchanged", unchanged, ping, 1.5)

    with site.load() as ours:
        site.tasks([RELOAD])
    with site.load(ours) as by_hand:
        site.by_hand("-s", "reload")
    yield Row("gateway-reload-failed", ours.failed, by_hand.failed, 1)
    yield Row("gateway-reload-gap", ours.gap, by_hand.gap, 1.5)

    site.say("bench 2")
    with site.load() as ours:
        site.tasks([site.rollout()])
    site.say("bench 3")
    with site.load(ours) as by_hand:
        shutil.copytree(site.conf, site.live, dirs_exist_ok=True)
        site.by_hand("-t")
        site.by_hand("-s", "reload")
    yield Row("gateway-rollout-failed", ours.failed, by_hand.failed, 1)
    yield Row("gateway-rollout-gap", ours.gap, by_hand.gap, 1.5)

    site.say("broken", status=500)
    with site.load() as ours:
        site.tasks([site.rollout()], code=2)
    if not ours.failed:
        raise LabError("the bad configuration was expected to be in effect for a moment, and no request has met it")
    yield Row("gateway-return", ours.bad, None, 5)


@dataclass
class Seen:
    """What those who use the gateway have met: when a request has ended, and whether its answer was good."""

    answers: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first answer to the last."""
        times = [when for when, _good in self.answers]
        return max(times) - min(times)

    @property
    def failed(self) -> int:
        """How many requests came to nothing, or to another answer."""
        return sum(1 for _time, good in self.answers if not good)

    @property
    def gap(self) -> float:
        """The longest time between two good answers, in seconds."""
        good = sorted(when for when, good in self.answers if good)
        return max(later - earlier for earlier, later in pairwise(good))

    @property
    def bad(self) -> float:
        """The seconds from the first failure to the last."""
        failed = sorted(when for when, good in self.answers if not good)
        return failed[-1] - failed[0]


@dataclass(frozen=True)
class Site:
    """A gateway, and the controller's copy of its configuration."""

    gateway: Gateway
    reports: Path

    @property
    def live(self) -> Path:
        """The configuration in effect."""
        return self.gateway.drive / "openresty" / "conf"

    @property
    def conf(self) -> Path:
        """The controller's copy."""
        return self.reports / "conf"

    def begin(self) -> None:
        """Roll out many files, and have the gateway say who it is."""
        shutil.copytree(self.live, self.conf)
        self.say("bench 1")
        for number in range(FILES - sum(1 for path in self.conf.rglob("*") if path.is_file())):
            text = f"# Site {number}\nmap $host $site_{number} {{ default {number}; }}\n"
            (self.conf / "conf.d" / f"site{number:02}.conf").write_text(text)
        account = self.gateway.variables["flatnet_setup_gateway_account"]
        started = {"flatnet.ops.gateway": {"state": "restarted"}}
        self.tasks([{"flatnet.ops.gateway_tasks": {"account": account}}, started, self.rollout()])
        wait_until("The page that is asked for", lambda: self._ask() is True, 20)

    def say(self, text: str, status: int = 200) -> None:
        """Let the page of the next rollout say so."""
        path = self.conf / CONFIGURATION
        page = f'location = {PAGE} {{ return {status} "{text}\\n"; }}  # bench'
        lines = [line for line in path.read_text("utf-8").splitlines() if not line.endswith("# bench")]
        after = next(number for number, line in enumerate(lines) if "identity*.conf" in line)
        path.write_text("\n".join([*lines[: after + 1], f"    {page}", *lines[after + 1 :], ""]), "utf-8")

    def rollout(self) -> dict[str, Any]:
        """The task that rolls the copy out."""
        return {"flatnet.ops.gateway_config": {"src": str(self.conf), "probes": [{**PROBE, "seconds": 1}]}}

    def by_turns(self, tasks: list[dict[str, Any]]) -> list[float]:
        """The median seconds of each task, the first turn for warming up."""
        seconds = self.tasks(tasks * (ROUNDS + 1))[len(tasks) :]
        return [median(seconds[number :: len(tasks)]) for number in range(len(tasks))]

    def tasks(self, tasks: list[dict[str, Any]], code: int = 0) -> list[float]:
        """Run tasks in one playbook.

        :return: the seconds of each
        """
        book = self.reports / "book.yml"
        book.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}], sort_keys=False))
        environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        argv = command(self.gateway.lab, str(book), self.reports)
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != code:
            raise LabError(f"the tasks were expected to end with {code}: {done.stdout[-3000:]}{done.stderr[-1000:]}")
        (play,) = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"]
        return [elapsed(task["task"]["duration"]) for task in play["tasks"]]

    def by_hand(self, *arguments: str) -> None:
        """What somebody types who sits at the computer."""
        done = self.gateway.nginx(*arguments)
        if done.code:
            raise LabError(f"nginx {' '.join(arguments)} was expected to end with 0: {done.stderr}")

    @contextmanager
    def load(self, other: Seen | None = None) -> Iterator[Seen]:
        """Ask for the page all the time, and for a moment before and after.

        :param other: ask for as long as there: the longer, the longer the longest gap by chance alone
        """
        seen = Seen()
        over = threading.Event()

        def client(first: float) -> None:
            due = first
            while not over.is_set():
                time.sleep(max(0, due - time.monotonic()))
                due += EVERY
                good = self._ask()
                seen.answers.append((time.monotonic(), good))

        began = time.monotonic()
        clients = [
            threading.Thread(target=client, args=(began + number * EVERY / CLIENTS,)) for number in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        try:
            time.sleep(SETTLED)
            yield seen
            time.sleep(SETTLED)
            if other:
                time.sleep(max(0, began + other.seconds - time.monotonic()))
        finally:
            over.set()
            for each in clients:
                each.join()
        rate = len(seen.answers) / (time.monotonic() - began)
        if rate < 100:
            raise LabError(f"at least 100 requests a second were expected, and {rate:.0f} were made")

    def _ask(self) -> bool:
        """Whether the page is good."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port("http"), timeout=5)
        try:
            connection.request("GET", PAGE)
            answer = connection.getresponse()
            return answer.status == 200 and answer.read().startswith(b"bench")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def elapsed(duration: dict[str, str]) -> float:
    """The seconds of a task, as Ansible's callback has them."""
    began, ended = (datetime.fromisoformat(duration[name].rstrip("Z")) for name in ("start", "end"))
    return (ended - began).total_seconds()
