# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The linters: the one list that `make lint` and `make test` both run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = re.compile(r"^WARNING: ((?:Skipping sanity test|Required program) .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """What a linter said."""

    passed: bool
    seconds: float
    output: str

    @property
    def skipped(self) -> list[str]:
        """What it could not look at on this machine, and why."""
        return SKIPPED.findall(self.output)


@dataclass(frozen=True)
class Linter:
    """A command that ends with 0 if it has nothing to say."""

    name: str
    command: tuple[str, ...]

    def run(self) -> Verdict:
        """Look at the whole checkout."""
        start = time.monotonic()
        path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Verdict(done.returncode == 0, time.monotonic() - start, done.stdout)


LINTERS = (
    Linter("sanity", ("python", "-m", "tests.lint.sanity")),
    Linter("ansible-lint", ("ansible-lint", "--strict")),
    Linter("mypy", ("mypy",)),
    Linter("ruff", ("ruff", "check")),
    Linter("format", ("ruff", "format", "--check")),
)
