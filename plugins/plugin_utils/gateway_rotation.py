# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rotation of a gateway's logs: the task that does it, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import (
    ROTATION_TASK,
    Installation,
    Task,
    script,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

# The script looks every hour whether there is something to do, so that a host that is off at midnight misses nothing.
_HOUR = (
    "<TimeTrigger><Repetition><Interval>PT1H</Interval><StopAtDurationEnd>false</StopAtDurationEnd></Repetition>"
    "<StartBoundary>2026-01-01T00:00:00</StartBoundary><Enabled>true</Enabled></TimeTrigger>"
)
# What Windows allows in no path.
_SEPARATOR = "|"


@dataclass(frozen=True)
class Rotation:
    """How logs are rotated, if there are any to be; their paths are below the gateway's prefix or whole ones."""

    logs: Sequence[str]
    keep_days: int
    megabytes: int

    def refuse_nonsense(self) -> None:
        """
        :raises WindowsError: one of the numbers means nothing
        """
        for name, value in (("log_keep_days", self.keep_days), ("log_megabytes", self.megabytes)):
            if value < 1:
                raise WindowsError(f"{name} was expected to be a number from 1 on, and is {value}: mend it")

    def files(self, installation: Installation) -> dict[str, str]:
        """The content of the script, by path."""
        return {_script_of(installation): script("rotate_logs")}

    def task(self, installation: Installation) -> Task:
        """The task that runs it."""
        logs = _SEPARATOR.join(self.logs)
        how = (
            f'-Prefix "{installation.prefix}" -Logs "{logs}" -KeepDays {self.keep_days} -MaxMegabytes {self.megabytes}'
        )
        return Task(
            ROTATION_TASK,
            "Puts the logs of flatnet's gateway aside, each day and where they are too large, and deletes old ones.",
            (_HOUR,),
            "IgnoreNew",
            "PT10M",
            f'"{_script_of(installation)}" {how}',
        )


def _script_of(installation: Installation) -> str:
    return rf"{installation.state_directory}\rotate_logs.ps1"


def result_of(installation: Installation) -> str:
    """Where the last run says what came of it."""
    return rf"{installation.state_directory}\log_rotation.json"


@dataclass(frozen=True)
class Rotated:
    """What came of the last run; the time is UTC."""

    at: str
    rotated: tuple[str, ...]
    removed: tuple[str, ...]
    problem: str | None

    @property
    def fault(self) -> str | None:
        """What an operator has to do about it, in a sentence; None if nothing."""
        return None if self.problem is None else f"the rotation of the logs failed at {self.at}: {self.problem}"

    def shown(self) -> dict[str, Any]:
        """What a play gets to know of it."""
        return {
            "at": self.at,
            "rotated": list(self.rotated),
            "removed": list(self.removed),
            "problem": self.problem,
        }


def rotated_of(text: str | None) -> Rotated | None:
    """What the file of the last run says; None where there is none."""
    if not text:
        return None
    said = json.loads(text)
    return Rotated(said["at"], tuple(said["rotated"]), tuple(said["removed"]), said["problem"])
