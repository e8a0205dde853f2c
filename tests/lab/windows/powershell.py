# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Windows build of PowerShell lies on this machine, if anywhere: the one part of the gateway that nothing installs."""

from __future__ import annotations

import hashlib
import os
import platform
import tarfile
from pathlib import Path

from tests.lab.machine import CACHE, LabError, lock, remove_tree, step
from tests.lab.windows.image import GENERATIONS, SUITE

VARIABLE = "FLATNET_LAB_POWERSHELL"
PROGRAMS = ("powershell.exe", "pwsh.exe")
ARCHIVE = Path(__file__).resolve().parents[4] / "shared" / "winlab" / "powershell.tar.xz"
SUITE_SCRIPT = Path("/usr/share/debootstrap/scripts") / SUITE
ADVICE = f"set {VARIABLE} to a folder with a Windows build of PowerShell 7 (powershell.exe or pwsh.exe)"


def missing() -> str:
    """Why no gateway can be made here; nothing when one can."""
    if platform.machine() != "x86_64":
        return f"Wine runs nginx.exe on x86_64 alone, and this machine is {platform.machine()}"
    if not SUITE_SCRIPT.exists():
        return f"the gateway's Wine comes from Debian {SUITE}, which the debootstrap of this machine does not know"
    given = os.environ.get(VARIABLE)
    if given and not program(Path(given)):
        return f"{VARIABLE} names {given}, which has neither {' nor '.join(PROGRAMS)}: {ADVICE}"
    if not given and not ARCHIVE.exists():
        return f"the gateway needs PowerShell for Windows, and neither {VARIABLE} nor {ARCHIVE} is there: {ADVICE}"
    return ""


def program(folder: Path) -> str:
    """The name of PowerShell in a folder; nothing when it is not there."""
    return next((name for name in PROGRAMS if (folder / name).is_file()), "")


def ensure_powershell() -> Path:
    """The folder with PowerShell, unpacked into the cache where it comes as an archive."""
    reason = missing()
    if reason:
        raise LabError(f"There is no gateway: {reason}.")
    given = os.environ.get(VARIABLE)
    return Path(given).absolute() if given else unpacked(ARCHIVE)


def unpacked(archive: Path) -> Path:
    """The content of the archive, in the cache."""
    target = CACHE / f"powershell-{hashlib.sha256(archive.read_bytes()).hexdigest()[:16]}"
    with lock(CACHE / "powershell.lock"):
        if not target.exists():
            partial = target.with_name(f".{target.name}")
            remove_tree(partial)
            partial.mkdir()
            with step("PowerShell: unpacked"), tarfile.open(archive) as tar:
                tar.extractall(partial)
            partial.rename(target)
        os.utime(target)
        newest = sorted(CACHE.glob("powershell-*/"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in newest[GENERATIONS:]:
            remove_tree(old)
    return target
