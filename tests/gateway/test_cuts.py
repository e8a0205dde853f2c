# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""act.ps1 is killed at every line of the journal of every plan: the gateway ends in a named, working state, and the next command tells which."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan

from tests.gateway.site import Site, sites, within
from tests.lab.windows.powershell import missing

pytestmark = [pytest.mark.gateway, pytest.mark.skipif(bool(missing()), reason=missing())]

SITES = 3


@dataclass(frozen=True)
class Trial:
    """A plan to cut."""

    name: str
    # Makes the plan; what it puts in effect bears this name.
    make: Callable[[Site, str], Plan]
    verdict: str = transaction.DONE
    runs_before: bool = True
    runs_after: bool = True
    identifies: bool = True
    swaps: bool = False
    # The event and number of the step where the lines begin that no other trial has.
    cut_from: tuple[str, int] = ("begin", 0)


@dataclass(frozen=True)
class Cut:
    """Where a run is killed, and what comes next: the boot's run, or that of another plan."""

    line: int
    when: str
    by_plan: bool


TRIALS = [
    Trial("start", lambda site, _name: transaction.start(site.gateway, hold=0.1), runs_before=False, identifies=False),
    Trial(
        "stop", lambda site, _name: transaction.stop(site.gateway, quit_seconds=2), runs_after=False, identifies=False
    ),
    Trial("reload", lambda site, name: transaction.reload(site.gateway, name, hold=0.1)),
    Trial("restart", lambda site, name: transaction.restart(site.gateway, name, quit_seconds=2, hold=0.1)),
    Trial("rollout", lambda site, name: site.rollout(name, name), swaps=True),
    Trial(
        "bad rollout",
        lambda site, name: site.rollout(name, name, pattern="never"),
        verdict=transaction.UNDONE,
        cut_from=("step", 9),
    ),
]


@pytest.fixture(scope="module")
def tried() -> Iterator[list[Site]]:
    with sites("cuts", SITES) as all_sites:
        yield all_sites


def entries(content: bytes) -> list[dict[str, object]]:
    """The lines of a journal."""
    return [json.loads(line) for line in content.splitlines()]


def settle(site: Site, trial: Trial) -> Plan:
    """The plan that brings a site to where a trial begins."""
    return (
        transaction.start(site.gateway, hold=0) if trial.runs_before else transaction.stop(site.gateway, quit_seconds=2)
    )


def cuts(journal: bytes, begin: tuple[str, int]) -> list[Cut]:
    """Every moment at which a run can die: its intention is on the disk and nothing is done, or it is done and not on the disk."""
    lines = entries(journal)
    first = next(number for number, line in enumerate(lines, 1) if (line["event"], line.get("step", 0)) == begin)
    found = [
        Cut(number, "after" if line["event"] in ("begin", "step", "undo") else "before", False)
        for number, line in enumerate(lines, 1)
    ]
    found += [Cut(len(lines), "after", False), Cut((first + len(lines)) // 2, "torn", False)]
    return [Cut(cut.line, cut.when, bool(number % 2)) for number, cut in enumerate(found) if cut.line >= first]


def violations(site: Site, trial: Trial, cut: Cut, name: str) -> list[str]:
    """Cut a plan once, let the next command come, and look."""
    page, generation = (site.conf / "nginx.conf").read_text(), identity(site)
    plan = trial.make(site, name)
    site.put(plan)
    if not site.cut(cut.line, cut.when):
        return ["the run was expected to be killed, and went on to its end"]
    journal = site.journal(plan)
    torn = cut.when == "torn"
    expected = cut.line - (cut.when != "after")
    if journal.count(b"\n") != expected or journal.endswith(b"\n") == torn:
        return [f"{expected} lines were expected, and the journal is {journal!r}"]
    wrong = []
    seen = site.state(plan).verdict
    ended = bool(journal) and b'"event":"end"' in journal.splitlines()[-1] and not torn
    wanted = trial.verdict if ended else transaction.TAKE_UP if journal else transaction.WAITING
    if seen != wanted:
        wrong.append(f"the next command was expected to say {wanted}, and says {seen}")
    follower = settle(site, trial) if cut.by_plan else None
    if follower:
        site.put(follower)
    site.boot()
    state = site.state(plan)
    if state.verdict != trial.verdict:
        wrong.append(f"{trial.verdict} was expected, and it is {state.verdict}: {state.sentence}")
        return wrong
    done = trial.verdict == transaction.DONE
    runs = trial.runs_after if done else trial.runs_before
    said = entries(site.journal(plan))[-1]["gateway"]
    if not isinstance(said, dict) or len(said["masters"]) != int(runs):
        wrong.append(f"it says that these run: {said}")
    if follower:
        after = site.state(follower)
        settled = entries(site.journal(follower))[0].get("settled")
        if after.verdict != transaction.DONE or settled != ([] if ended else [plan.id]):
            wrong.append(f"the plan that came next settled {settled} and is {after.verdict}: {after.sentence}")
        runs = trial.runs_before
    if not within(5, lambda: len(site.processes()) == 2 * runs):
        wrong.append(f"one master and one worker or none were expected, and the processes are {site.processes()}")
    wanted_generation = name if done and trial.identifies else generation
    if identity(site) != wanted_generation:
        wrong.append(f"generation {wanted_generation} was expected in the tree, and it is {identity(site)}")
    if site.generation() != (wanted_generation if runs else ""):
        wrong.append(f"generation {wanted_generation} was expected in effect, and it is {site.generation()}")
    if (site.conf / "nginx.conf").read_text() != (site.text(name) if done and trial.swaps else page):
        wrong.append("the configuration is neither the old one nor the new one, or the wrong one of them")
    if site.enabled != runs:
        wrong.append(f"the task is {'enabled' if site.enabled else 'disabled'}")
    return wrong + site.whole()


def identity(site: Site) -> str:
    """The generation that the tree says it is."""
    return (site.conf / "flatnet" / "identity.conf").read_text().split("$nginx_version ")[1].split("\\n")[0]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_run_killed_at_every_line(tried: list[Site], trial: Trial) -> None:
    with ThreadPoolExecutor(SITES) as pool:
        states = list(pool.map(lambda site: site.do(settle(site, trial)), tried))
        assert [state.verdict for state in states] == [transaction.DONE] * SITES, states
        whole = trial.make(tried[0], "undisturbed")
        assert tried[0].do(whole).verdict == trial.verdict, tried[0].state(whole)
        planned = cuts(tried[0].journal(whole), trial.cut_from)
        due: queue.SimpleQueue[Cut] = queue.SimpleQueue()
        for cut in planned:
            due.put(cut)

        def work(site: Site) -> list[tuple[Cut, list[str]]]:
            found = []
            while not due.empty():
                cut = due.get_nowait()
                if trial.runs_before != (len(site.processes()) > 0):
                    site.do(settle(site, trial))
                found.append((cut, violations(site, trial, cut, f"cut-{cut.line}-{cut.when}")))
            return found

        seen = [result for results in pool.map(work, tried) for result in results]
    assert {cut: wrong for cut, wrong in seen if wrong} == {}
    assert {cut for cut, _wrong in seen} == set(planned)
