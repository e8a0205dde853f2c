# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no gateway can be made, one line says why, and how many tests that concerns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.lab.machine import LabError
from tests.lab.windows import powershell

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[3]


def test_without_powershell_one_line_says_why_and_how_many(tmp_path: Path) -> None:
    environment = {**os.environ, powershell.VARIABLE: str(tmp_path)}
    files = [str(Path(__file__).with_name(name)) for name in ("test_computer.py", "test_stubs.py", "test_winrm.py")]
    argv = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", *files]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    skips = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert done.returncode == 0, done.stdout
    assert len(skips) == 1
    number = re.match(rf"SKIPPED \[(\d+)\] tests/conftest.py:\d+: {powershell.VARIABLE} names {tmp_path}", skips[0])
    assert number
    assert f"{number[1]} skipped" in done.stdout
    assert " passed" not in done.stdout


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(powershell.VARIABLE, str(tmp_path))
    assert "has neither powershell.exe nor pwsh.exe" in powershell.missing()
    with pytest.raises(LabError, match="There is no gateway"):
        powershell.ensure_powershell()
    (tmp_path / "pwsh.exe").touch()
    assert powershell.missing() == ""
    assert powershell.ensure_powershell() == tmp_path
    monkeypatch.delenv(powershell.VARIABLE)
    monkeypatch.setattr(powershell, "ARCHIVE", tmp_path / "absent")
    assert f"neither {powershell.VARIABLE} nor {tmp_path / 'absent'} is there" in powershell.missing()
    monkeypatch.setattr(powershell, "SUITE_SCRIPT", tmp_path / "absent")
    assert "which the debootstrap of this machine does not know" in powershell.missing()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "this machine is aarch64" in powershell.missing()


def test_an_archive_is_unpacked_once_and_the_last_two_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powershell, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(powershell, "ARCHIVE", tmp_path / "powershell.tar.xz")
    monkeypatch.delenv(powershell.VARIABLE, raising=False)
    found = []
    for content in ("first", "first", "second", "third"):
        (tmp_path / "powershell.exe").write_text(content)
        with tarfile.open(powershell.ARCHIVE, "w:xz") as tar:
            tar.add(tmp_path / "powershell.exe", "powershell.exe", filter=without_time)
        found.append(powershell.ensure_powershell())
        assert (found[-1] / "powershell.exe").read_text() == content
    assert found[0] == found[1]
    assert set((tmp_path / "cache").glob("powershell-*/")) == set(found[2:])


def without_time(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    return entry
