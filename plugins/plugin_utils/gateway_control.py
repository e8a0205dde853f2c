# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have a plan carried out on a gateway's host, through a connection that may be cut at any moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import (
    TRANSACTION_TASK,
    Installation,
    script,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import (
    REFUSED,
    RUNNING,
    UNDO_SECONDS,
    WAITING,
    Plan,
    State,
    judge,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import Windows, WindowsError, WindowsUnreachable

# How long one call waits on the host for the end of a transaction, in seconds; WinRM itself gives up much later.
CALL_SECONDS = 15
# After how many seconds a host that could not be reached is asked again.
ASK_AGAIN = 3
# How long a transaction that was cut is waited for, whose plan nobody here knows.
TAKE_UP_SECONDS = 120 + UNDO_SECONDS


class NotCarriedOut(WindowsError):
    """A transaction did not do what was asked; the message says what it did."""

    def __init__(self, message: str, verdict: str = RUNNING) -> None:
        """
        :param verdict: how it stands, as far as anybody knows
        """
        super().__init__(message)
        self.verdict = verdict


class Transactions:
    """The transactions of one gateway."""

    def __init__(
        self,
        windows: Windows,
        installation: Installation,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._windows = windows
        self._installation = installation
        self._clock = clock
        self._wait = wait

    def carry_out(self, plan: Plan) -> State:
        """Deposit a plan, have it run, and follow it to its end, over as many connections as that takes.

        :raises NotCarriedOut: it was refused, undone or stranded, or its end is not known
        """
        began = self._clock()
        deadline = began + plan.patience
        try:
            answer = self._transact(plan.id, plan.dump().decode("ascii"))
        except WindowsUnreachable:
            # It may have come to the host before the connection was cut: whoever looks finds out.
            answer = self._follow(plan, deadline)
        self._check_deposited(plan, answer)
        state = self._judge(plan, answer)
        while not state.ended and self._clock() < deadline:
            # A plan that has waited for so long is refused by whoever finds it.
            if state.verdict == WAITING and self._clock() > began + plan.begin_within:
                break
            state = self._judge(plan, self._follow(plan, deadline))
        if not state.good:
            raise NotCarriedOut(state.sentence, state.verdict)
        return state

    def _follow(self, plan: Plan, deadline: float) -> Mapping[str, Any]:
        """Look at a plan that was deposited, as soon as the host can be reached."""
        while True:
            try:
                return self._transact(plan.id)
            except WindowsUnreachable as error:
                if self._clock() >= deadline:
                    raise NotCarriedOut(
                        f"the {plan.kind} {plan.id} goes on by itself on the host, to its end or back, and could not be followed"
                        f" there: {error}; flatnet.ops.status says how it ended"
                    ) from error
                self._wait(ASK_AGAIN)

    def take_up(self, id: str) -> State:
        """Have a transaction that was cut taken up or undone, and follow it to its end.

        :raises NotCarriedOut: it has no end
        """
        deadline = self._clock() + TAKE_UP_SECONDS
        answer = self._transact(id, take_up=True)
        while not (state := judge(id, answer["journal"].encode(), answer["holder"])).ended:
            if self._clock() >= deadline:
                raise NotCarriedOut(
                    f"{state.sentence}; its end was waited for, {TAKE_UP_SECONDS} s, and did not come: look at"
                    rf" {self._installation.transactions}\act.log and at the history of the task"
                )
            answer = self._transact(id)
        return state

    def _transact(self, id: str, plan: str = "", *, take_up: bool = False) -> Mapping[str, Any]:
        return self._windows.run(
            "transaction",
            Root=self._installation.transactions,
            Id=id,
            Task=TRANSACTION_TASK,
            Plan=plan,
            Act=script("act") if plan else "",
            TakeUp=take_up,
            Wait=CALL_SECONDS,
        )

    def _check_deposited(self, plan: Plan, answer: Mapping[str, Any]) -> None:
        if not answer["deposited"]:
            raise NotCarriedOut(
                f"the plan of the {plan.kind} was expected to reach the host, and the connection was cut before it did: run again;"
                " nothing was changed",
                REFUSED,
            )

    def _judge(self, plan: Plan, answer: Mapping[str, Any]) -> State:
        return judge(plan.id, answer["journal"].encode("utf-8"), answer["holder"], plan)
