# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outermost layer of every recorded module: do the work, write the record, end the module."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.errors import OpsError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RunRecord, Step
from ansible_collections.flatnet.ops.plugins.module_utils.undo import STATE

RECORDS = STATE / "runs"


@dataclass(frozen=True)
class Outcome:
    """What a module did, once, for the record and for the task's result."""

    changed: bool
    message: str
    status: str = "good"
    numbers: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    diff: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None


def carry_out(module: AnsibleModule, step: str, work: Callable[[], Outcome]) -> None:
    """Run a module's work and end the module, failed or not.

    :param step: what the report calls it: the source, or what is done to the set
    :param work: does everything, and raises :class:`OpsError`
    """
    began = time.monotonic()
    # A module ends soon, and to look for garbage among all that is known of 100,000 names takes seconds.
    gc.disable()
    try:
        record = RunRecord(RECORDS, None if module.check_mode else module.params["run"])
    except ValueError as error:
        module.fail_json(msg=str(error), error=UsageError.__name__)
    name = module._name.rpartition(".")[2]
    try:
        outcome = work()
    except (OpsError, OSError) as error:
        message = (
            str(error)
            if isinstance(error, OpsError)
            else f"the host was expected to let {name} do its work, and refused: {error}"
        )
        seconds = time.monotonic() - began
        record.append(Step(module=name, step=step, status="failed", changed=False, message=message, seconds=seconds))
        values = error.values if isinstance(error, OpsError) else {}
        module.fail_json(msg=message, error=type(error).__name__, **values)
    seconds = time.monotonic() - began
    record.append(
        Step(
            module=name,
            step=step,
            status=outcome.status,
            changed=outcome.changed,
            message=outcome.message,
            seconds=seconds,
            numbers=outcome.numbers,
            evidence=outcome.evidence,
        )
    )
    diff = {"diff": outcome.diff} if outcome.diff is not None else {}
    module.exit_json(changed=outcome.changed, msg=outcome.message, **outcome.values, **diff)
