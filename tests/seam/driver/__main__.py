# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stop an operation at each of its effects: ``python3 -m tests.seam.driver OPERATION [--only STAGE ...] [--sabotage HOW]``.

For each stage, for each N: make the world as it was before the stage; run the stage and kill it at effect N; wait for
its guards; look; run the next run to its end; look again. Prints one line of JSON for each stage.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import prometheus_snapshot
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import OpsError
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.times import set_id

from tests.seam.driver import world
from tests.seam.driver.operations import GENERATIONS, KEEP_DAYS, KEEP_GENERATIONS, OPERATIONS, Operation, Stage
from tests.seam.driver.promises import Promises
from tests.seam.driver.sabotage import SABOTAGE
from tests.seam.driver.stop import attempt
from tests.seam.driver.world import Turn

SETS = Area(world.ROOT)
ENOUGH = 5
# The driver's Prometheus is small, and ends its snapshots in a tenth of this.
prometheus_snapshot.QUIET_SECONDS = 2

Seen = set[frozenset[tuple[str, bytes, int]]]


@dataclass
class Trial:
    """What stopping one stage everywhere has shown."""

    stage: str
    stopped: int = 0
    recoveries: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    log: list[Effect] = field(default_factory=list)

    def report(self) -> str:
        """One line of JSON."""
        return json.dumps({**vars(self), "log": [[effect.kind, effect.target] for effect in self.log]})


class Trials:
    """Stops the stages of one operation."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._promises = Promises(
            source=operation.source,
            target=operation.target,
            present=world.content(operation.target),
            saved=world.content(SETS.path(SETS.find("latest")) / operation.source),
            snapshots=world.snapshots(),
            addresses=world.addresses(),
            boards={*world.boards()},
        )

    def run(self, name: str, work: Stage) -> Trial:
        """Stop one stage at each of its effects; afterwards it has run to its end."""
        trial, began = Trial(name), time.monotonic()
        seen: Seen = set()
        world.save(name)
        while True:
            world.put_back(name)
            turn = Turn(self._operation.day, Effects())
            kept = _kept(set(SETS.ids()) - set(turn.lifecycle().doomed(KEEP_DAYS)))
            done = attempt(lambda effects: work(Turn(self._operation.day, effects)), trial.stopped + 1)
            world.wait_for_guards()
            found = list(self._promises.always(kept, self._operation.sources))
            if done.killed:
                trial.stopped += 1
                found.extend(self._recover(trial, seen))
            elif done.failed:
                found.append("it failed by itself")
            stop = done.log[-1]
            where = f"{name}, {'stopped' if done.killed else 'ended'} at {len(done.log)} ({stop.kind} {stop.target})"
            trial.violations.extend(f"{where}: {what}" for what in found)
            if not done.killed or len(trial.violations) >= ENOUGH:
                trial.log, trial.seconds = done.log, round(time.monotonic() - began, 1)
                return trial

    def _recover(self, trial: Trial, seen: Seen) -> Iterator[str]:
        """Run the next run; one that comes to a state that was seen before goes on as it did then."""
        operation = self._operation
        turn = Turn(operation.day + 1, Effects())
        made = set_id(turn.now)
        kept = _kept(sorted({*SETS.good_ids(), *([made] if operation.makes == SETS else [])})[-KEEP_DAYS:])
        try:
            for step in operation.recovery[: operation.begin]:
                step(turn)
            reached = world.shape()
            if reached in seen:
                return
            seen.add(reached)
            trial.recoveries += 1
            for step in operation.recovery[operation.begin :]:
                step(turn)
        except (OpsError, OSError) as error:
            yield f"the next run failed: {error}"
            return
        yield from (f"after the next run, {what}" for what in self._promises.always(kept, operation.sources))
        yield from (f"after the next run, {what}" for what in self._promises.after_recovery(operation.makes, made))


def _kept(names: Iterable[str]) -> list[Path]:
    """What must be there when a run has ended that takes one more generation, at most."""
    return [*map(SETS.path, names), *map(GENERATIONS.path, GENERATIONS.ids()[1 - KEEP_GENERATIONS :])]


def main() -> None:
    """Try every stage of an operation, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=OPERATIONS)
    parser.add_argument("--only", nargs="+", help="stop these stages; the others just run")
    parser.add_argument("--sabotage", choices=SABOTAGE, help="break the code first, to see that the trial notices")
    options = parser.parse_args()
    operation = OPERATIONS[options.operation]
    world.build()
    operation.prepare()
    if options.sabotage:
        SABOTAGE[options.sabotage]()
    trials = Trials(operation)
    for name, work in operation.stages.items():
        if options.only is None or name in options.only:
            trial = trials.run(name, work)
            print(trial.report(), flush=True)
            if trial.violations:
                break
        else:
            work(Turn(operation.day, Effects()))
    world.forget()


if __name__ == "__main__":
    main()
