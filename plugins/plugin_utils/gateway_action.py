# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every action on a gateway has in common: its options, and how it reaches the host and fails."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, ClassVar

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS, Step, check_run, line_of
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_control import NotCarriedOut, Transactions
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import TASKS, Gateway, gateway_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import (
    GATEWAY_TASK,
    STATE_DIRECTORY,
    Installation,
    record_of,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import Windows, WindowsError, WindowsUnreachable

try:
    from winrm.exceptions import WinRMError, WinRMTransportError
except ImportError:
    # Another connection than winrm reaches the host.
    LOST: tuple[type[Exception], ...] = (AnsibleConnectionFailure, OSError)
else:
    # The connection plugin lets through what its library says of a connection that breaks, or of a shell that a reboot has ended.
    LOST = (AnsibleConnectionFailure, OSError, WinRMError, WinRMTransportError)

# The options of doc fragments "gateway" and "recorded".
COMMON: dict[str, dict[str, Any]] = {
    **RECORDED_OPTIONS,
    "prefix": {"type": "str", "default": r"C:\openresty"},
    "program": {"type": "str"},
    "configuration": {"type": "str", "default": r"conf\nginx.conf"},
    "state_directory": {"type": "str", "default": STATE_DIRECTORY},
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

UNCHANGED = {"transaction": None, "gap_ms": None}


@dataclass(frozen=True)
class Site:
    """A gateway's host, and what of ours is there."""

    windows: Windows
    installation: Installation
    port: int
    timeout: int

    def look(self, error_lines: int = 5, *, name_owners: bool = False) -> Gateway:
        """What is known of the gateway now; one round trip.

        :param name_owners: have Windows name those who listen on the port, which takes longer, also where they are ours
        """
        answer = self.windows.run(
            "gateway_look",
            Prefix=self.installation.prefix,
            State=self.installation.state_directory,
            Port=self.port,
            Tasks=list(TASKS),
            ErrorLines=error_lines,
            TimeoutSeconds=self.timeout,
            Named=name_owners,
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

    def settled(self, *, check: bool) -> tuple[Gateway, str]:
        """What is known of the gateway, after a transaction that was cut has been taken up or undone; and in words what came of that.

        :param check: leave it as it is, and say what would be done
        :raises WindowsError: it could not be settled
        """
        gateway = self.look()
        if gateway.cut is None:
            return gateway, ""
        if check:
            return gateway, f"the transaction {gateway.cut.id}, which was cut, would be taken up or undone first; "
        settled = Transactions(self.windows, self.installation).take_up(gateway.cut.id)
        return self.look(), f"first, {settled.sentence}; "

    def changed_by(self, plan: Plan, about: str = "") -> Outcome:
        """Have the host carry out a plan, and say what came of it.

        :param about: what to say before that
        :raises WindowsError: it was refused, undone or stranded, or its end is not known
        """
        done = Transactions(self.windows, self.installation).carry_out(plan)
        return Outcome(
            True,
            about + done.sentence,
            numbers={} if done.gap_ms is None else {"gap_seconds": done.gap_ms / 1000},
            evidence={"transaction": done.id},
            values={"transaction": done.id, "gap_ms": done.gap_ms},
        )


@dataclass(frozen=True)
class Record:
    """What a run has done on a gateway's host, kept there for the report."""

    windows: Windows
    installation: Installation
    run: str | None
    module: str
    step: str

    def carry_out(self, work: Callable[[], Outcome]) -> Outcome:
        """Do the work, and record how it ended; of a host that is lost, its report says so.

        :raises WindowsError: it could not be done, or not be recorded
        """
        began = time.monotonic()
        try:
            outcome = work()
        except WindowsUnreachable:
            raise
        except WindowsError as error:
            try:
                self._append(began, Outcome(False, str(error), status="failed"))
            except WindowsError as unrecorded:
                raise WindowsError(f"{error}; this could not be recorded on the host: {unrecorded}") from error
            raise
        self._append(began, outcome)
        return outcome

    def _append(self, began: float, outcome: Outcome) -> None:
        if self.run is None:
            return
        step = Step(
            module=self.module,
            step=self.step,
            status=outcome.status,
            changed=outcome.changed,
            message=outcome.message,
            seconds=time.monotonic() - began,
            numbers=outcome.numbers,
            evidence=outcome.evidence,
        )
        self.windows.run(
            "record", Path=record_of(self.installation.state_directory, self.run), Line=line_of(self.run, step)
        )


class GatewayAction(ActionBase):  # type: ignore[misc]  # ansible-core has no type hints
    """An action on a gateway."""

    _supports_check_mode = True
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    # What holds between them, by the names that a module has for it.
    rules: ClassVar[Mapping[str, Any]] = {}
    # What the report calls it, with options in braces.
    step: ClassVar[str] = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do the work, and say in one sentence why it could not be done."""
        self._variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, self._variables)
        _validation, options = self.validate_argument_spec(self.all_arguments(), **self.rules)
        installation = Installation(
            prefix=options["prefix"],
            state_directory=options["state_directory"],
            program=options["program"] or rf"{options['prefix']}\nginx.exe",
            configuration=options["configuration"],
        )
        host = self._task.delegate_to or self._variables.get("inventory_hostname", "the host")
        windows = Windows(host, self._on_host)
        try:
            run = None if options["run"] is None or self._task.check_mode else check_run(options["run"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        record = Record(windows, installation, run, self._task.action.rpartition(".")[2], self.step.format_map(options))
        try:
            outcome = record.carry_out(
                lambda: self.act(Site(windows, installation, options["port"], options["timeout"]), options)
            )
        except WindowsUnreachable as error:
            raise AnsibleConnectionFailure(str(error)) from error
        except NotCarriedOut as error:
            raise AnsibleActionFail(str(error), result={"transaction_state": error.verdict}) from error
        except WindowsError as error:
            raise AnsibleActionFail(str(error)) from error
        diff = {} if outcome.diff is None else {"diff": outcome.diff}
        failed = {"failed": True} if outcome.status == "failed" else {}
        return {**result, **outcome.values, **diff, **failed, "changed": outcome.changed, "msg": outcome.message}

    @classmethod
    def all_arguments(cls) -> dict[str, Mapping[str, Any]]:
        """Every option that the action takes."""
        return {**COMMON, **cls.arguments}

    @abstractmethod
    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Do the work.

        :raises WindowsError: it could not be done
        """

    def _on_host(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            done: Mapping[str, Any] = self._execute_module(name, module_args=dict(arguments), task_vars=self._variables)
        except LOST as error:
            # The next call has to begin anew, whether or not the host can be reached already.
            with suppress(*LOST):
                self._connection.reset()
            raise WindowsUnreachable(str(error)) from error
        return done
