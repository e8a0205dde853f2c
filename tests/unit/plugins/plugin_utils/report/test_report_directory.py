# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files on the controller: hosts that report one after the other make one report."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.directory import ReportDirectory

from tests.report import runs

pytestmark = pytest.mark.unit


def test_hosts_are_merged(tmp_path: Path) -> None:
    directory = ReportDirectory(tmp_path, runs.BACKUP)
    for name in ("wsl1", "wsl2"):
        directory.keep(runs.backup(name))
        report = directory.publish(["wsl1", "wsl2"], "en")

    assert report.verdict == "warning"
    assert [host["host"] for host in json.loads(directory.json.read_text("utf-8"))["hosts"]] == ["wsl1", "wsl2"]
    assert "wsl1" in directory.html.read_text("utf-8")


def test_whoever_was_named_at_the_begin_stays_missing(tmp_path: Path) -> None:
    directory = ReportDirectory(tmp_path, runs.BACKUP)
    opened = directory.publish(["wsl1", "wsl2"], "en")
    directory.keep(runs.backup("wsl1"))
    later = directory.publish([], "en")

    assert (opened.verdict, opened.missing_hosts) == ("failed", ("wsl1", "wsl2"))
    assert (later.verdict, later.missing_hosts) == ("failed", ("wsl2",))


@pytest.mark.parametrize("name", ["report", "../escape", "[::1]", "日本"])
def test_any_name_of_a_host_is_a_file(tmp_path: Path, name: str) -> None:
    directory = ReportDirectory(tmp_path, runs.BACKUP)
    directory.keep(runs.backup(name))

    assert [host.host for host in directory.publish([name], "en").hosts] == [name]
    assert list(tmp_path.iterdir()) == [directory.path]


def test_the_same_hosts_make_the_same_report(tmp_path: Path) -> None:
    directory = ReportDirectory(tmp_path, runs.BACKUP)
    directory.keep(runs.backup())
    directory.publish([], "ja")
    before = directory.html.read_bytes(), directory.json.read_bytes()
    directory.publish([], "ja")

    assert (directory.html.read_bytes(), directory.json.read_bytes()) == before


def test_hosts_may_report_at_the_same_time(tmp_path: Path) -> None:
    names = [f"wsl{index}" for index in range(8)]

    def report(name: str) -> None:
        directory = ReportDirectory(tmp_path, runs.BACKUP)
        directory.keep(runs.backup(name))
        directory.publish(names, "en")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, names))

    written = ReportDirectory(tmp_path, runs.BACKUP)
    assert json.loads(written.json.read_text("utf-8"))["missing_hosts"] == []
    assert sorted(path.name for path in written.path.iterdir()) == [".lock", "hosts", "report.html", "report.json"]
