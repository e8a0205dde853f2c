# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_control import (
    TAKE_UP_SECONDS,
    NotCarriedOut,
    Transactions,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation, script
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Gateway, Plan, reload
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import Windows, WindowsUnreachable

pytestmark = pytest.mark.unit

RUNS = {"masters": [1], "workers": [2], "answer": "ours", "pid": 2, "version": "1.27.1", "generation": "new"}
INSTALLATION = Installation(r"C:\openresty", r"C:\flatnet", r"C:\openresty\nginx.exe", r"conf\nginx.conf")


class Host:
    """A host that answers one call after the other with what it was given, and a clock that each call moves."""

    def __init__(self, *answers: Mapping[str, Any] | str) -> None:
        self._answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []
        self.now = 0.0

    def __call__(self, _name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(arguments["parameters"])
        self.now += 10
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, str):
            raise WindowsUnreachable(answer)
        return {"result": {"deposited": True, "holder": "", **answer}}

    def transactions(self) -> Transactions:
        return Transactions(Windows("win1", self), INSTALLATION, lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def plans(self) -> list[bool]:
        """For each call, whether it brought a plan."""
        return [bool(each["Plan"]) for each in self.asked]


@pytest.fixture(name="plan")
def _plan() -> Plan:
    return reload(Gateway(), "new")


def journal(plan: Plan, *events: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer with the journal of a plan that has begun."""
    begun = {"event": "begin", "format": 1, "id": plan.id, "kind": plan.kind, "plan_sha256": plan.digest, "settled": []}
    lines = [{"n": number, "at": "20261124T021500.000Z", **event} for number, event in enumerate([begun, *events], 1)]
    return {"journal": "".join(json.dumps(line) + "\n" for line in lines), "holder": "" if events else plan.id}


def ended(plan: Plan, outcome: str, why: str = "") -> Mapping[str, Any]:
    return journal(plan, {"event": "end", "outcome": outcome, "why": why, "gap_ms": 7, "gateway": RUNS})


def test_a_plan_is_deposited_once_and_followed_to_its_end(plan: Plan) -> None:
    host = Host(journal(plan), journal(plan), ended(plan, "done"))

    state = host.transactions().carry_out(plan)

    assert (state.good, state.gap_ms) == (True, 7)
    assert host.plans == [True, False, False]
    assert host.asked[0]["Root"] == r"C:\flatnet\transactions"
    assert host.asked[0]["Plan"].encode() == plan.dump()
    assert [each["Act"] for each in host.asked] == [script("act"), "", ""]


def test_a_cut_connection_is_taken_up_without_a_second_plan(plan: Plan) -> None:
    host = Host("cut", "still cut", journal(plan), ended(plan, "done"))

    assert host.transactions().carry_out(plan).good
    assert host.plans == [True, False, False, False]


def test_a_plan_that_never_reached_the_host_changed_nothing(plan: Plan) -> None:
    host = Host("cut", {"deposited": False, "journal": ""})

    with pytest.raises(NotCarriedOut, match="the connection was cut before it did: run again; nothing was changed"):
        host.transactions().carry_out(plan)


def test_a_host_that_stays_away_is_given_up_by_name(plan: Plan) -> None:
    host = Host(journal(plan), "no route to host")

    with pytest.raises(NotCarriedOut, match=rf"reload {plan.id} goes on by itself on the host.*no route to host"):
        host.transactions().carry_out(plan)

    assert plan.patience <= host.now < plan.patience + 30


def test_what_was_undone_is_a_failure_with_its_reason(plan: Plan) -> None:
    with pytest.raises(NotCarriedOut, match=r"was undone, and all is as before .*: nginx refused it"):
        Host(ended(plan, "undone", "nginx refused it")).transactions().carry_out(plan)


def test_what_was_cut_is_taken_up_once_and_followed_to_its_end(plan: Plan) -> None:
    host = Host(journal(plan), journal(plan), ended(plan, "undone", "its time was over"))

    state = host.transactions().take_up(plan.id)

    assert "was undone" in state.sentence
    assert [(each["Id"], each["TakeUp"]) for each in host.asked] == [
        (plan.id, True),
        (plan.id, False),
        (plan.id, False),
    ]


def test_what_was_cut_and_does_not_end_is_given_up_by_name(plan: Plan) -> None:
    host = Host(journal(plan))

    with pytest.raises(NotCarriedOut, match=rf"{plan.id} is under way.*act.log"):
        host.transactions().take_up(plan.id)

    assert TAKE_UP_SECONDS <= host.now < TAKE_UP_SECONDS + 30


def test_a_plan_that_nobody_begins_is_not_waited_for(plan: Plan) -> None:
    host = Host({"journal": ""})

    with pytest.raises(
        NotCarriedOut, match="has not begun, and changed nothing: task flatnet-transaction has yet to run it"
    ):
        host.transactions().carry_out(plan)

    assert plan.begin_within < host.now < plan.patience
