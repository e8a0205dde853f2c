# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What setup says of its timers in two places."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.flatnet.ops.plugins.module_utils import host_checks

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = yaml.safe_load((ROOT / "roles/flatnet_setup/vars/main.yml").read_text("utf-8"))


def test_each_timer_can_be_late() -> None:
    timers = [timer["name"] for timer in VARIABLES["flatnet_setup_timers"]]

    assert timers
    assert list(VARIABLES["flatnet_setup_max_seconds"]) == timers


def test_programs_name_the_package_that_is_installed() -> None:
    assert f"{VARIABLES['flatnet_setup_package']}.host_checks" == host_checks.__name__
