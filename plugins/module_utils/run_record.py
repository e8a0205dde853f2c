# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run record: what each module of a run did on this host, one JSON object a line, kept for the report.

docs/formats/run-record.md describes the fields.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FORMAT = 1
STATUSES = ("good", "warning", "failed")
RECORDED_OPTIONS: dict[str, dict[str, Any]] = {"run": {"type": "str"}}
_RUN = re.compile(r"\d{8}T\d{6}Z-[a-z][a-z0-9_]*-[0-9a-f]{4}")


@dataclass(frozen=True)
class Step:
    """What one module did; ``seconds`` is how long it took."""

    module: str
    step: str
    status: str
    changed: bool
    message: str
    seconds: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


def check_run(run: str) -> str:
    """The run's id, which is a file name as well.

    :raises ValueError: it is not one
    """
    if not _RUN.fullmatch(run):
        raise ValueError(f"the run '{run}' was expected to look like 20261124T021500Z-backup-3f9a: pass flatnet_run.id")
    return run


def line_of(run: str, step: Step) -> str:
    """One step as a line of the record of a run."""
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"format": FORMAT, "time": time, "run": run, **asdict(step)}, sort_keys=True) + "\n"


class RunRecord:
    """The record of one run on this host."""

    def __init__(self, directory: Path, run: str | None) -> None:
        """:param run: the run's id; None records nothing"""
        self._directory = directory
        self._run = None if run is None else check_run(run)

    def append(self, step: Step) -> None:
        """Add one step, durably, by one write."""
        if self._run is None:
            return
        line = line_of(self._run, step)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{self._run}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
