# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault of the gateway is found, named, and harmless."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults import Fault
from tests.faults.computer import Computer
from tests.faults.gateway import FAULTS
from tests.lab import Lab

pytestmark = [pytest.mark.gateway, pytest.mark.long]


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    with Lab(f"faulty-{os.getpid()}") as lab:
        yield Computer(lab, tmp_path_factory.mktemp("reports"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_fault_is_found_named_and_harmless(computer: Computer, fault: Fault) -> None:
    computer.renew()
    found = fault.inject(computer)

    assert found.holds, found
