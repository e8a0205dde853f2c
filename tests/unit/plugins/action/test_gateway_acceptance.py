# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run reaches a host is what its connection plugin does, not what the inventory seems to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.action.gateway_acceptance import ActionModule, comes_back
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import Connection, Result
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import gateway_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

pytestmark = pytest.mark.unit

MASTER = {"pid": 100, "path": r"C:\openresty\nginx.exe", "started": "2026-11-24T02:15:00Z", "master": True}
TASK = '<Task xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Settings><Enabled>{enabled}</Enabled></Settings></Task>'
LOOK: dict[str, Any] = {
    "installed": True,
    "listening": True,
    "answer": None,
    "owners": [],
    "pid_file": None,
    "program": "",
    "version": None,
    "configuration": [],
    "errors": [],
    "transactions": [],
}
RESULT = Result(1, "gateway1", "2026-12-01T09:30:00Z", None, {"windows": "日本語"}, [])


class Plugin:
    """A connection plugin with its options."""

    def __init__(self, name: str, /, **options: Any) -> None:
        self.transport = name
        self._options = options

    def get_option(self, name: str) -> Any:
        return self._options[name]


class Action(ActionModule):
    """The action, with a connection of its own."""

    def __init__(self, plugin: Plugin | None = None, **variables: Any) -> None:
        self._connection, self._variables = plugin, variables


@pytest.mark.parametrize(
    ("plugin", "variables", "expected"),
    [
        (Plugin("winrm", scheme=None, port=5986, transport=["basic"]), {}, ("https", True, "basic")),
        (Plugin("winrm", scheme=None, port=5985, transport=None), {}, ("http", True, "ssl")),
        (Plugin("winrm", scheme="https", port=5985, transport=["ntlm"]), {}, ("https", True, "ntlm")),
        (
            Plugin("winrm", scheme="https", port=5986, transport=["ntlm"]),
            {"ansible_winrm_server_cert_validation": "ignore"},
            ("https", False, "ntlm"),
        ),
        (
            Plugin("psrp", protocol=None, port=5986, cert_validation="validate", auth="kerberos"),
            {},
            ("https", True, "kerberos"),
        ),
        (
            Plugin("psrp", protocol="https", port=5986, cert_validation=False, auth="negotiate"),
            {},
            ("https", False, "negotiate"),
        ),
        (Plugin("ssh"), {}, ("ssh", False, "another way")),
    ],
)
def test_how_a_host_is_reached(plugin: Plugin, variables: dict[str, Any], expected: tuple[str, bool, str]) -> None:
    connection = Action(plugin, **variables)._connected()

    assert connection == Connection(plugin.transport, *expected)


def test_a_result_is_written_whole_and_in_words_that_people_read(tmp_path: Path) -> None:
    path = Action()._write(RESULT, tmp_path / "new" / "acceptance.json")

    assert json.loads(path.read_text("utf-8")) == RESULT.dump()
    assert "日本語" in path.read_text("utf-8")


def test_a_result_that_cannot_be_written_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        WindowsError, match=r"was expected to be written to .* name another file with flatnet_acceptance_file"
    ):
        Action()._write(RESULT, tmp_path / "file" / "acceptance.json")


@pytest.mark.parametrize(
    ("enabled", "runs", "expected"), [("true", True, True), ("false", True, False), ("true", False, False)]
)
def test_only_a_gateway_that_is_kept_may_be_ended(enabled: str, runs: bool, expected: bool) -> None:
    xml = TASK.format(enabled=enabled)
    look = {**LOOK, "tasks": [{"name": "flatnet-gateway", "xml": xml}], "processes": [MASTER] if runs else []}

    assert comes_back(gateway_of(r"C:\openresty", 80, look)) is expected
