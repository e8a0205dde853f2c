# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The questions that a drill answers: never a yes that its steps do not prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Union

from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport, Question, Step, format_time

YES = "yes"
NO = "no"
UNKNOWN = "unknown"
GOOD = "good"
QUESTIONS = ("restorable", "duration", "whole", "gateway", "dashboards", "logs")
# The set holds nothing to ask about, or the drill is not one that asks.
ABSENT = "absent"

Answered = tuple[Union[str, float], dict[str, Any]]


def ask(hosts: Sequence[HostReport], missing: Sequence[str] = ()) -> tuple[Question, ...]:
    """The answers of a whole drill: that of its worst host, with the numbers of each.

    :param missing: hosts of which nothing is known
    """
    answered = {host.host: answers(host.steps) for host in hosts}

    def all_of(question: str) -> dict[str, Answered]:
        return {host: given[question] for host, given in answered.items()}

    known = [answer for answer, _evidence in all_of("duration").values() if isinstance(answer, float)]
    longest = max(known) if known and len(known) == len(hosts) and not missing else UNKNOWN
    return tuple(
        Question(name, longest if name == "duration" else worst(all_of(name), missing), evidences(all_of(name)))
        for name in QUESTIONS
    )


def answers(steps: Sequence[Step]) -> dict[str, Answered]:
    """The answers of one host."""
    verified = [step for step in steps if is_verification(step)]
    beside = [step for step in steps if step.module == "site_drill"]
    if beside:
        return answers_beside(verified, beside[-1])
    not_asked: Answered = (ABSENT if steps else UNKNOWN, {})
    return {
        "restorable": answer_restorable(steps),
        "duration": answer_duration(steps),
        "whole": answer_whole(steps),
        "gateway": not_asked,
        "dashboards": not_asked,
        "logs": answer_logs(steps),
    }


def answers_beside(verified: Sequence[Step], drill: Step) -> dict[str, Answered]:
    """The answers of a drill beside the running site, which one step gives."""
    numbers, evidence = drill.numbers, drill.evidence
    if "answers" not in evidence:
        return {name: (NO if name == "restorable" else UNKNOWN, {}) for name in QUESTIONS}
    proved = bool(verified) and all(step.status == GOOD for step in verified)
    restored = {"sources": evidence["sources"], **picked(numbers, "files", "bytes", "containers")}
    compared = picked(numbers, "files", "verified", "asked", "same", "different")
    same = compared["asked"] == compared["same"] > 0 and compared["verified"] == compared["files"] > 0
    taken = float(numbers["restore_seconds"])
    return {
        "restorable": (YES if proved and restored["containers"] and not evidence["not_running"] else NO, restored),
        "duration": (
            taken,
            {"from": format_time(drill.began), "to": format_time(drill.began + timedelta(seconds=taken))},
        ),
        "whole": (YES if proved and same and not evidence["silent"] else NO, compared),
        **{
            name: (
                str(given["answer"]),
                {key: value for key, value in given.items() if isinstance(value, (int, float)) and value},
            )
            for name, given in evidence["answers"].items()
        },
    }


def picked(numbers: Mapping[str, float], *names: str) -> dict[str, int]:
    """Some of what was counted."""
    return {name: int(numbers[name]) for name in names}


def evidences(answers: Mapping[str, Answered]) -> dict[str, Any]:
    """What each host's answer rests on."""
    return {host: evidence for host, (_answer, evidence) in answers.items()}


def worst(answers: Mapping[str, Answered], missing: Sequence[str]) -> str:
    """One answer for all hosts."""
    given = {answer for answer, _evidence in answers.values()}
    if NO in given:
        return NO
    if missing or not given or UNKNOWN in given:
        return UNKNOWN
    return YES if YES in given else ABSENT


def unproved(questions: Sequence[Question]) -> list[Question]:
    """The questions whose answer is not the one that a drill is for; who asks nothing has left nothing open."""
    return [one for one in questions if not (one.answer in (YES, ABSENT) or isinstance(one.answer, float))]


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


def answer_logs(steps: Sequence[Step]) -> tuple[str, dict[str, Any]]:
    """Loki answers as it did before."""
    asked = [step for step in steps if step.module == "backup_probe_info" and step.step == "loki"]
    if not asked:
        return (ABSENT if steps else UNKNOWN), {}
    evidence = {name: int(sum(step.numbers.get(name, 0) for step in asked)) for name in ("asked", "same")}
    good = all(step.status == GOOD for step in asked) and evidence["asked"] == evidence["same"]
    return (YES if good else NO), evidence


def set_of(steps: Sequence[Step]) -> str:
    """The name of the set that a drill was about; empty if it has not come so far."""
    paths = [str(step.evidence.get("path", "")) for step in steps if is_verification(step)]
    return paths[-1].rpartition("/")[2] if paths else ""


def is_verification(step: Step) -> bool:
    """The whole set was read."""
    return step.module == "backup_set_info" and step.step == "verify"


def is_staged(step: Step) -> bool:
    """A source was copied beside its target, and the copy compared."""
    return step.module == "tree_restore" and {"files", "bytes", "verified"} <= set(step.numbers)


def is_swapped(step: Step) -> bool:
    """A source was put in place."""
    return step.module == "tree_restore" and "containers" in step.evidence
