# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateways to try transactions on: several in one Windows, each with its own nginx, port, task and folder of transactions."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan, Probe, State

from tests.lab import Lab
from tests.lab.windows.below import WORK, Windows, below
from tests.lab.windows.gateway import POWERSHELL, Gateway
from tests.lab.windows.image import VERSION

HERE = Path(__file__).parent
CONFIGURATION = """worker_processes  1;
error_log  logs/error.log  info;
pid        logs/nginx.pid;
events {{
    worker_connections  128;
}}
http {{
    access_log  off;
    server {{
        listen  {port};
        include  flatnet/identity.conf;
        location / {{
            return  {status}  "{body}\\n";
        }}
    }}
}}
"""


@contextmanager
def windows(name: str) -> Iterator[Windows]:
    """A Windows host that is gone afterwards."""
    with Lab(f"{name}-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        host = below(gateway)
        host.work.mkdir()
        shutil.copy(HERE / "cut.ps1", host.work)
        shutil.copy(transaction.ACT, host.work)
        yield host


class Runner:
    """A PowerShell that runs act.ps1 as often as it is asked to: most runs need no process of their own."""

    def __init__(self, host: Windows, number: int) -> None:
        self._host = host
        self._folder = host.work / f"runner{number}"
        self._folder.mkdir()
        windows = f"C:\\{WORK}"
        arguments = ["-Act", f"{windows}\\act.ps1", "-Serve", f"{windows}\\{self._folder.name}"]
        self._thread = threading.Thread(target=self._run, args=(arguments,))
        self._thread.start()

    def _run(self, arguments: list[str]) -> None:
        self._host.gateway.run(powershell(f"C:\\{WORK}\\cut.ps1", *arguments), timeout=900)

    def ask(self, what: str, where: str) -> str:
        """Have it done, and wait for the answer."""
        answered = self._folder / "answered"
        beside = self._folder / "asking"
        beside.write_text(f"{what}|{where}")
        beside.rename(self._folder / "asked")
        deadline = time.monotonic() + 120
        while not answered.exists():
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"the runner was expected to {what} {where}, and did not answer")
            time.sleep(0.01)
        answer = answered.read_text()
        answered.unlink()
        assert not answer.startswith("error"), answer
        return answer

    def end(self) -> None:
        """It is not needed any more."""
        (self._folder / "stop").touch()
        self._thread.join()


