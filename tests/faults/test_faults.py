# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault of a WSL2 host and its services is found, named, and harmless."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults import Fault, grafana, site
from tests.faults.world import World
from tests.lab import Lab

pytestmark = pytest.mark.site


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Lab(f"faults-{os.getpid()}") as lab:
        yield World(lab, tmp_path_factory.mktemp("reports"))


@pytest.mark.parametrize("fault", [*site.FAULTS, *grafana.FAULTS], ids=lambda fault: fault.id)
def test_fault_is_found_named_and_harmless(world: World, fault: Fault) -> None:
    world.renew()
    found = fault.inject(world)

    assert found.holds, found
