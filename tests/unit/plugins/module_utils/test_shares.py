# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work is shared out to processes, and nothing of it is lost: no thing, no error, no process that ended early."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.shares import LITTLE, in_parallel

from tests.unit.plugins.module_utils.conftest import until

pytestmark = pytest.mark.unit

THINGS = range(7)


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many processes on any machine."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)


def with_process(share: Sequence[int]) -> list[tuple[int, int]]:
    """Each thing with the process that had it."""
    return [(thing, os.getpid()) for thing in share]


@pytest.mark.parametrize("costs", [[LITTLE] * 7, [1, 1, 1, 1, 1, 1, LITTLE], [LITTLE, *range(6)], [0] * 7])
def test_every_thing_is_worked_on_once_and_keeps_its_place(costs: list[int]) -> None:
    made = in_parallel(with_process, THINGS, costs)

    assert [thing for thing, _process in made] == list(THINGS)


def test_each_core_has_two_processes() -> None:
    def together(share: Sequence[int]) -> list[tuple[int, int]]:
        met.wait(30)
        return with_process(share)

    met = multiprocessing.get_context("fork").Barrier(2 * 3)
    processes = {process for _thing, process in in_parallel(together, range(6), [LITTLE] * 6)}

    assert len(processes) == 6
    assert os.getpid() not in processes


def test_little_is_done_without_another_process() -> None:
    assert {process for _thing, process in in_parallel(with_process, THINGS, [1] * 7)} == {os.getpid()}
    assert in_parallel(with_process, [], []) == []


def test_the_error_of_another_process_is_ours() -> None:
    def refuse(share: Sequence[int]) -> list[int]:
        if 6 in share:
            raise FileNotFoundError(2, "No such file or directory", "six")
        return list(share)

    with pytest.raises(FileNotFoundError, match="six"):
        in_parallel(refuse, THINGS, [LITTLE] * 7)


def test_a_process_that_was_ended_is_no_result() -> None:
    def end(share: Sequence[int]) -> list[int]:
        if 6 in share:
            os.kill(os.getpid(), signal.SIGKILL)
        return list(share)

    with pytest.raises(ChildProcessError, match="ended before its work was done"):
        in_parallel(end, THINGS, [LITTLE] * 7)


# Each process says which one it is, and then works for longer than anybody waits.
ENDLESS = """
import os
import time
from ansible_collections.flatnet.ops.plugins.module_utils.shares import LITTLE, in_parallel

def work(share):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(600)
    return share

os.cpu_count = lambda: 2
in_parallel(work, range(2), [LITTLE] * 2)
"""


def command_of(process: int) -> bytes:
    """The command line of a process; nothing when it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_nobody_works_on_for_a_run_that_was_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, "-c", ENDLESS], env=environment, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run.stdout as said:
        workers = [int(said.readline()), int(said.readline())]
        run.kill()
        run.wait()

    until(lambda: not any(map(command_of, workers)))
