# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of a drill: never a false yes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Step
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.questions import ask, set_of

from tests.report import runs

pytestmark = pytest.mark.unit

WHOLE = runs.drill_steps()
PROVING = [index for index, step in enumerate(WHOLE) if step.module != "backup_set" and "confirmed" not in step.message]


def answers(*steps: Step) -> dict[str, str | float]:
    """The answers of one host's drill."""
    return {one.id: one.answer for one in ask([runs.drill(steps=steps)])}


def test_a_whole_drill_answers_in_numbers() -> None:
    restorable, duration, whole, *restore_test = ask([runs.drill()])

    assert [one.answer for one in restore_test] == ["absent", "absent", "absent"]
    assert (restorable.answer, duration.answer, whole.answer) == ("yes", 22.5, "yes")
    assert restorable.evidence["wsl2"] == {
        "sources": ["prometheus", "volumes/app_notes_data"],
        "files": 200,
        "bytes": 315621376,
        "containers": 3,
    }
    assert duration.evidence["wsl2"] == {"from": "2026-11-24T02:15:05.000Z", "to": "2026-11-24T02:15:27.500Z"}
    assert whole.evidence["wsl2"] == {
        "damaged": 0,
        "files": 200,
        "verified": 200,
        "asked": 2,
        "same": 2,
        "different": 0,
        "samples": 1574640,
    }


@pytest.mark.parametrize("left_out", PROVING, ids=lambda index: f"{index}-{WHOLE[index].module}")
def test_every_step_that_proves_something_is_needed(left_out: int) -> None:
    steps = [step for index, step in enumerate(WHOLE) if index != left_out]

    given = answers(*steps)

    assert "unknown" in (given["restorable"], given["whole"])


@pytest.mark.parametrize("broken", PROVING, ids=lambda index: f"{index}-{WHOLE[index].module}")
def test_a_step_that_failed_is_a_no(broken: int) -> None:
    steps = list(WHOLE)
    steps[broken] = replace(steps[broken], status="failed", numbers={}, evidence={})

    given = answers(*steps)

    assert "no" in (given["restorable"], given["whole"])


@pytest.mark.parametrize("until", range(len(WHOLE)))
def test_a_killed_drill_leaves_questions_open(until: int) -> None:
    given = answers(*WHOLE[:until])

    last_proof = max(PROVING)
    assert ("unknown" in given.values()) == (until <= last_proof)


def test_nothing_is_unknown() -> None:
    assert set(answers().values()) == {"unknown"}


def test_damage_is_a_no() -> None:
    assert answers(runs.verified(damaged=1), *WHOLE[2:])["whole"] == "no"


def test_a_file_that_was_not_compared_is_a_no() -> None:
    assert (
        answers(*WHOLE, runs.staged("volumes/b", 20, files=5, verified=4), runs.swapped("volumes/b", 21))["whole"]
        == "no"
    )


def test_a_different_answer_is_a_no() -> None:
    assert answers(*WHOLE, runs.answered(different=1))["whole"] == "no"


def test_nothing_asked_is_no_yes() -> None:
    nothing = replace(runs.answered(), numbers={"asked": 0, "same": 0, "different": 0})

    assert answers(*(step for step in WHOLE if step.module != "backup_probe_info"), nothing)["whole"] == "unknown"


def test_a_source_that_was_not_swapped_in_is_no_yes() -> None:
    assert answers(*WHOLE, runs.staged("volumes/b", 12))["restorable"] == "unknown"


def test_a_restore_that_was_undone_is_a_no() -> None:
    undone = runs.step(29, "tree_restore", "prometheus", "/data is as it was before the restore", status="warning")

    assert answers(*WHOLE, undone)["restorable"] == "no"


def test_a_stack_that_was_ready_before_the_swap_is_no_yes() -> None:
    steps = [step for step in WHOLE if step.module != "podman_stack"]

    assert answers(runs.ready(1), *steps)["restorable"] == "unknown"


def test_a_clock_that_went_back_gives_no_time() -> None:
    steps = [step for step in WHOLE if step.module != "backup_probe_info"]

    assert answers(*steps, runs.answered(after=1))["duration"] == "unknown"


