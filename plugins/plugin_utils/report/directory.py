# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of a run on the controller: a file for each host, and one JSON and one HTML made of all of them."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import FORMAT, HostReport, Report
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.render import render
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import judge


class ReportDirectory:
    """``<directory>/<run>/``; hosts that report at the same time wait for each other."""

    def __init__(self, directory: Path, run: str) -> None:
        self._run = run
        self.path = directory / run
        self.html = self.path / "report.html"
        self.json = self.path / "report.json"
        self._hosts = self.path / "hosts"

    def keep(self, host: HostReport) -> None:
        """Write what one host has reported."""
        self._hosts.mkdir(parents=True, exist_ok=True)
        write(
            self._hosts / f"{quote(host.host, safe='')}.json", dump({"format": FORMAT, "run": self._run, **host.dump()})
        )

    def publish(self, expected: Collection[str], language: str) -> Report:
        """Make the report of everything that is there.

        :param expected: the hosts of the run; those that an earlier call named count as well
        """
        self._hosts.mkdir(parents=True, exist_ok=True)
        with self._locked():
            hosts = [HostReport.load(json.loads(path.read_text("utf-8"))) for path in self._hosts.glob("*.json")]
            report = judge(self._run, hosts, {*expected, *self._named_before()})
            write(self.json, dump(report.dump()))
            write(self.html, render(report, language))
        return report

    def _named_before(self) -> list[str]:
        if not self.json.exists():
            return []
        missing: list[str] = json.loads(self.json.read_text("utf-8"))["missing_hosts"]
        return missing

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def dump(value: dict[str, Any]) -> str:
    """JSON for people and programs."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file at once, so that no reader sees half of it."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
