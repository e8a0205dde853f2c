# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run some work in a process of its own, and kill that process at one effect."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects

WAIT_SECONDS = 30


@dataclass(frozen=True)
class Attempt:
    """How far a run came."""

    killed: bool
    failed: bool
    log: list[Effect]


def attempt(work: Callable[[Effects], None], kill_at: int | None = None) -> Attempt:
    """Do the work in a child, to its end or to an effect.

    Whatever the child has started, and what outlives it, has ended as well when this returns.

    :param kill_at: the number of the effect, from 1, at whose announcement the child kills itself
    """
    log = os.memfd_create("effects")
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(_work(work, kill_at, log))
    _child, status = os.waitpid(child, 0)
    until("the commands of a killed run", lambda: not _session(child))
    with open(log, "rb") as announced:
        announced.seek(0)
        effects = [Effect(**json.loads(line)) for line in announced]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return Attempt(killed, not killed and status != 0, effects)


def _work(work: Callable[[Effects], None], kill_at: int | None, log: int) -> int:
    seen = 0

    def watch(effect: Effect) -> None:
        nonlocal seen
        seen += 1
        os.write(log, json.dumps({"kind": effect.kind, "target": effect.target}).encode() + b"\n")
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        work(Effects(watch))
    # A forked child must not go on in its parent's code, whatever happens.
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _session(leader: int) -> list[int]:
    """The processes that still run in a session."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state != "Z":
            alive.append(int(path.parent.name))
    return alive


def until(what: str, done: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    give_up = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what} did not end within {WAIT_SECONDS} s")
        time.sleep(0.02)
