# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The computer: `python3 -m computer`, the first process of a gateway's container; /lab/computer.json says how it is."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .clock import Clock
from .control import Control, listen
from .distributions import Distributions
from .scheduler import Scheduler
from .server import Server, Unreachable
from .shells import POWERSHELL, Shell, Shells
from .wine import Wine, end, named

FOLDER = Path("/lab")
PORT = 5986
# What the stubs keep until the computer goes down.
VOLATILE = "drive_c/windows/temp/lab-volatile"
# The answer to a request has to leave before the network goes.
LEAVE = 0.2
Request = Mapping[str, Any]


class Computer:
    """Everything that a Windows computer is to its clients."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.wine = Wine(Path(settings["prefix"]), settings["powershell"])
        self.shell = settings["shell"]
        self.clock = Clock()
        self.unreachable = Unreachable()
        self.scheduler = Scheduler(self.wine, self.clock)
        self.control = Control(self.scheduler, Distributions(FOLDER / "wsl"), self.restart)
        listen(self.control)
        self.shells = shells = Shells(lambda variables: Shell(self.wine, variables, self.shell))
        credentials = f"{settings['user']}:{settings['password']}"
        self.server = Server(PORT, FOLDER / "certificate.pem", credentials, shells, self.lab, self.unreachable)

    def boot(self) -> None:
        """Start Windows, then what starts at boot."""
        shutil.rmtree(self.wine.prefix / VOLATILE, ignore_errors=True)
        self.wine.boot()
        self.scheduler.boot()

    def lab(self, what: str, asked: Request) -> Any:
        """Do what a test asks of the lab."""
        if what == "outage":
            self.unreachable.begin(asked["seconds"], max(asked.get("delay", 0.0), LEAVE))
        elif what == "reboot":
            self.unreachable.begin(math.inf, LEAVE)
            threading.Thread(target=self.reboot, args=(asked["seconds"],)).start()
        elif what == "time":
            self.clock.pass_time(asked["seconds"])
        elif what == "start":
            self.wine.start(asked["argv"], directory=asked["directory"])
        elif what == "processes":
            return len(named(asked["name"]))
        elif what == "end":
            end(named(asked["name"]))
        elif what == "run":
            return self.run(asked)
        else:
            return self.control.do(what, asked)
        return None

    def restart(self, seconds: float) -> None:
        """Reboot in so many seconds, as a program of Windows has asked."""
        threading.Timer(seconds, self.lab, ("reboot", {"seconds": 1.0})).start()

    def reboot(self, seconds: float) -> None:
        """Go down at once, and start again."""
        time.sleep(LEAVE)
        began = time.monotonic()
        self.scheduler.shut_down()
        self.wine.shut_down()
        self.shells.close(lambda _: True)
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        self.boot()
        self.unreachable.end()

    def run(self, asked: Request) -> dict[str, Any]:
        """Run a Windows program past WinRM; end it when it takes too long, or when a file has so many lines."""
        program, *arguments = asked["argv"]
        process = self.wine.start(
            [self.shell if POWERSHELL.fullmatch(program) else program, *arguments],
            variables=asked.get("variables"),
            stdin=subprocess.PIPE,
            output=subprocess.PIPE,
            errors=subprocess.PIPE,
        )
        ended = ""
        watched = asked.get("watch")

        def watch() -> None:
            nonlocal ended
            deadline = time.monotonic() + asked.get("timeout", 60.0)
            while process.poll() is None:
                if time.monotonic() > deadline:
                    ended = "timeout"
                elif watched and self.lines(watched["file"]) >= watched["lines"]:
                    ended = "watch"
                if ended:
                    end([process.pid])
                    return
                time.sleep(0.002)

        threading.Thread(target=watch, daemon=True).start()
        out, err = communicate(process, base64.b64decode(asked.get("stdin", "")))
        return {
            "code": process.returncode,
            "ended": ended,
            "stdout": base64.b64encode(out).decode(),
            "stderr": base64.b64encode(err).decode(),
        }

    def lines(self, windows: str) -> int:
        """How many lines a file has."""
        path = self.wine.path(windows)
        return path.read_bytes().count(b"\n") if path and path.is_file() else 0


def communicate(process: subprocess.Popen[bytes], data: bytes) -> tuple[bytes, bytes]:
    """The output of a process until it ends, even while what it has started holds its pipes."""
    collected: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    assert process.stdin and process.stdout and process.stderr
    streams = {"out": process.stdout.fileno(), "err": process.stderr.fileno()}

    def collect(name: str) -> None:
        while chunk := os.read(streams[name], 65536):
            collected[name].extend(chunk)

    threads = [threading.Thread(target=collect, args=(name,), daemon=True) for name in streams]
    for thread in threads:
        thread.start()
    try:
        process.stdin.write(data)
        process.stdin.close()
    # It has ended, or does not read.
    except BrokenPipeError:
        pass
    process.wait()
    for thread in threads:
        thread.join(0.5)
    return bytes(collected["out"]), bytes(collected["err"])


def serve() -> None:
    """Be the computer."""
    computer = Computer(json.loads((FOLDER / "computer.json").read_text("utf-8")))
    computer.boot()
    print("ready", flush=True)
    computer.server.serve_forever()


def main() -> None:
    """Be the first process of the container: collect what nobody else does, and end with the computer."""
    child = os.fork()
    if child == 0:
        serve()
        os._exit(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        pid, status = os.wait()
        if pid == child:
            print(f"the computer has ended with {os.waitstatus_to_exitcode(status)}", flush=True)
            sys.exit(1)


if __name__ == "__main__":
    main()
