# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CNI plugins say of their version."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import cni

pytestmark = pytest.mark.unit

OWN = """#!/bin/sh
[ "$CNI_COMMAND" = VERSION ] && echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"], "flatnetVersion": "1.0.0"}'
"""
STANDARD = """#!/bin/sh
read -r question
echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}'
"""


@pytest.mark.parametrize(
    ("program", "version"),
    [
        pytest.param(OWN, "1.0.0", id="a version of its own"),
        pytest.param(STANDARD, "CNI 1.0.0", id="the newest of the protocol"),
        pytest.param("#!/bin/sh\nexit 1\n", "unknown", id="an error"),
        pytest.param("#!/bin/sh\necho no\n", "unknown", id="no JSON"),
        pytest.param("#!/bin/sh\necho '[]'\n", "unknown", id="another JSON"),
        pytest.param("#!/bin/sh\nexec sleep 60\n", "unknown", id="no answer"),
    ],
)
def test_a_plugin_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, version: str) -> None:
    monkeypatch.setattr(cni, "ANSWER_SECONDS", 1)
    plugin = tmp_path / "flatnet-cni"
    plugin.write_text(program)
    plugin.chmod(0o755)
    (tmp_path / "README").write_text("no plugin\n")

    assert cni.versions(tmp_path) == {"flatnet-cni": version}
