# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action's argument spec is what its documentation says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml
from ansible_collections.flatnet.ops.plugins.action import report as action
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import check_run
from ansible_collections.flatnet.ops.plugins.modules import report as documented

pytestmark = pytest.mark.unit


def test_spec_equals_documentation() -> None:
    options = yaml.safe_load(documented.DOCUMENTATION)["options"]

    assert {
        name: {key: value for key, value in option.items() if key != "description"} for name, option in options.items()
    } == action.ARGUMENTS


def test_a_run_is_named_by_time_and_operation() -> None:
    run = check_run(action.new_run("backup"))

    began = datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - began).total_seconds()) < 60
    assert run.split("-")[1] == "backup"
    assert run != action.new_run("backup")
