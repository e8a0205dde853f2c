# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the collection's playbooks against a lab as an operator would."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.lab import Lab

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "tests" / "output"
VARIABLES = Path(__file__).parent / "site.yml"


class PlayFailed(Exception):
    """A playbook ended with another code than 0."""

    def __init__(self, playbook: str, code: int, output: str) -> None:
        self.playbook = playbook
        self.code = code
        self.output = output
        super().__init__(f"playbook {playbook} ended with {code}: {last_error(output)}")


def command(lab: Lab, playbook: str, reports_to: Path, *options: str, **variables: object) -> list[str]:
    """The command line that an operator would type."""
    given = {"flatnet_run_report_directory": str(reports_to), **variables}
    return [
        *("ansible-playbook", f"flatnet.ops.{playbook}", "--inventory", str(lab.inventory)),
        *("--extra-vars", f"@{VARIABLES}", "--extra-vars", json.dumps(given), *options),
    ]


def play(lab: Lab, playbook: str, reports_to: Path, *options: str, **variables: object) -> str:
    """Run a playbook to its end, and say how long it took.

    :return: what it printed
    :raises PlayFailed: it did not end well
    """
    began = time.monotonic()
    print(f"play: {playbook} ...", end=" ", flush=True)
    argv = command(lab, playbook, reports_to, *options, **variables)
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(f"{'done' if done.returncode == 0 else 'failed'} in {time.monotonic() - began:.1f} s", flush=True)
    if done.returncode:
        raise PlayFailed(playbook, done.returncode, done.stdout)
    return done.stdout


def reports(directory: Path, operation: str) -> list[Path]:
    """The reports that an operation has left, oldest first."""
    return sorted(directory.glob(f"*-{operation}-*/report.html"))


def last_error(output: str) -> str:
    """The sentence that an operator would read."""
    errors = [line.strip() for line in output.splitlines() if line.startswith("[ERROR]:")]
    return errors[-1].removeprefix("[ERROR]: ") if errors else "\n".join(output.splitlines()[-20:])
