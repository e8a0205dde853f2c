# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open a run, and render what it has recorded."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import RECORDS
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import check_run
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import STATE_DIRECTORY, record_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.directory import ReportDirectory
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import (
    HostReport,
    RecordUnreadable,
    Report,
    Step,
    read_record,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import fails, reason_of

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["opened", "collected", "rendered"], "default": "rendered"},
    "run": {"type": "str"},
    "operation": {"type": "str"},
    "directory": {"type": "path", "default": "~/flatnet-reports"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "site": {"type": "str", "default": ""},
    "language": {"type": "str", "choices": ["ja", "en"], "default": "ja"},
    "off_host_copy": {"type": "bool", "default": False},
    "failure": {"type": "str", "default": ""},
    "state_directory": {"type": "str", "default": STATE_DIRECTORY},
}
REQUIRED_IF = [("state", "opened", ["operation"]), ("state", "collected", ["run"]), ("state", "rendered", ["run"])]


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no type hints
    """The action."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what ``state`` says."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _validation, options = self.validate_argument_spec(ARGUMENTS, required_if=REQUIRED_IF)
        opening = options["state"] == "opened"
        try:
            run = check_run(new_run(options["operation"]) if opening else options["run"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        directory = ReportDirectory(Path(options["directory"]).absolute(), run)
        try:
            if opening:
                result.update(open_run(directory, run, options))
            else:
                host = self._host(run, options, variables)
                directory.keep(host)
                if options["state"] == "rendered":
                    report = directory.publish(options["hosts"], options["language"])
                    result.update(rendered(directory, report, host, options["hosts"]))
        except OSError as error:
            raise AnsibleActionFail(
                f"the report of run {run} was expected to be written below {directory.path}, and the controller refused:"
                f" {error}; the record stays on the hosts, so report again with another directory"
            ) from error
        return {**result, "changed": False}

    def _host(self, run: str, options: Mapping[str, Any], variables: dict[str, Any]) -> HostReport:
        steps: tuple[Step, ...] = ()
        problem = ""
        if not self._task.check_mode:
            try:
                steps = read_record(self._record(run, options["state_directory"], variables), run)
            except (RecordUnreadable, AnsibleConnectionFailure, FileNotFoundError) as error:
                problem = str(error)
        host = variables["inventory_hostname"]
        return HostReport(
            host=host,
            site=options["site"] or variables.get("flatnet_site", host),
            steps=steps,
            failure=options["failure"] or problem,
            check_mode=self._task.check_mode,
            off_host_copy=options["off_host_copy"],
        )

    def _record(self, run: str, state_directory: str, variables: dict[str, Any]) -> str:
        path, slurp = str(RECORDS / f"{run}.jsonl"), "ansible.builtin.slurp"
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            path, slurp = record_of(state_directory, run), "ansible.windows.slurp"
        read = self._execute_module(slurp, module_args={"src": path}, task_vars=variables)
        if read.get("failed"):
            raise FileNotFoundError(
                f"the host was expected to hold the record {path}, and it cannot be read, so that nothing is known of what"
                f" was done: {read.get('msg')}"
            )
        return base64.b64decode(read["content"]).decode("utf-8", "replace")


def new_run(operation: str) -> str:
    """A run's id, by the controller's clock."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{operation}-{secrets.token_hex(2)}"


def open_run(directory: ReportDirectory, run: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Name a run, and write the report that stands if nobody ever reports."""
    if options["hosts"]:
        directory.publish(options["hosts"], options["language"])
    return {"id": run, "html": str(directory.html), "json": str(directory.json), "msg": f"run {run} is open"}


def rendered(directory: ReportDirectory, report: Report, host: HostReport, expected: list[str]) -> dict[str, Any]:
    """The result of a rendered report; a host that failed speaks for itself alone."""
    reason = reason_of(report.run, host)
    words = f"FAILED: {host.host}: {reason}" if reason else f"{report.verdict.upper()}: {report.message}"
    return {
        "id": report.run,
        "verdict": report.verdict,
        "html": str(directory.html),
        "json": str(directory.json),
        "msg": f"{words}; report: {directory.html}",
        "failed": fails(report, host, expected),
    }
