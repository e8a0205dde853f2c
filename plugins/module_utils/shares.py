# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on many things with every core: processes share them out, as Python's threads wait for each other."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import accumulate, groupby
from typing import Any, Callable, TypeVar

Thing = TypeVar("Thing")
Made = TypeVar("Made")

# Work that costs less than this is done before another process has begun; more is shared out in parts like this.
LITTLE = 1 << 24
# While one waits for the disk, another one computes.
PROCESSES_PER_CORE = 2
# To open a file takes as long as to read so many bytes of it.
OPENING = 1 << 14
# prctl(2)
PR_SET_PDEATHSIG = 1


def in_parallel(
    work: Callable[[Sequence[Thing]], Sequence[Made]], things: Sequence[Thing], costs: Sequence[int]
) -> list[Made]:
    """What a function makes of all things, one after the other, in processes that end with this one.

    :param work: what it changes in memory is lost, as it may run in another process
    :param costs: of each thing, in bytes that could be read meanwhile
    :raises OSError: as the function does, or a process that it ran in was ended
    """
    shares = _shares(things, costs)
    if len(shares) < 2:
        return [made for share in shares for made in work(share)]
    pool = ProcessPoolExecutor(
        min(len(shares), PROCESSES_PER_CORE * (os.cpu_count() or 1)),
        multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(work, os.getpid()),
    )
    try:
        return [made for share in pool.map(_work_on, shares) for made in share]
    except BrokenProcessPool as error:
        raise ChildProcessError("a process of ours has ended before its work was done") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _shares(things: Sequence[Thing], costs: Sequence[int]) -> list[Sequence[Thing]]:
    """The things in runs of like cost."""
    numbers = [upto // LITTLE for upto in accumulate(costs)]
    lengths = [len(list(run)) for _number, run in groupby(numbers)]
    ends = list(accumulate(lengths))
    return [things[end - length : end] for end, length in zip(ends, lengths)]


# What the processes of a pool do; each has got it when it was made.
_work: Callable[[Sequence[Any]], Sequence[Any]]


def _begin(work: Callable[[Sequence[Any]], Sequence[Any]], parent: int) -> None:
    """Let the kernel end this process together with its parent, also where that is killed."""
    global _work
    _work = work
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have heard of that too late.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _work_on(share: Sequence[Any]) -> Sequence[Any]:
    return _work(share)
