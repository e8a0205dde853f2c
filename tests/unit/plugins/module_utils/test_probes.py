# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions asked again: the same words, the same instant, and any other answer is another answer."""

from __future__ import annotations

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.probes import Asked, ask_prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe

from tests.unit.plugins.module_utils.conftest import Server, vector

pytestmark = pytest.mark.unit


def test_questions_are_asked_again_as_they_were_asked() -> None:
    server = Server({"/api/v1/query": vector("9")})
    probes = [Probe("up", 1.0, "9"), Probe("down", 2.0, "9.0")]
    asked = ask_prometheus(Prometheus("http://h:9090", server, Effects()), probes)

    assert asked == [Asked("up", 1.0, "9", "9"), Asked("down", 2.0, "9.0", "9")]
    assert [one.same for one in asked] == [True, False]
    assert [params for _method, _path, params in server.asked] == [
        {"query": "up", "time": "1.000"},
        {"query": "down", "time": "2.000"},
    ]
