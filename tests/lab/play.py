# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the collection's playbooks against a lab as an operator would."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Lab

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "tests" / "output"


@dataclass(frozen=True)
class Ended:
    """How a playbook ended."""

    playbook: str
    code: int
    output: str

    @property
    def error(self) -> str:
        """The sentence that an operator reads when it failed."""
        errors = [line.strip() for line in self.output.splitlines() if line.startswith("[ERROR]:")]
        return errors[-1].removeprefix("[ERROR]: ") if errors else "\n".join(self.output.splitlines()[-20:])


class PlayFailed(Exception):
    """A playbook ended with another code than 0."""

    def __init__(self, ended: Ended) -> None:
        self.playbook = ended.playbook
        super().__init__(f"playbook {ended.playbook} ended with {ended.code}: {ended.error}")


def command(lab: Lab, playbook: str, reports_to: Path, *options: str, **variables: object) -> list[str]:
    """The command line that an operator would type, for a playbook of the collection or the file of another one."""
    name = playbook if playbook.endswith(".yml") else f"flatnet.ops.{playbook}"
    given = {"flatnet_run_report_directory": str(reports_to), **variables}
    return [
        *("ansible-playbook", name, "--inventory", str(lab.inventory)),
        *("--extra-vars", json.dumps(given), *options),
    ]


def run(lab: Lab, playbook: str, reports_to: Path, *options: str, **variables: object) -> Ended:
    """Run a playbook to its end, whichever it is."""
    argv = command(lab, playbook, reports_to, *options, **variables)
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Ended(playbook, done.returncode, done.stdout)


def play(lab: Lab, playbook: str, reports_to: Path, *options: str, **variables: object) -> str:
    """Run a playbook, and say how long it took.

    :return: what it printed
    :raises PlayFailed: it did not end well
    """
    began = time.monotonic()
    print(f"play: {playbook} ...", end=" ", flush=True)
    ended = run(lab, playbook, reports_to, *options, **variables)
    print(f"{'failed' if ended.code else 'done'} in {time.monotonic() - began:.1f} s", flush=True)
    if ended.code:
        raise PlayFailed(ended)
    return ended.output


def reports(directory: Path, operation: str) -> list[Path]:
    """The reports that an operation has left, oldest first."""
    return sorted(directory.glob(f"*-{operation}-*/report.html"))
