# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an action on a gateway has done is recorded on the host, and a failure above all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import pytest
import requests
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Record, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Step, read_record
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import (
    Windows,
    WindowsError,
    WindowsRefused,
    WindowsUnreachable,
)
from winrm.exceptions import WinRMTransportError

pytestmark = pytest.mark.unit

RUN = "20261124T021500Z-start-3f9a"
INSTALLATION = Installation(r"C:\openresty", r"D:\flatnet", r"C:\openresty\nginx.exe", r"conf\nginx.conf")


class Host:
    """A host that keeps what it is given."""

    def __init__(self, *, full: bool = False) -> None:
        self._full = full
        self.lines = ""
        self.paths: list[str] = []

    def __call__(self, _name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._full:
            return {"failed": True, "msg": "there is not enough space on the disk"}
        self.lines += arguments["parameters"]["Line"]
        self.paths.append(arguments["parameters"]["Path"])
        return {"result": {"bytes": 1}}

    def record(self, run: str | None = RUN) -> Record:
        return Record(Windows("gateway1", self), INSTALLATION, run, "gateway", "gateway started")

    @property
    def step(self) -> Step:
        (step,) = read_record(self.lines, RUN)
        return step


def test_what_was_done_is_a_step_of_the_report() -> None:
    host = Host()
    done = Outcome(True, "it runs \u65e5", numbers={"gap_seconds": 0.1}, evidence={"transaction": "x"})

    assert host.record().carry_out(lambda: done) == done
    assert host.paths == [rf"D:\flatnet\runs\{RUN}.jsonl"]
    assert (host.step.module, host.step.step, host.step.status) == ("gateway", "gateway started", "good")
    assert (host.step.changed, host.step.message, host.step.numbers) == (True, done.message, done.numbers)
    assert host.lines.isascii()


def test_a_failure_is_recorded_and_stays_one() -> None:
    host = Host()

    with pytest.raises(WindowsRefused, match="the port is taken"):
        host.record().carry_out(refused)
    assert (host.step.status, host.step.changed, host.step.message) == ("failed", False, "the port is taken")


def test_a_failure_that_cannot_be_recorded_says_both() -> None:
    with pytest.raises(WindowsError, match=r"the port is taken; this could not be recorded .* not enough space"):
        Host(full=True).record().carry_out(refused)


def test_work_that_cannot_be_recorded_fails() -> None:
    with pytest.raises(WindowsRefused, match=r"record.ps1 was expected to answer on gateway1, .* not enough space"):
        Host(full=True).record().carry_out(lambda: Outcome(True, "it runs"))


def test_of_a_host_that_is_lost_nothing_is_recorded_there() -> None:
    host = Host()

    def lost() -> NoReturn:
        raise WindowsUnreachable("no route")

    with pytest.raises(WindowsUnreachable):
        host.record().carry_out(lost)
    assert host.lines == ""


def test_without_a_run_nothing_is_recorded() -> None:
    host = Host(full=True)

    assert host.record(run=None).carry_out(lambda: Outcome(False, "it runs")).message == "it runs"


class Connection:
    """A connection that cannot be made anew either."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1
        raise AnsibleConnectionFailure("still no route")


class Action(GatewayAction):
    """An action whose connection breaks."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._connection = Connection()
        self._variables: dict[str, Any] = {}

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        raise NotImplementedError

    def _execute_module(self, *_arguments: object, **_options: object) -> NoReturn:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        AnsibleConnectionFailure("timed out"),
        ConnectionResetError(104, "Connection reset by peer"),
        requests.exceptions.ConnectionError("Connection aborted."),
        WinRMTransportError("http", 500, "no such shell"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_is_begun_anew(error: Exception) -> None:
    action = Action(error)

    with pytest.raises(WindowsUnreachable):
        action._on_host("win_powershell", {})

    assert action._connection.resets == 1


def refused() -> NoReturn:
    raise WindowsRefused("the port is taken")
