# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration rolled out; two that are bad and do not stay; the old one is still in effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.windows.powershell import missing
from tests.molecule.scenario import STEPS, molecule

pytestmark = [pytest.mark.gateway, pytest.mark.skipif(bool(missing()), reason=missing())]


def test_what_must_not_stay_is_taken_back(lab: Lab, tmp_path: Path) -> None:
    ended = molecule("config_rollout", lab, tmp_path)

    assert ended.recap == [(step, "Successful") for step in STEPS], ended.output
    assert ended.code == 0, ended.output
    assert not lab.exists()
