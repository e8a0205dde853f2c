# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a gateway on Windows."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import TASKS, Gateway, gateway_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import Windows, WindowsRefused

ARGUMENTS: dict[str, dict[str, Any]] = {
    "prefix": {"type": "str", "default": r"C:\openresty"},
    "state_directory": {"type": "str", "default": r"C:\ProgramData\flatnet"},
    "port": {"type": "int", "default": 80},
    "error_lines": {"type": "int", "default": 5},
    "timeout": {"type": "int", "default": 5},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no type hints
    """The action."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask once, and say what it means."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _validation, options = self.validate_argument_spec(ARGUMENTS)
        host = variables.get("inventory_hostname", "the host")
        windows = Windows(host, lambda name, given: self._execute_module(name, module_args=given, task_vars=variables))
        try:
            look = windows.run(
                "gateway_look",
                Prefix=options["prefix"],
                State=options["state_directory"],
                Port=options["port"],
                Tasks=list(TASKS),
                ErrorLines=options["error_lines"],
                TimeoutSeconds=options["timeout"],
            )
        except WindowsRefused as error:
            raise AnsibleActionFail(str(error)) from error
        gateway = gateway_of(options["prefix"], options["port"], look)
        return {**result, **shown(gateway), "changed": False, "msg": gateway.sentence}


def shown(gateway: Gateway) -> dict[str, Any]:
    """What a play gets to know of a gateway."""
    return {
        "state": gateway.state,
        "version": gateway.version,
        "since": gateway.since,
        "program": gateway.program,
        "identity": vars(gateway.identity) if gateway.identity else None,
        "masters": [each.pid for each in gateway.masters],
        "workers": [each.pid for each in gateway.workers],
        "configuration": sorted(gateway.configuration),
        "generation": gateway.digest,
        "errors": list(gateway.errors),
        "tasks": {task.name: {"enabled": task.enabled, "command": task.command} for task in gateway.tasks},
        "findings": [vars(finding) for finding in gateway.findings],
    }
