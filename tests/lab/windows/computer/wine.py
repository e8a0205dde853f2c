# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wine: its server, the processes that run under it, and where their files are."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SERVER = ("wineserver", "--foreground", "--persistent")
REUSE = "/usr/lib/flatnet-lab/reuse.so"
# Programs of ours that lie where Wine has its own: without "native" Wine runs its own all the same.
REPLACED = "netsh.exe,powershell.exe,pwsh.exe,route.exe,schtasks.exe,shutdown.exe,wsl.exe=n"
# .NET crashes under Wine when memory cannot be both writable and executable.
ENVIRONMENT = {
    "DOTNET_EnableWriteXorExecute": "0",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": f"mshtml=;{REPLACED}",
}
HOME = r"C:\users\operator"
SYSTEM = r"C:\windows\system32"


def windows_argv(line: str) -> list[str]:
    """Split a command line by the rules of CommandLineToArgvW."""
    words: list[str] = []
    word, quoted, begun, at = "", False, False, 0
    while at < len(line):
        character = line[at]
        if character == "\\":
            count = len(line[at:]) - len(line[at:].lstrip("\\"))
            at += count
            begun = True
            if line[at : at + 1] != '"':
                word += "\\" * count
                continue
            word += "\\" * (count // 2)
            if count % 2:
                word += '"'
                at += 1
            continue
        if character == '"':
            quoted, begun = not quoted, True
        elif character in " \t" and not quoted:
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
        at += 1
    return [*words, word] if begun else words


@dataclass
class Wine:
    """One Windows system: what `prefix` holds, while its server runs."""

    prefix: Path
    powershell: str
    variables: Mapping[str, str] = field(default_factory=dict)
    _server: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What every Windows process starts with."""
        own = {"WINEPREFIX": str(self.prefix), "FLATNET_POWERSHELL": self.powershell}
        return {**ENVIRONMENT, **own, **self.variables}

    def boot(self) -> None:
        """Start the server, and wait until Windows' own services run."""
        self._server = subprocess.Popen(SERVER, env={**self.environment, "LD_PRELOAD": REUSE}, stdin=subprocess.DEVNULL)
        self.start(["cmd.exe", "/c", "exit"]).wait()

    def shut_down(self) -> None:
        """End every Windows process and then the server, which writes the registry."""
        subprocess.run(["wineserver", "--kill"], env=self.environment, check=False)
        if self._server is not None:
            self._server.wait()
            self._server = None
        # What the server had not yet met, or what clings to life.
        end(self.processes("WINEPREFIX", str(self.prefix)))

    def start(
        self,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        directory: str = HOME,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        output: int | IO[bytes] = subprocess.DEVNULL,
        errors: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a Windows program, by its Windows path or by its name in system32, in a session of its own."""
        program, *arguments = argv
        # A name alone would be run by Wine's start.exe, whose end is not the program's.
        path = program if "\\" in program else f"{SYSTEM}\\{program}"
        return subprocess.Popen(
            ["wine", path, *arguments],
            env={**self.environment, **(variables or {})},
            cwd=self.path(directory) or self.prefix,
            stdin=stdin,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )

    def path(self, windows: str) -> Path | None:
        """Where a file of drive C: lies, whichever case its name is written in; None when it is not there."""
        drive, *parts = windows.strip().strip('"').replace("/", "\\").split("\\")
        if drive.casefold() != "c:":
            return None
        found = self.prefix / "drive_c"
        for part in filter(None, parts):
            exact = found / part
            if not exact.exists():
                names = os.listdir(found) if found.is_dir() else []
                same = [name for name in names if name.casefold() == part.casefold()]
                if not same:
                    return None
                exact = found / same[0]
            found = exact
        return found

    @staticmethod
    def processes(variable: str, value: str) -> list[int]:
        """Ids of the processes, of this container, in whose environment a variable has a value."""
        mark = f"{variable}={value}".encode()
        return [pid for pid, environment in environments() if mark in environment.split(b"\0")]


def named(program: str) -> list[int]:
    """The processes that run a Windows program, by the name of its file; the kernel keeps 15 bytes of it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip().casefold() == program[:15].casefold():
                found.append(int(entry.name))
        # It has ended meanwhile.
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]


def group(leader: int) -> list[int]:
    """The processes of a group: a program without a console of its own is in the group of the one that started it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
        # It has ended meanwhile.
        except OSError:
            continue
    return found


def environments() -> Iterator[tuple[int, bytes]]:
    """Every process with the environment that it was started with."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            # It has ended meanwhile.
            except OSError:
                continue
            yield int(entry.name), environment


def end(pids: Sequence[int], seconds: float = 10) -> None:
    """Kill processes, and wait until they are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
