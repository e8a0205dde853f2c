# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`ansible-test sanity` with no ignore files, on a copy: it refuses a collection that it reaches through a symbolic link."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lint import ROOT

# Beside the environment, as it depends on the same versions: the environments of the single sanity tests.
HOME = Path(sys.prefix) / "sanity"
# Stands in for the pip installer that ansible-test would download; the standard library brings one.
GET_PIP = HOME / ".ansible" / "test" / "cache" / "get_pip_24_2.py"


def copy_checkout(target: Path) -> None:
    """Copy what git has, or would take."""
    listing = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def main() -> int:
    """Run the sanity tests with the Pythons of the environment and of the system.

    :return: the code that ansible-test ended with
    """
    GET_PIP.parent.mkdir(parents=True, exist_ok=True)
    GET_PIP.write_text("import ensurepip; ensurepip.bootstrap(default_pip=True)\n", "utf-8")
    path = f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    environment = {**os.environ, "HOME": str(HOME), "PATH": path, "PIP_QUIET": "1"}
    command = ("ansible-test", "sanity", "--color", "no", "--truncate", "0")
    with tempfile.TemporaryDirectory() as scratch, (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        collection = Path(scratch, "ansible_collections", "flatnet", "ops")
        copy_checkout(collection)
        return subprocess.run(command, cwd=collection, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
