# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway that faults are injected into: one that runs and says who it is, and an independent look at what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.world import Running, under_way
from tests.lab import Lab
from tests.lab.machine import wait_until
from tests.lab.play import Ended, command, play, run
from tests.lab.windows.below import ask_http, below

PAGE = "/fault"
OLD, NEW = "the old page", "the new page"
NGINX = r"C:\openresty\nginx.exe"
TASKS = ("flatnet-gateway", "flatnet-transaction")
CONFIGURATION = "conf.d/gateway.conf"
PROBE = {"path": PAGE, "pattern": "^the new page$", "seconds": 1}


@dataclass(frozen=True)
class Look:
    """What is seen from outside and from below Windows."""

    page: str
    processes: int
    generation: bool
    files: str
    left: tuple[str, ...]

    def __str__(self) -> str:
        proved = "the configuration in effect is the one that lies there" if self.generation else "nothing proves which"
        left = f"left behind: {', '.join(self.left)}" if self.left else "nothing is left behind"
        return f"{self.processes} processes of nginx serve {self.page}; {self.files}; {proved}; {left}"


class Computer:
    """One Windows host, made as new for every fault."""

    def __init__(self, lab: Lab, reports_to: Path) -> None:
        self.gateway = lab.new_gateway("gateway1")
        self._lab = lab
        self._reports = reports_to
        reports_to.mkdir(parents=True, exist_ok=True)
        self.windows = below(self.gateway)
        self._kept = reports_to / "kept"
        self.conf = reports_to / "conf"
        self._write(self.live / CONFIGURATION, OLD)
        play(lab, "setup", reports_to, "--limit", "gateway")
        shutil.copytree(self.live, self._kept, ignore=shutil.ignore_patterns("flatnet"))
        self._tasks = {name: self.task(name)["xml"] for name in TASKS}

    @property
    def live(self) -> Path:
        """The configuration that lies on the gateway."""
        return self.openresty / "conf"

    @property
    def openresty(self) -> Path:
        """Everything of the gateway."""
        return self.gateway.drive / "openresty"

    @property
    def transactions(self) -> Path:
        """Where plans and their journals lie."""
        return self.gateway.drive / "ProgramData" / "flatnet" / "transactions"

    def renew(self) -> None:
        """Undo whatever the last fault has done; the controller's copy has a new page."""
        for name, xml in self._tasks.items():
            self.gateway.lab_request("task-create", {"name": name, "xml": xml, "replace": True})
        self._forget_transactions()
        shutil.rmtree(self.openresty / "conf-trees", ignore_errors=True)
        same = self.files == "the old configuration lies there"
        if not same:
            for path in (path for path in self.live.iterdir() if path.name != "flatnet"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(self._kept, self.live, dirs_exist_ok=True)
        if not same or len(self.windows.processes(NGINX)) != 2 or not self._proved:
            self.gateway.end("nginx.exe")
            (self.openresty / "logs" / "nginx.pid").unlink(missing_ok=True)
            play(self._lab, "start", self._reports, "--limit", "gateway")
            # Whoever waits for a step must not find that of the start.
            self._forget_transactions()
        shutil.rmtree(self.conf, ignore_errors=True)
        shutil.copytree(self._kept, self.conf)
        self.edit(OLD, NEW)
        # What the operator rolls out is told from what lies there by this page alone.
        wait_until("The old page", lambda: self.look().page == f"'{OLD}'", 30)

    def _forget_transactions(self) -> None:
        for path in self.transactions.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    @property
    def _proved(self) -> bool:
        """Whether the gateway says that what lies there is in effect."""
        identity = self.live / "flatnet" / "identity.conf"
        said = self.windows.inside(80, "/.flatnet/whoami")[1].split()
        return identity.exists() and len(said) == 3 and said[2] in identity.read_text("utf-8")

    @property
    def files(self) -> str:
        """Which configuration lies there."""
        for words, tree in (("the old", self._kept), ("the new", self.conf)):
            if tree.exists() and content(tree) == content(self.live):
                return f"{words} configuration lies there"
        return "another configuration lies there"

    def edit(self, old: str, new: str) -> None:
        """Change the configuration that the operator is going to roll out."""
        path = self.conf / CONFIGURATION
        text = path.read_bytes()
        assert old.encode() in text, old
        path.write_bytes(text.replace(old.encode(), new.encode(), 1))

    def _write(self, path: Path, page: str) -> None:
        line = "    include flatnet/identity*.conf;\n"
        text = path.read_text("utf-8")
        assert line in text
        path.write_text(text.replace(line, f'{line}    location = {PAGE} {{ return 200 "{page}"; }}\n'), "utf-8")

    def task(self, name: str) -> dict[str, Any]:
        """A task, as the scheduler has it."""
        found: list[dict[str, Any]] = self.gateway.lab_request("tasks", {"name": name})
        return found[0]

    def play(self, playbook: str, **variables: object) -> Ended:
        """Run a playbook to its end."""
        return run(self._lab, playbook, self._reports, "--limit", "gateway", **variables)

    @property
    def rollout(self) -> dict[str, object]:
        """What a rollout is told."""
        return {"flatnet_gateway_conf": str(self.conf), "flatnet_gateway_probes": [PROBE]}

    def roll_out(self) -> Ended:
        """Roll out the controller's copy."""
        return self.play("gateway_config", **self.rollout)

    @contextmanager
    def rolling_out(self) -> Iterator[Running]:
        """Roll out the controller's copy; the playbook does not outlive the block."""
        argv = command(self._lab, "gateway_config", self._reports, "--limit", "gateway", **self.rollout)
        with under_way(argv) as running:
            yield running

    def wait_for_step(self, do: str) -> None:
        """Wait until a transaction has begun this step."""
        word = f'"do":"{do}"'.encode()
        wait_until(f"Step {do} of a transaction", lambda: any(word in text for text in self._journals()), 120)

    def wait_for_end(self) -> None:
        """Wait until every transaction has ended."""
        wait_until("The end of the transaction", lambda: all(b'"end"' in text for text in self._journals()), 120)

    def _journals(self) -> list[bytes]:
        return [path.read_bytes() for path in self.transactions.glob("*/journal")]

    def kill(self, which: Callable[[list[int]], list[int]]) -> None:
        """Processes of nginx die at once; the master is the first."""
        for pid in which(self.windows.processes(NGINX)):
            os.kill(pid, signal.SIGKILL)

    def look(self) -> Look:
        """Look without any code of ours."""
        status, text = ask_http("127.0.0.1", self.gateway.port("http"), PAGE, "localhost")
        page = "nothing" if not status else f"'{text}'" if status == 200 else f"status {status}"
        left = [f"unfinished {path.parent.name}" for path in self._unfinished()]
        left += [str(path.relative_to(self.gateway.drive)) for path in self.openresty.rglob("*.flatnet-new")]
        left += [f"task {name} is disabled" for name in TASKS if not self._enabled(name)]
        return Look(page, len(self.windows.processes(NGINX)), self._proved, self.files, tuple(left))

    def _unfinished(self) -> list[Path]:
        return [path for path in self.transactions.glob("*/journal") if b'"end"' not in path.read_bytes()]

    def _enabled(self, name: str) -> bool:
        found = self.gateway.lab_request("tasks", {"name": name})
        return bool(found and found[0]["enabled"])


def content(tree: Path) -> dict[str, bytes]:
    """The files of a configuration but for our own, with one kind of line ends."""
    files = [path for path in tree.rglob("*") if path.is_file() and path.relative_to(tree).parts[0] != "flatnet"]
    return {path.relative_to(tree).as_posix(): path.read_bytes().replace(b"\r\n", b"\n") for path in files}
