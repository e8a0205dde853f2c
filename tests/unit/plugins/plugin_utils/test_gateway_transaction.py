# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan asks for, and what a journal says: without a host."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Gateway, Plan, State, judge

pytestmark = pytest.mark.unit

GATEWAY = Gateway()
NOW = datetime(2026, 11, 29, 0, 11, 22, tzinfo=UTC)
RUNS = {
    "masters": [7],
    "workers": [9],
    "answer": "ours",
    "pid": 9,
    "version": "1.27.1",
    "generation": "g2",
}
STOPPED = {"masters": [], "workers": [], "answer": "silent", "pid": 0, "version": "", "generation": ""}


def every_plan() -> list[Plan]:
    name = transaction.new_id("rollout", NOW)
    return [
        transaction.start(GATEWAY),
        transaction.stop(GATEWAY),
        transaction.reload(GATEWAY, "g2"),
        transaction.restart(GATEWAY, "g2"),
        transaction.rollout(GATEWAY, name, "g2"),
    ]


def journal(plan: Plan, *more: dict[str, Any]) -> bytes:
    """A journal that begins a plan and goes on with these entries."""
    begin = {"event": "begin", "format": 1, "id": plan.id, "kind": plan.kind, "pid": 5, "plan_sha256": plan.digest}
    lines = [{"n": number, "at": "20261129T001123.000Z", **entry} for number, entry in enumerate((begin, *more), 1)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def step(number: int, do: str) -> dict[str, Any]:
    return {"event": "step", "step": number, "do": do, "before": {}}


def end(outcome: str, why: str = "", gap: int | None = None, gateway: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"event": "end", "outcome": outcome, "why": why, "gap_ms": gap, "gateway": gateway or RUNS}


@pytest.fixture
def plan() -> Plan:
    return transaction.reload(GATEWAY, "g2")


@pytest.mark.parametrize("plan", every_plan(), ids=lambda plan: plan.kind)
def test_a_plan_looks_before_it_does_anything(plan: Plan) -> None:
    assert plan.steps[0].do == "look"
    assert [each.do for each in plan.steps].count("look") == 1


@pytest.mark.parametrize("plan", every_plan(), ids=lambda plan: plan.kind)
def test_a_plan_has_only_steps_that_act_knows(plan: Plan) -> None:
    known = re.search(r"^\$Known = (.*)$", transaction.ACT.read_text("utf-8"), re.MULTILINE)
    assert known
    assert {each.do for each in plan.steps} <= set(re.findall(r"'(\w+)'", known[1]))


@pytest.mark.parametrize("plan", every_plan(), ids=lambda plan: plan.kind)
def test_what_changes_the_running_gateway_is_tested_before_and_verified_after(plan: Plan) -> None:
    steps = [each.do for each in plan.steps]
    for change in {"start", "reload", "rename"} & set(steps):
        assert steps.index("test") < steps.index(change)
        assert steps[-1] == "verify"


@pytest.mark.parametrize("plan", every_plan(), ids=lambda plan: plan.kind)
def test_the_task_is_disabled_while_nothing_may_start_the_gateway(plan: Plan) -> None:
    steps = [(each.do, each.options.get("state")) for each in plan.steps]
    away = [number for number, (do, _state) in enumerate(steps) if do in ("stop", "rename")]
    if away:
        assert steps[min(away) - 1] == ("task", "disabled")
        assert plan.kind == "stop" or steps[max(away) + 1][0] == "task"


def test_format_of_act_and_controller_are_the_same() -> None:
    assert f"\n$Format = {transaction.FORMAT}\n" in transaction.ACT.read_text("utf-8")


def test_names_sort_by_time_and_are_checked() -> None:
    name = transaction.new_id("reload", NOW)
    assert name.startswith("20261129T001122Z-reload-")
    assert transaction.check_id(name) == name
    assert name != transaction.new_id("reload", NOW)
    for wrong in ("", "..", "20261129T001122Z-reload", f"{name}\\..", f"../{name}"):
        with pytest.raises(ValueError, match="a transaction's name like"):
            transaction.check_id(wrong)


def test_a_rollout_swaps_on_one_disk_and_takes_ours_along() -> None:
    name = transaction.new_id("rollout", NOW)
    plan = transaction.rollout(Gateway(prefix=r"D:\gw", configuration=r"etc\gw.conf"), name, "g2")
    out, back = (each.options for each in plan.steps if each.do == "rename")
    trees = rf"D:\gw\conf-trees\{name}"
    assert plan.trees == trees
    assert (out["from"], out["to"]) == (r"D:\gw\etc", rf"{trees}\old")
    assert (back["from"], back["to"]) == (rf"{trees}\new", r"D:\gw\etc")
    carried = next(each.options for each in plan.steps if each.do == "carry")
    assert (carried["from"], carried["to"]) == (r"D:\gw\etc\flatnet", rf"{trees}\new\flatnet")
    assert next(each.options for each in plan.steps if each.do == "test")["configuration"] == rf"{trees}\new\gw.conf"


def test_identity_guards_before_it_answers() -> None:
    text = transaction.identity("3f9a").text
    assert text.index("return 404") < text.index("return 200")
    assert '"$pid $nginx_version 3f9a\\n"' in text
    for wrong in ("", "a b", 'a";', "$pid", "x" * 65):
        with pytest.raises(ValueError, match="a generation of letters"):
            transaction.identity(wrong)


def test_the_poll_outlasts_the_deadline_and_the_undo(plan: Plan) -> None:
    assert plan.patience == plan.begin_within + plan.seconds + transaction.UNDO_SECONDS


@pytest.mark.parametrize(
    ("holder", "verdict", "words"),
    [
        ("", transaction.WAITING, "task flatnet-transaction has yet to run it"),
        ("another", transaction.WAITING, "another is under way"),
        ("itself", transaction.RUNNING, "about to begin"),
    ],
)
def test_before_it_begins(plan: Plan, holder: str, verdict: str, words: str) -> None:
    for content in (b"", b'{"n":1,"at":"2026'):
        state = judge(plan.id, content, plan.id if holder == "itself" else holder, plan)
        assert state.verdict == verdict
        assert words in state.sentence
        assert not state.ended


def test_under_way_and_cut(plan: Plan) -> None:
    content = journal(plan, step(0, "look"), {"event": "done", "step": 0, "ms": 1, "facts": {}}, step(1, "write"))
    state = judge(plan.id, content, plan.id, plan)
    assert state.verdict == transaction.RUNNING
    assert "at step 2 (write)" in state.sentence
    for holder in ("", "another"):
        state = judge(plan.id, content, holder, plan)
        assert state.verdict == transaction.TAKE_UP
        assert "was cut at step 2 (write), at 20261129T001123.000Z" in state.sentence
        assert "take it up" in state.sentence


def test_being_undone_and_cut_meanwhile(plan: Plan) -> None:
    failed = {"event": "failed", "step": 1, "why": "it was expected and did not come", "facts": {}}
    content = journal(plan, step(0, "look"), step(1, "write"), failed, {"event": "undo", "step": 1, "do": "write"})
    state = judge(plan.id, content, plan.id, plan)
    assert state.verdict == transaction.RUNNING
    assert "is being undone" in state.sentence
    assert "it was expected and did not come" in state.sentence
    state = judge(plan.id, content, "", plan)
    assert state.verdict == transaction.TAKE_UP
    assert "undo the rest" in state.sentence


@pytest.mark.parametrize(
    ("last", "verdict", "good", "words"),
    [
        (
            end("done", gap=12),
            transaction.DONE,
            True,
            "is done: the gateway runs with master 7; worker 9 of nginx 1.27.1",
        ),
        (end("done", gateway=STOPPED), transaction.DONE, True, "is done: the gateway does not run"),
        (end("undone", "it was cold"), transaction.UNDONE, False, "all is as before (the gateway runs with master 7"),
        (
            end("stranded", "it broke", gateway=STOPPED),
            transaction.STRANDED,
            False,
            "could not be undone (the gateway does",
        ),
        (end("stranded", "x", gateway={**STOPPED, "workers": [4]}), transaction.STRANDED, False, "workers 4 are left"),
        (end("done", gateway={**RUNS, "answer": "stranger"}), transaction.DONE, True, "does not say who it is"),
    ],
)
def test_ended(plan: Plan, last: dict[str, Any], verdict: str, good: bool, words: str) -> None:
    state = judge(plan.id, journal(plan, last), "", plan)
    assert state == State(plan.id, verdict, state.sentence, last["gap_ms"])
    assert words in state.sentence
    assert last["why"] in state.sentence
    assert (state.ended, state.good) == (True, good)


def test_what_was_taken_up_again_says_so(plan: Plan) -> None:
    content = journal(plan, {"event": "taken_up", "pid": 6, "after": 1}, end("done"))
    assert "is done after it was cut and taken up again" in judge(plan.id, content, "", plan).sentence


def test_refused_before_it_began(plan: Plan) -> None:
    line = {
        "n": 1,
        "at": "20261129T001123.000Z",
        **end("refused", "another is under way", gateway=None),
        "gateway": None,
    }
    state = judge(plan.id, json.dumps(line).encode() + b"\n", "another", plan)
    assert state.verdict == transaction.REFUSED
    assert state.sentence.endswith("changed nothing: another is under way")


def test_strangers(plan: Plan) -> None:
    good = journal(plan, end("done"))
    begin = good.splitlines()[0]
    other = transaction.reload(GATEWAY, "g3")
    strange = [
        b"\0\0\0\n",
        b"[]\n",
        b"{}\n",
        good.splitlines(keepends=True)[1],
        good + begin + b"\n",
        good.replace(b'"format": 1', b'"format": 2'),
        good.replace(plan.id.encode(), b"x"),
        journal(plan, step(0, "look")).splitlines(keepends=True)[0] + b'{"n": 2, "at": "x", "event": "end"\n',
        journal(plan, end("perhaps")),
    ]
    for content in strange:
        state = judge(plan.id, content, "", plan)
        assert state.verdict == transaction.STRANGER, content
        assert "move C:\\ProgramData\\flatnet\\transactions" in state.sentence
        assert not state.ended
    assert judge(plan.id, good, "", Plan(plan.id, "reload", GATEWAY, other.steps, 90)).verdict == transaction.STRANGER
    assert judge(plan.id, good, "").good


def test_facts_of_the_last_step_of_a_kind(plan: Plan) -> None:
    content = journal(
        plan,
        step(0, "test"),
        {"event": "done", "step": 0, "ms": 1, "facts": {"exit": 0}},
        step(1, "reload"),
        {"event": "failed", "step": 1, "why": "x", "facts": {"asked": 3}},
    )
    read = transaction.Journal.load(content)
    assert (read.facts("test"), read.facts("reload"), read.facts("stop")) == ({"exit": 0}, {"asked": 3}, {})
