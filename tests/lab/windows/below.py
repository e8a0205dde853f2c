# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway seen from below its Windows: its processes as the machine has them, its ports from its own network."""

from __future__ import annotations

import ctypes
import http.client
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.windows.gateway import Gateway

WORK = "gateway-tests"
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Windows:
    """A Windows host."""

    gateway: Gateway
    address: str
    pid: int

    @property
    def work(self) -> Path:
        """The tests' own folder."""
        return self.gateway.drive / WORK

    def inside(self, port: int, path: str, name: str = "localhost") -> tuple[int, str]:
        """Ask a port of the host from the host itself; 0 if nobody answers."""

        def ask() -> tuple[int, str]:
            # For this thread alone.
            with self.space.open() as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return ask_http("127.0.0.1", port, path, name)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(ask).result()

    def processes(self, program: str) -> list[int]:
        """The processes of a Windows program, the oldest first, as the machine below Windows sees them."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or (entry / "cmdline").read_bytes().split(b"\0")[0] != program.encode():
                    continue
                # Other labs on this machine have their own.
                if (entry / "ns" / "net").stat().st_ino == self.space.stat().st_ino:
                    began = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
                    found.append((began, int(entry.name)))
            except OSError:
                continue
        return [pid for _began, pid in sorted(found)]

    @property
    def space(self) -> Path:
        """The host's network."""
        return Path(f"/proc/{self.pid}/ns/net")

    def outside(self, port: int, path: str) -> tuple[int, str]:
        """Ask a port of the host from another machine; 0 if nobody answers."""
        return ask_http(self.address, port, path, "localhost")


def ask_http(address: str, port: int, path: str, name: str) -> tuple[int, str]:
    """Status and body of an answer; 0 if nobody answers."""
    connection = http.client.HTTPConnection(address, port, timeout=3)
    try:
        connection.request("GET", path, headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def below(gateway: Gateway) -> Windows:
    """Look at a gateway that runs."""
    pid = int(gateway.lab.podman("inspect", "--format", "{{.State.Pid}}", gateway.name))
    return Windows(gateway, gateway.lab.address(gateway.name), pid)


@contextmanager
def unchangeable(path: Path) -> Iterator[None]:
    """Windows can neither rename a folder nor write into it."""
    subprocess.run(["chattr", "+i", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
