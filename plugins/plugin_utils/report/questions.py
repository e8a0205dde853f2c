# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The questions that a drill answers in numbers: never a yes that its steps do not prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport, Question, Step, format_time

YES = "yes"
NO = "no"
UNKNOWN = "unknown"


def ask(hosts: Sequence[HostReport], missing: Sequence[str] = ()) -> tuple[Question, ...]:
    """The answers of a whole drill: that of its worst host, with the numbers of each.

    :param missing: hosts of which nothing is known
    """
    restorable = {host.host: answer_restorable(host.steps) for host in hosts}
    duration = {host.host: answer_duration(host.steps) for host in hosts}
    whole = {host.host: answer_whole(host.steps) for host in hosts}
    known = [answer for answer, _evidence in duration.values() if isinstance(answer, float)]
    all_known = known and len(known) == len(hosts) and not missing
    return (
        Question("restorable", worst(restorable, missing), evidences(restorable)),
        Question("duration", max(known) if all_known else UNKNOWN, evidences(duration)),
        Question("whole", worst(whole, missing), evidences(whole)),
    )


def evidences(answers: Mapping[str, tuple[str | float, dict[str, Any]]]) -> dict[str, Any]:
    """What each host's answer rests on."""
    return {host: evidence for host, (_answer, evidence) in answers.items()}


def worst(answers: Mapping[str, tuple[str, dict[str, Any]]], missing: Sequence[str]) -> str:
    """One answer for all hosts."""
    given = {answer for answer, _evidence in answers.values()}
    if NO in given:
        return NO
    return YES if given == {YES} and not missing else UNKNOWN


def unproved(questions: Sequence[Question]) -> list[Question]:
    """The questions whose answer is not the one that a drill is for."""
    return [one for one in questions if not (one.answer == YES or isinstance(one.answer, float))]


def answer_restorable(steps: Sequence[Step]) -> tuple[str, dict[str, Any]]:
    """A whole set was staged, every source of it swapped in, and the stack was ready on it."""
    verified = [step for step in steps if is_verification(step)]
    restored = [step for step in steps if step.module == "tree_restore"]
    staged = [step for step in restored if is_staged(step)]
    swapped = {step.step for step in restored if is_swapped(step)}
    after = [index for index, step in enumerate(steps) if step.module == "tree_restore" and is_swapped(step)]
    ready = [step for step in steps[after[-1] :] if step.module == "podman_stack"] if after else []
    evidence: dict[str, Any] = {
        "sources": [step.step for step in staged],
        "files": int(sum(step.numbers["files"] for step in staged)),
        "bytes": int(sum(step.numbers["bytes"] for step in staged)),
        "containers": int(ready[-1].numbers.get("containers", 0)) if ready else 0,
    }
    if any(step.status != "good" for step in (*verified, *restored, *ready)):
        return NO, evidence
    complete = verified and staged and {step.step for step in staged} == swapped and evidence["containers"] > 0
    return (YES if complete else UNKNOWN), evidence


def answer_duration(steps: Sequence[Step]) -> tuple[str | float, dict[str, Any]]:
    """From the begin of the first copy to the application's last answer."""
    staged = [step for step in steps if is_staged(step)]
    answered = [step for step in steps if step.module == "backup_probe_info" and step.status == "good"]
    if not staged or not answered or answered[-1].time < staged[0].began:
        return UNKNOWN, {}
    begin, end = staged[0].began, answered[-1].time
    return round((end - begin).total_seconds(), 3), {"from": format_time(begin), "to": format_time(end)}


def answer_whole(steps: Sequence[Step]) -> tuple[str, dict[str, Any]]:
    """Every sum of the set and of the copy is right, and the applications answer as they did before."""
    verified = [step for step in steps if is_verification(step)]
    staged = [step for step in steps if is_staged(step)]
    asked = [step for step in steps if step.module == "backup_probe_info"]
    evidence = {
        "damaged": int(sum(step.numbers.get("damaged", 0) for step in verified)),
        "files": int(sum(step.numbers["files"] for step in staged)),
        "verified": int(sum(step.numbers["verified"] for step in staged)),
        **{
            name: int(sum(step.numbers.get(name, 0) for step in asked))
            for name in ("asked", "same", "different", "samples")
        },
    }
    if (
        evidence["damaged"]
        or evidence["different"]
        or evidence["verified"] != evidence["files"]
        or any(step.status != "good" for step in (*verified, *asked))
    ):
        return NO, evidence
    complete = verified and evidence["verified"] and evidence["asked"] and evidence["same"] == evidence["asked"]
    return (YES if complete else UNKNOWN), evidence


def is_verification(step: Step) -> bool:
    """The whole set was read."""
    return step.module == "backup_set_info" and step.step == "verify"


def is_staged(step: Step) -> bool:
    """A source was copied beside its target, and the copy compared."""
    return step.module == "tree_restore" and {"files", "bytes", "verified"} <= set(step.numbers)


def is_swapped(step: Step) -> bool:
    """A source was put in place."""
    return step.module == "tree_restore" and "containers" in step.evidence
