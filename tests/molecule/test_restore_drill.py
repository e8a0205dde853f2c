# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's scenario: a site backed up, its host lost, and restored onto a new one; nothing is left, also of a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.lab import remove_lab
from tests.lab.machine import LABS, lock

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[2]
NAME = "molecule-test"
RECAP = re.compile(r"^restore_drill > (\w+): Executed: (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Scenario:
    """How a run of the scenario ended."""

    code: int
    output: str

    @property
    def recap(self) -> list[tuple[str, str]]:
        """Each step, and how it ended."""
        return RECAP.findall(self.output)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """The lab that the scenario makes; what a run that was killed has left is removed with it."""
    with lock(LABS / f"{NAME}-run.lock"):
        yield Lab(NAME)
        remove_lab(NAME)


def molecule(lab: Lab, scratch: Path, *ansible_arguments: str) -> Scenario:
    """Run the scenario as `molecule test` does."""
    argv = ["molecule", "test", "--scenario-name", "restore_drill", "--", *ansible_arguments]
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


def test_a_lost_site_is_restored_onto_a_new_host(lab: Lab, tmp_path: Path) -> None:
    ended = molecule(lab, tmp_path)

    steps = ("destroy", "syntax", "create", "prepare", "converge", "idempotence", "side_effect", "verify", "destroy")
    assert ended.recap == [(step, "Successful") for step in steps], ended.output
    assert ended.code == 0, ended.output
    assert not lab.exists()


def test_a_failed_run_leaves_no_lab(lab: Lab, tmp_path: Path) -> None:
    ended = molecule(lab, tmp_path, "--extra-vars", "flatnet_hosts=nobody")

    assert ended.code == 2, ended.output
    assert ("create", "Successful") in ended.recap, ended.output
    assert ("converge", "Failed") in ended.recap, ended.output
    assert not lab.exists()
