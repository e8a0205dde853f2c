# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says, as data; docs/formats/report.md describes the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.run_record import STATUSES

FORMAT = 1


class RecordUnreadable(ValueError):
    """A line of a run record does not say what docs/formats/run-record.md promises."""


@dataclass(frozen=True)
class Step:
    """One line of a run record."""

    time: datetime
    module: str
    step: str
    status: str
    changed: bool
    message: str
    seconds: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def began(self) -> datetime:
        """When the module began its work."""
        return self.time - timedelta(seconds=self.seconds)

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Step:
        """The step that :meth:`dump` or a line of a run record holds."""
        if value["status"] not in STATUSES:
            raise ValueError(f"status {value['status']}")
        return cls(
            time=parse_time(value["time"]),
            module=str(value["module"]),
            step=str(value["step"]),
            status=str(value["status"]),
            changed=bool(value["changed"]),
            message=str(value["message"]),
            seconds=float(value["seconds"]),
            numbers=dict(value.get("numbers", {})),
            evidence=dict(value.get("evidence", {})),
        )

    def dump(self) -> dict[str, Any]:
        """The step as JSON holds it."""
        return {**asdict(self), "time": format_time(self.time)}


@dataclass(frozen=True)
class HostReport:
    """What one host did in a run; ``failure`` is what went wrong outside of the recorded modules."""

    host: str
    site: str
    steps: tuple[Step, ...] = ()
    failure: str = ""
    check_mode: bool = False
    off_host_copy: bool = False

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> HostReport:
        """The host that :meth:`dump` holds."""
        steps = tuple(Step.load(step) for step in value["steps"])
        return cls(**{**{key: value[key] for key in cls.__dataclass_fields__}, "steps": steps})

    def dump(self) -> dict[str, Any]:
        """The host as JSON holds it."""
        return {**asdict(self), "steps": [step.dump() for step in self.steps]}


@dataclass(frozen=True)
class Question:
    """One of the questions of a drill, its answer, and the numbers that the answer rests on."""

    id: str
    answer: str | float
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """One run on all its hosts."""

    run: str
    verdict: str
    message: str
    hosts: tuple[HostReport, ...]
    verdicts: Mapping[str, str]
    missing_hosts: tuple[str, ...]
    warnings: tuple[str, ...]
    questions: tuple[Question, ...]

    @property
    def operation(self) -> str:
        """What the run was for."""
        return operation_of(self.run)

    @property
    def check_mode(self) -> bool:
        """Nothing was to be changed."""
        return any(host.check_mode for host in self.hosts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all hosts."""
        return tuple(step for host in self.hosts for step in host.steps)

    @property
    def started(self) -> datetime:
        """When the first step began, by its host's clock; without steps, when the run was opened."""
        opened = datetime.strptime(self.run.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        return min((step.began for step in self.steps), default=opened)

    @property
    def finished(self) -> datetime | None:
        """When the last step ended."""
        return max((step.time for step in self.steps), default=None)

    @property
    def seconds(self) -> float | None:
        """From the first step's begin to the last one's end."""
        return None if self.finished is None else (self.finished - self.started).total_seconds()

    def dump(self) -> dict[str, Any]:
        """The report's JSON."""
        return {
            "format": FORMAT,
            "run": self.run,
            "operation": self.operation,
            "verdict": self.verdict,
            "message": self.message,
            "check_mode": self.check_mode,
            "started": format_time(self.started),
            "finished": None if self.finished is None else format_time(self.finished),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "hosts": [
                {
                    "host": host.host,
                    "site": host.site,
                    "verdict": self.verdicts[host.host],
                    "failure": host.failure,
                    "steps": [step.dump() for step in host.steps],
                }
                for host in self.hosts
            ],
            "missing_hosts": list(self.missing_hosts),
            "warnings": list(self.warnings),
            "questions": [asdict(question) for question in self.questions],
        }


def read_record(text: str, run: str) -> tuple[Step, ...]:
    """The steps of a run record.

    :raises RecordUnreadable: a line is not a step of this run, as where the disk was full
    """
    steps = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            value = json.loads(line)
            if (value["format"], value["run"]) != (FORMAT, run):
                raise ValueError(f"format {value['format']} of run {value['run']}")
            steps.append(Step.load(value))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordUnreadable(
                f"line {number} of the run record was expected to be a step of run {run} in format {FORMAT}, and is not"
                f" ({type(error).__name__}: {error}): read the record on the host by hand"
            ) from error
    return tuple(steps)


def operation_of(run: str) -> str:
    """The operation in a run's id."""
    return run.split("-")[1]


def parse_time(text: str) -> datetime:
    """``2026-11-24T02:15:03.123Z`` as a point in time."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def format_time(time: datetime) -> str:
    """A point in time as ``2026-11-24T02:15:03.123Z``."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
