# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on many things with every core: a process for each, as Python's threads wait for each other."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Callable, TypeVar

Thing = TypeVar("Thing")
Made = TypeVar("Made")

# Work that costs less than this is done before another process has begun.
LITTLE = 1 << 24
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
    first, *others = _shares(things, costs)
    context = multiprocessing.get_context("fork")
    begun = []
    try:
        for share in others:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(sender, work, share, os.getpid()))
            process.start()
            sender.close()
            begun.append((process, receiver))
        made = list(work(first))
        for _process, receiver in begun:
            made.extend(_received(receiver))
    finally:
        for process, receiver in begun:
            receiver.close()
            process.kill()
            process.join()
    return made


def _shares(things: Sequence[Thing], costs: Sequence[int]) -> list[Sequence[Thing]]:
    """The things in as many runs of like cost as there are cores."""
    upto = list(accumulate(costs))
    whole = upto[-1] if upto else 0
    count = os.cpu_count() or 1 if whole > LITTLE else 1
    cuts = [0, *(bisect_left(upto, whole * number // count) for number in range(1, count)), len(things)]
    return [things[begin:end] for begin, end in zip(cuts, cuts[1:])]


def _send(
    sender: Connection, work: Callable[[Sequence[Thing]], Sequence[Made]], share: Sequence[Thing], parent: int
) -> None:
    _end_with(parent)
    try:
        sender.send(work(share))
    except OSError as error:
        sender.send(error)


def _end_with(parent: int) -> None:
    """Let the kernel end this process together with its parent, also where that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have heard of that too late.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _received(receiver: Connection) -> Sequence[Made]:
    try:
        made: Sequence[Made] | OSError = receiver.recv()
    except EOFError as error:
        raise ChildProcessError("a process of ours has ended before its work was done") from error
    if isinstance(made, OSError):
        raise made
    return made