def test_the_worst_host_answers_for_all() -> None:
    slow = tuple(replace(step, seconds=9.5) if step.message.startswith("prometheus of set") else step for step in WHOLE)
    both = ask([runs.drill(), runs.drill("wsl3", steps=slow)])
    one_open = ask([runs.drill(), runs.drill("wsl3", steps=WHOLE[:5])])
    silent = ask([runs.drill()], missing=["wsl3"])

    assert [one.answer for one in both[:3]] == ["yes", 29.5, "yes"]
    assert [one.answer for one in one_open[:3]] == ["unknown", "unknown", "unknown"]
    assert [one.answer for one in silent[:3]] == ["unknown", "unknown", "unknown"]


def test_logs_are_searched_where_loki_was_asked() -> None:
    asked = replace(runs.answered(), step="loki", numbers={"asked": 2, "same": 2, "different": 0})
    other = replace(asked, numbers={"asked": 2, "same": 1, "different": 1})

    assert answers(*WHOLE, asked)["logs"] == "yes"
    assert answers(*WHOLE, other)["logs"] == "no"
    assert answers(*WHOLE, replace(asked, status="failed", numbers={}))["logs"] == "no"


def test_a_drill_beside_the_site_answers_all_questions() -> None:
    found = ask([runs.drill(steps=(runs.verified(), runs.beside()))])

    assert {one.id: one.answer for one in found} == {
        "restorable": "yes",
        "duration": 20.0,
        "whole": "yes",
        "gateway": "yes",
        "dashboards": "absent",
        "logs": "yes",
    }
    assert {one.id: one.evidence["wsl2"] for one in found} == {
        "restorable": {
            "sources": ["gateway", "prometheus", "loki", "volumes/app_notes_data"],
            "files": 200,
            "bytes": 315621376,
            "containers": 6,
        },
        "duration": {"from": "2026-11-24T02:15:05.000Z", "to": "2026-11-24T02:15:25.000Z"},
        "whole": {"files": 200, "verified": 200, "asked": 11, "same": 11, "different": 0},
        "gateway": {"routes_good": 2, "routes_windows": 1, "seconds": 1.5},
        "dashboards": {},
        "logs": {"asked": 4, "same": 4, "lines": 5, "seconds": 0.25},
    }


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ({"answers": {"gateway": "no"}}, "gateway"),
        ({"answers": {"logs": "no"}}, "logs"),
        ({"not_running": {"app": "exited"}}, "restorable"),
        ({"numbers": {"containers": 0}}, "restorable"),
        ({"silent": {"loki": "did not answer"}}, "whole"),
        ({"numbers": {"same": 10, "different": 1}}, "whole"),
        ({"numbers": {"asked": 0, "same": 0}}, "whole"),
        ({"numbers": {"verified": 199}}, "whole"),
        ({"numbers": {"files": 0, "verified": 0}}, "whole"),
    ],
)
def test_what_a_drill_beside_the_site_has_not_proved_is_a_no(given: dict[str, Any], question: str) -> None:
    found = answers(runs.verified(), runs.beside(**given))

    assert [name for name, answer in found.items() if answer == "no"] == [question]


def test_a_damaged_set_proves_nothing_beside_the_site() -> None:
    found = answers(runs.verified(damaged=1), runs.beside())

    assert (found["restorable"], found["whole"]) == ("no", "no")


def test_a_set_that_nobody_verified_proves_nothing_beside_the_site() -> None:
    found = answers(runs.beside())

    assert (found["restorable"], found["whole"]) == ("no", "no")


def test_a_copy_that_could_not_be_made_is_a_no() -> None:
    found = answers(runs.verified(), replace(runs.beside(), status="failed", numbers={}, evidence={}))

    assert found.pop("restorable") == "no"
    assert set(found.values()) == {"unknown"}


def test_a_host_without_logs_does_not_hide_one_with_logs() -> None:
    hosts = [
        runs.drill(name, steps=(runs.verified(), runs.beside(answers={"logs": logs})))
        for name, logs in (("a", "yes"), ("b", "absent"))
    ]

    assert {one.id: one.answer for one in ask(hosts)}["logs"] == "yes"
    assert {one.id: one.answer for one in ask(hosts[1:])}["logs"] == "absent"
    assert {one.id: one.answer for one in ask(hosts[1:], missing=["c"])}["logs"] == "unknown"


def test_the_set_is_the_one_that_was_verified() -> None:
    assert set_of((runs.verified(), runs.beside())) == "20261124T014502Z"
    assert set_of(()) == ""
