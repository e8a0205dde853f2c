# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The remote shells: what a client of WinRM starts, and what ends with its shell."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from .wine import Wine, end, group, windows_argv

MARK = "WINRM_SHELL_ID"
CHUNK = 96 * 1024
# A child that outlives a command may hold its pipes open: Windows reports the command as done all the same.
LINGER = 0.5
# What clients send to their commands is kept here, a file for each command, once somebody has made this folder.
RECORDED = Path("/lab/recorded")
POWERSHELL = re.compile(r"(?i)(.*\\)?(powershell|pwsh)(\.exe)?")


class TimedOut(Exception):
    """Nothing was printed, and nothing ended, in the time that the client gave."""


class PipeEnded(Exception):
    """The command reads no more."""


class Command:
    """One running command: its process, and what it has printed and nobody has received yet."""

    def __init__(self, wine: Wine, line: str, variables: Mapping[str, str], powershell: str) -> None:
        self.id = new_id()
        self._printed = {"stdout": bytearray(), "stderr": bytearray()}
        self._open = set(self._printed)
        self._ended: float | None = None
        self._changed = threading.Condition()
        self._process = wine.start(
            argv_of(line, powershell),
            variables=variables,
            stdin=subprocess.PIPE,
            output=subprocess.PIPE,
            errors=subprocess.PIPE,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin: IO[bytes] = self._process.stdin
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        for name, stream in streams.items():
            threading.Thread(target=self._collect, args=(name, stream), daemon=True).start()
        threading.Thread(target=self._wait, daemon=True).start()

    def _collect(self, name: str, stream: IO[bytes]) -> None:
        while data := os.read(stream.fileno(), 65536):
            with self._changed:
                self._printed[name] += data
                self._changed.notify_all()
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()

    def _wait(self) -> None:
        self._process.wait()
        with self._changed:
            self._ended = time.monotonic()
            self._changed.notify_all()

    @property
    def done(self) -> bool:
        """Whether the process has ended and its output is complete."""
        return self._ended is not None and (not self._open or time.monotonic() - self._ended > LINGER)

    def send(self, data: bytes, last: bool) -> None:
        """Write to its standard input."""
        if RECORDED.is_dir():
            with (RECORDED / self.id).open("ab") as kept:
                kept.write(data)
        try:
            self._stdin.write(data)
            self._stdin.flush()
            if last:
                self._stdin.close()
        # A closed file is a ValueError.
        except (BrokenPipeError, ValueError) as error:
            raise PipeEnded from error

    def receive(self, seconds: float) -> tuple[dict[str, bytes], int | None]:
        """What it has printed since, and its exit code once that was all.

        :raises TimedOut: nothing came in time
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (any(self._printed.values()) or self.done):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimedOut
                self._changed.wait(min(left, 1.0 if self._ended is None else LINGER / 4))
            taken = {}
            for name, printed in self._printed.items():
                taken[name] = bytes(printed[:CHUNK])
                del printed[:CHUNK]
            complete = self.done and not any(self._printed.values())
        return taken, self._process.returncode if complete else None

    def end(self) -> None:
        """End the process, and what shares its console."""
        if self._ended is None:
            end(group(self._process.pid))


class Shell:
    """One remote shell; every process that began in it ends with it, as in a job object of Windows."""

    def __init__(self, wine: Wine, variables: Mapping[str, str], powershell: str) -> None:
        self.id = new_id()
        self.commands: dict[str, Command] = {}
        self._wine, self._powershell = wine, powershell
        self._variables = {**variables, MARK: self.id}

    def run(self, line: str) -> Command:
        """Start a command line."""
        command = Command(self._wine, line, self._variables, self._powershell)
        self.commands[command.id] = command
        return command

    def close(self) -> None:
        """End everything that began in this shell."""
        while pids := self._wine.processes(MARK, self.id):
            end(pids)


class Shells:
    """The shells that are open."""

    def __init__(self, make: Callable[[Mapping[str, str]], Shell]) -> None:
        self._make = make
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()

    def open(self, variables: Mapping[str, str]) -> Shell:
        """Open a shell."""
        shell = self._make(variables)
        with self._lock:
            self._shells[shell.id] = shell
        return shell

    def find(self, shell_id: str) -> Shell | None:
        """The open shell of this name."""
        return self._shells.get(shell_id)

    def close(self, chosen: Callable[[Shell], bool]) -> None:
        """Close shells."""
        with self._lock:
            closed = [shell for shell in self._shells.values() if chosen(shell)]
            for shell in closed:
                del self._shells[shell.id]
        for shell in closed:
            shell.close()


def argv_of(line: str, powershell: str) -> list[str]:
    """The program that Windows would run for a command line: PowerShell at once, anything else by cmd.exe."""
    words = windows_argv(line)
    if words and POWERSHELL.fullmatch(words[0]):
        return [powershell, *words[1:]]
    return ["cmd.exe", "/c", line]


def new_id() -> str:
    """A name as WinRM gives it."""
    return str(uuid.uuid4()).upper()
