# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every action on a gateway has in common: its options, and how it reaches the host and fails."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_control import Transactions
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import TASKS, Gateway, gateway_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import GATEWAY_TASK, Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import Windows, WindowsError, WindowsUnreachable

# The options of doc fragment "gateway".
COMMON: dict[str, dict[str, Any]] = {
    "prefix": {"type": "str", "default": r"C:\openresty"},
    "program": {"type": "str"},
    "configuration": {"type": "str", "default": r"conf\nginx.conf"},
    "state_directory": {"type": "str", "default": r"C:\ProgramData\flatnet"},
    "port": {"type": "int", "default": 80},
    "timeout": {"type": "int", "default": 5},
}

# The requests that have to be answered before a change counts as good.
PROBES: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "path": {"type": "str", "required": True},
        "host": {"type": "str", "default": "localhost"},
        "status": {"type": "int", "default": 200},
        "pattern": {"type": "str", "default": ""},
        "seconds": {"type": "float", "default": 10.0},
    },
}


@dataclass(frozen=True)
class Site:
    """A gateway's host, and what of ours is there."""

    windows: Windows
    installation: Installation
    port: int
    timeout: int

    def look(self, error_lines: int = 5) -> Gateway:
        """What is known of the gateway now; one round trip."""
        answer = self.windows.run(
            "gateway_look",
            Prefix=self.installation.prefix,
            State=self.installation.state_directory,
            Port=self.port,
            Tasks=list(TASKS),
            ErrorLines=error_lines,
            TimeoutSeconds=self.timeout,
        )
        return gateway_of(self.installation.prefix, self.port, answer)

    @property
    def gateway(self) -> gateway_transaction.Gateway:
        """The gateway as transactions know it."""
        return gateway_transaction.Gateway(
            prefix=self.installation.prefix,
            program=self.installation.program,
            configuration=self.installation.configuration,
            error_log=rf"{self.installation.prefix}\logs\error.log",
            task=GATEWAY_TASK,
            port=self.port,
        )

    def transactions(self) -> Transactions:
        """The way to change something there."""
        return Transactions(self.windows, self.installation)


class GatewayAction(ActionBase):  # type: ignore[misc]  # ansible-core has no type hints
    """An action on a gateway."""

    _supports_check_mode = True
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do the work, and say in one sentence why it could not be done."""
        self._variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, self._variables)
        _validation, options = self.validate_argument_spec(self.all_arguments())
        installation = Installation(
            prefix=options["prefix"],
            state_directory=options["state_directory"],
            program=options["program"] or rf"{options['prefix']}\nginx.exe",
            configuration=options["configuration"],
        )
        windows = Windows(self._variables.get("inventory_hostname", "the host"), self._on_host)
        try:
            done = self.act(Site(windows, installation, options["port"], options["timeout"]), options)
        except WindowsUnreachable as error:
            raise AnsibleConnectionFailure(str(error)) from error
        except WindowsError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**result, **done}

    @classmethod
    def all_arguments(cls) -> dict[str, Mapping[str, Any]]:
        """Every option that the action takes."""
        return {**COMMON, **cls.arguments}

    @abstractmethod
    def act(self, site: Site, options: Mapping[str, Any]) -> dict[str, Any]:
        """Do the work, and return its result.

        :raises WindowsError: it could not be done
        """

    def _on_host(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            done: Mapping[str, Any] = self._execute_module(name, module_args=dict(arguments), task_vars=self._variables)
        except AnsibleConnectionFailure as error:
            # The next call has to begin anew.
            self._connection.reset()
            raise WindowsUnreachable(str(error)) from error
        return done
