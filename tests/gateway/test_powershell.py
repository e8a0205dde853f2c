# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every PowerShell script that is shipped uses what Windows PowerShell 5.1 has, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction

from tests.gateway.site import powershell, windows
from tests.lab.windows.below import WORK
from tests.lab.windows.powershell import missing

ROOT = Path(__file__).resolve().parents[2]
CHECKER = Path(os.environ.get("FLATNET_LAB_PS51CHECK", ROOT.parent / "shared" / "ps51"))
ABSENT = (
    ""
    if (CHECKER / "ps51check.ps1").is_file()
    else f"{CHECKER} has no ps51check.ps1; FLATNET_LAB_PS51CHECK may name its folder"
)

pytestmark = [pytest.mark.gateway, pytest.mark.skipif(bool(missing() or ABSENT), reason=missing() or ABSENT)]


def test_shipped_scripts_run_in_windows_powershell() -> None:
    shipped = sorted(transaction.ACT.parent.glob("*.ps1"))
    with windows("ps51") as host:
        for folder, files in (
            ("checker", [*CHECKER.glob("*-*.txt"), CHECKER / "ps51check.ps1"]),
            ("shipped", shipped),
        ):
            (host.work / folder).mkdir()
            for file in files:
                shutil.copy(file, host.work / folder)
        checker, checked = (f"C:\\{WORK}\\{folder}" for folder in ("checker\\ps51check.ps1", "shipped"))
        done = host.gateway.run(powershell(checker, checked), timeout=120)

    assert (done.code, done.stdout) == (0, ""), done.stdout
    assert f"{len(shipped)} files, 0 findings" in done.stderr


def test_shipped_scripts_are_ascii_without_a_mark() -> None:
    for script in transaction.ACT.parent.glob("*.ps1"):
        script.read_bytes().decode("ascii")
