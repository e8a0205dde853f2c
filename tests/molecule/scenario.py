# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's scenarios, run as `molecule test` does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
NAME = "molecule-test"
RECAP = re.compile(r"^\w+ > (\w+): Executed: (\w+)", re.MULTILINE)
STEPS = ("destroy", "syntax", "create", "prepare", "converge", "idempotence", "side_effect", "verify", "destroy")


@dataclass(frozen=True)
class Scenario:
    """How a run of a scenario ended."""

    code: int
    output: str

    @property
    def recap(self) -> list[tuple[str, str]]:
        """Each step, and how it ended."""
        return RECAP.findall(self.output)


def molecule(scenario: str, lab: Lab, scratch: Path, *ansible_arguments: str) -> Scenario:
    """Run a scenario from its beginning to its end."""
    argv = ["molecule", "test", "--scenario-name", scenario, "--", *ansible_arguments]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FLATNET_MOLECULE_LAB": lab.name,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(scratch),
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Scenario(done.returncode, done.stdout)
