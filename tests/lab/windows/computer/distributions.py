# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distributions of WSL2 that this computer has: hosts of the lab, reached over SSH as `wsl.exe` reaches a distribution."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 2
SSH = (
    *("ssh", "-i", "{key}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile={known}", "-o", "HostKeyAlias={name}"),
)


@dataclass(frozen=True)
class Distributions:
    """What the file `distributions.json` of a folder names, with the key and the host key beside it."""

    folder: Path

    def listed(self) -> list[dict[str, Any]]:
        """Each distribution, the default one first, and whether it runs."""
        path = self.folder / "distributions.json"
        known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return [{"name": name, "address": address, "running": runs(address)} for name, address in known.items()]

    def run(self, name: str, user: str, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Run a command in a distribution; ssh's own failure is 255."""
        (address,) = (each["address"] for each in self.listed() if each["name"] == name)
        command = shlex.join(argv) if argv else "exec $SHELL -l"
        words = [word.format(key=self.folder / "key", known=self.folder / "known_hosts", name=name) for word in SSH]
        argv = [*words, f"{user}@{address}", "--", command]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def runs(address: str) -> bool:
    """Whether the host answers at its SSH port."""
    try:
        socket.create_connection((address, 22), timeout=SECONDS).close()
    except OSError:
        return False
    return True
