# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of Molecule's scenarios share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.lab import remove_lab
from tests.lab.machine import LABS, lock
from tests.molecule.scenario import NAME


@pytest.fixture
def lab() -> Iterator[Lab]:
    """The lab that a scenario makes; what a run that was killed has left is removed with it."""
    with lock(LABS / f"{NAME}-run.lock"):
        yield Lab(NAME)
        remove_lab(NAME)
