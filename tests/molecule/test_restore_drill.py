# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site backed up, its host lost, and restored onto a new one; nothing is left, also of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Lab
from tests.molecule.scenario import STEPS, molecule

pytestmark = pytest.mark.site
SCENARIO = "restore_drill"


def test_a_lost_site_is_restored_onto_a_new_host(lab: Lab, tmp_path: Path) -> None:
    ended = molecule(SCENARIO, lab, tmp_path)

    assert ended.recap == [(step, "Successful") for step in STEPS], ended.output
    assert ended.code == 0, ended.output
    assert not lab.exists()


def test_a_failed_run_leaves_no_lab(lab: Lab, tmp_path: Path) -> None:
    ended = molecule(SCENARIO, lab, tmp_path, "--extra-vars", "flatnet_hosts=nobody")

    assert ended.code == 2, ended.output
    assert ("create", "Successful") in ended.recap, ended.output
    assert ("converge", "Failed") in ended.recap, ended.output
    assert not lab.exists()
