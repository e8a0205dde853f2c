# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine that carries the lab: what it must have, where things lie on it, and how they are removed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("FLATNET_OPS_CACHE") or "~/.cache/flatnet-ops").expanduser().absolute()
LABS = CACHE / "labs"
RUNS = Path("/run/flatnet-lab")
RUN = RUNS / hashlib.sha256(bytes(CACHE)).hexdigest()[:6]

PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "iptables": "iptables",
    "setfacl": "acl",
}


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""


def require_programs() -> None:
    """Refuse at once, by name, what the lab cannot do without."""
    if os.geteuid() != 0:
        raise LabError("The lab makes containers and networks and needs root: run it as root, for example with sudo.")
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if missing:
        raise LabError(f"Packages are missing: apt-get install --no-install-recommends {' '.join(missing)}")


def call(*argv: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed; a LabError carries the last lines of a command that failed."""
    words = [str(word) for word in argv]
    variables = {**os.environ, **(environment or {})}
    result = subprocess.run(
        words,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        last = "\n".join((result.stdout + result.stderr).splitlines()[-5:])
        raise LabError(f"`{shlex.join(words)}` ended with {result.returncode}: {last}")
    return result.stdout.strip()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what takes its time, and how long it took."""
    print(f"lab: {what} ... ", end="", file=sys.stderr, flush=True)
    start = time.monotonic()
    outcome = "not finished after "
    try:
        yield
        outcome = ""
    finally:
        print(f"{outcome}{time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def try_lock(path: Path) -> int | None:
    """Take the lock until this process ends or closes the descriptor; None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock, waiting for whoever has it."""
    descriptor = try_lock(path)
    if descriptor is None:
        with step(f"wait for the process that holds {path}"):
            descriptor = os.open(path, os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def wait_until(what: str, done: Callable[[], bool], seconds: float) -> None:
    """Ask again and again, with short rests, until it is done; a LabError names what did not happen in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not happen within {seconds:.0f} s.")
        time.sleep(0.05)


def free_port() -> int:
    """A port on loopback that nobody has at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    """Whether anything listens at the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionError:
        return False
    return True


def mounts_below(directory: Path) -> list[str]:
    """The mount points below a directory, deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if Path(point).is_relative_to(directory)), key=len, reverse=True)


def remove_tree(directory: Path) -> None:
    """Remove a directory and whatever is still mounted below it."""
    for point in mounts_below(directory):
        call("umount", "--lazy", point)
    if directory.exists():
        shutil.rmtree(directory)
