# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make drill`: a small flatnet is backed up, its host destroyed, a new one restored, and asked what the old one was asked."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from tests.lab import Lab
from tests.lab.play import OUTPUT, PlayFailed, play, reports

DRILL = OUTPUT / "drill"


def drill(lab: Lab) -> Path:
    """Go through the whole drill.

    :return: the report
    :raises PlayFailed: a playbook ended with an error
    """
    host = lab.new_host("wsl1")
    play(lab, "setup", DRILL)
    play(lab, "backup", DRILL)
    host.destroy()
    print("drill: host wsl1 is destroyed; its backup disk is all that is left", flush=True)
    lab.new_host("wsl2", group="drill", seed="empty")
    play(lab, "setup", DRILL, flatnet_hosts="drill")
    play(lab, "drill", DRILL, flatnet_drill_throwaway=True)
    return reports(DRILL, "drill")[-1]


def main() -> int:
    """Run the drill and say how it went in one last line."""
    began = time.monotonic()
    shutil.rmtree(DRILL, ignore_errors=True)
    try:
        with Lab("drill") as lab:
            report = drill(lab)
    except PlayFailed as error:
        written = reports(DRILL, error.playbook)
        print(f"drill: FAIL {error}" + (f" report={written[-1]}" if written else ""))
        return 1
    print(f"drill: PASS report={report} ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