def powershell(script: str, *arguments: str) -> list[str]:
    """The command line of a script."""
    return [POWERSHELL, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", script, *arguments]


class Site:
    """One gateway: `C:\\NAME` with nginx.exe, its configuration, its task, and the transactions on it."""

    def __init__(self, host: Windows, name: str, port: int, runner: Runner) -> None:
        self.host, self.name, self.port, self.runner = host, name, port, runner
        self.path = host.gateway.drive / name
        self.windows = f"C:\\{name}"
        self.transactions = self.path / "transactions"
        self.conf = self.path / "conf"
        self.reset()

    def reset(self) -> None:
        """As it was at first: nothing runs, nothing was ever asked for."""
        self.kill(*self.processes())
        # Wine sometimes keeps the listening socket of a process that was killed from below it.
        self.port += 10
        if self.path.exists():
            shutil.rmtree(self.path)
        for part in ("conf/flatnet", "logs", "temp", "transactions"):
            (self.path / part).mkdir(parents=True)
        shutil.copy(self.host.gateway.lab.windows_image.nginx(VERSION), self.path / "nginx.exe")
        (self.conf / "nginx.conf").write_text(self.text("first"))
        self.identify("g0")
        self.schedule(enabled=False)

    @property
    def gateway(self) -> transaction.Gateway:
        """As a plan names it."""
        log = f"{self.windows}\\logs\\error.log"
        program = f"{self.windows}\\nginx.exe"
        return transaction.Gateway(prefix=self.windows, program=program, error_log=log, task=self.name, port=self.port)

    def kill(self, *pids: int) -> None:
        """Processes of it die at once."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert within(5, lambda: not set(pids) & set(self.processes()))

    def run_by_hand(self) -> None:
        """Somebody starts nginx without the task."""
        enabled = self.enabled
        count = len(self.processes())
        self.schedule(enabled=True)
        self.runner.ask("start", self.windows)
        self.schedule(enabled=enabled)
        assert within(10, lambda: len(self.processes()) == count + 2 and bool(self.generation()))

    def text(self, body: str, status: int = 200) -> str:
        """A configuration whose page says so."""
        return CONFIGURATION.format(port=self.port, body=body, status=status)

    def identify(self, generation: str) -> None:
        """What a rollout has written there."""
        (self.conf / "flatnet" / "identity.conf").write_text(transaction.identity(generation).text)

    def schedule(self, *, enabled: bool) -> None:
        """Register the gateway's task."""
        self.unschedule()
        line = f"{self.windows}\\nginx.exe|-p {self.windows} -c conf\\nginx.conf"
        (self.path / ("task.on" if enabled else "task.off")).write_text(line)

    def unschedule(self) -> None:
        """Somebody deletes the task."""
        for state in ("on", "off"):
            (self.path / f"task.{state}").unlink(missing_ok=True)

    @property
    def enabled(self) -> bool:
        """Whether the task would start the gateway."""
        return (self.path / "task.on").exists()

    def stage(self, text: str) -> str:
        """Put the tree of a rollout where it belongs.

        :return: the rollout's name
        """
        name = transaction.new_id("rollout")
        staged = self.path / "conf-trees" / name / "new"
        staged.mkdir(parents=True)
        (staged / "nginx.conf").write_text(text)
        return name

    def rollout(self, body: str, generation: str, pattern: str = "", status: int = 200, **options: float) -> Plan:
        """A plan with its tree: a page that says so, and a probe that looks at it."""
        name = self.stage(self.text(body, status))
        probe = Probe("/", pattern=pattern or f"^{body}$", seconds=0.3)
        seconds = int(options.get("seconds", 120))
        return transaction.rollout(self.gateway, name, generation, [probe], seconds=seconds, hold=0.1)

    def put(self, plan: Plan) -> Path:
        """Deposit a plan.

        :return: its folder
        """
        folder = self.transactions / plan.id
        folder.mkdir()
        beside = folder / "plan.json.flatnet-new"
        beside.write_bytes(plan.dump())
        beside.rename(folder / "plan.json")
        return folder

    def cut(self, at: int, when: str) -> bool:
        """Run act.ps1 and kill it.

        :return: whether it came to that line
        """
        arguments = ["-Act", f"C:\\{WORK}\\act.ps1", "-Site", self.windows, "-At", str(at), "-When", when]
        return self.host.gateway.run(powershell(f"C:\\{WORK}\\cut.ps1", *arguments), timeout=120).code not in (0, 1, 3)

    def boot(self) -> int:
        """Run act.ps1 as the task does; what it ended with."""
        return int(self.runner.ask("act", self.windows).split()[-1])

    def state(self, plan: Plan) -> State:
        """How a plan stands, as the controller judges it."""
        return transaction.judge(plan.id, self.journal(plan), "", plan)

    def journal(self, plan: Plan) -> bytes:
        """A plan's journal."""
        path = self.transactions / plan.id / "journal"
        return path.read_bytes() if path.exists() else b""

    def do(self, plan: Plan) -> State:
        """Deposit a plan and have it carried out."""
        self.put(plan)
        self.boot()
        return self.state(plan)

    def started(self) -> State:
        """Carry out the plan that starts it."""
        return self.do(transaction.start(self.gateway, hold=0.1))

    def stopped(self) -> State:
        """Carry out the plan that stops it."""
        return self.do(transaction.stop(self.gateway, quit_seconds=2))

    def answers(self) -> str:
        """What the page says; nothing if nobody answers."""
        status, body = self.host.outside(self.port, "/")
        return body.strip() if status else ""

    def generation(self) -> str:
        """Which configuration is in effect, as the gateway itself says; nothing if it does not run."""
        found = re.fullmatch(r"\d+ \S+ (\S+)\s*", self.host.inside(self.port, transaction.WHOAMI)[1])
        return found[1] if found else ""

    def processes(self) -> list[int]:
        """The processes of its nginx.exe, the master first."""
        return self.host.processes(f"{self.windows}\\nginx.exe")

    def whole(self) -> list[str]:
        """What is not as it must be, whichever configuration is in effect."""
        wrong = []
        for name in ("nginx.conf", "flatnet/identity.conf"):
            if not (self.conf / name).is_file():
                wrong.append(f"{name} is missing")
        left = [str(path.relative_to(self.path)) for path in self.path.rglob("*.flatnet-new")]
        return wrong + [f"{path} is left" for path in left]


@contextmanager
def sites(name: str, count: int) -> Iterator[list[Site]]:
    """Gateways in one Windows; none of them runs."""
    with windows(name) as host, ThreadPoolExecutor(count) as pool:
        runners = list(pool.map(lambda number: Runner(host, number), range(count)))
        try:
            yield [
                Site(host, f"site{number}-{os.getpid()}", 8081 + number, runner)
                for number, runner in enumerate(runners)
            ]
        finally:
            for runner in runners:
                runner.end()


@contextmanager
def hurried(gateway: Gateway) -> Iterator[None]:
    """Meanwhile the scheduler's minute is over as soon as the gateway is gone."""
    done = threading.Event()

    def hurry() -> None:
        while not done.wait(2):
            # A computer that is down is nobody to ask.
            with suppress(OSError):
                if not gateway.processes("nginx.exe"):
                    gateway.pass_time(60)

    with ThreadPoolExecutor(1) as pool:
        hurrying = pool.submit(hurry)
        try:
            yield
        finally:
            done.set()
        hurrying.result()


def within(seconds: float, met: Callable[[], bool]) -> bool:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
