# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stubs ask the computer: one JSON object a connection on loopback, and one in answer."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .distributions import Distributions
from .scheduler import Refusal, Scheduler

# Below the ports that the kernel hands out, so that no connection of a program has it.
PORT = 19100
Request = Mapping[str, Any]


class Control:
    """The requests, by name."""

    def __init__(self, scheduler: Scheduler, distributions: Distributions, restart: Callable[[float], None]) -> None:
        """:param restart: has the computer restart after so many seconds"""
        self._scheduler, self._distributions = scheduler, distributions
        self._does: dict[str, Callable[[Request], Any]] = {
            "restart": lambda asked: restart(asked["seconds"]),
            "task-create": lambda asked: scheduler.create(asked["name"], asked["xml"], asked["replace"]),
            "task-delete": lambda asked: scheduler.delete(asked["name"]),
            "task-enable": lambda asked: scheduler.enable(asked["name"], asked["enabled"]),
            "task-end": lambda asked: scheduler.stop(asked["name"]),
            "task-run": lambda asked: scheduler.run(asked["name"]),
            "tasks": lambda asked: scheduler.describe(asked.get("name")),
            "wsl-list": lambda _: distributions.listed(),
            "wsl-run": self._wsl,
        }

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what is asked."""
        asked: Request = json.loads(line)
        try:
            return {"answer": self.do(asked["do"], asked)}
        except Refusal as refusal:
            return {"refusal": str(refusal)}

    def do(self, what: str, asked: Request) -> Any:
        """Do one thing.

        :raises KeyError: there is no such thing
        :raises Refusal: it cannot be done
        """
        return self._does[what](asked)

    def _wsl(self, asked: Request) -> dict[str, Any]:
        done = self._distributions.run(asked["distribution"], asked["user"], asked["argv"])
        return {
            "code": done.returncode,
            "stdout": base64.b64encode(done.stdout).decode(),
            "stderr": base64.b64encode(done.stderr).decode(),
        }


def listen(control: Control) -> None:
    """Answer on loopback, in a thread of its own."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline()
            if line:
                self.wfile.write(json.dumps(control.answer(line)).encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", PORT), Handler, bind_and_activate=False)
    server.allow_reuse_address = True
    server.daemon_threads = True
    server.server_bind()
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
