# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one of our PowerShell scripts on a Windows host, and take nothing but its answer for an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

SCRIPTS = Path(__file__).with_name("powershell")
CARRIER = "ansible.windows.win_powershell"
# What our answers hold is nested no deeper.
DEPTH = 6

Execute = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class WindowsError(Exception):
    """What was wanted of the Windows host did not happen."""


class WindowsRefused(WindowsError):
    """A script did not do its work on the Windows host."""


class WindowsUnreachable(WindowsError):
    """The Windows host could not be reached, or went away while a script ran."""


class Windows:
    """A Windows host, by whatever runs a module there."""

    def __init__(self, host: str, execute: Execute) -> None:
        """
        :param host: what the host is called in messages
        :param execute: runs a module by name with these arguments, and returns its result
        """
        self.host = host
        self._execute = execute

    def run(self, script: str, **parameters: object) -> Mapping[str, Any]:
        """What a script of ours answers; one round trip.

        :param script: the name of a file in ``powershell``, without its ending
        :raises WindowsRefused: it failed, was skipped, or answered nothing
        :raises WindowsUnreachable: nobody knows whether it ran
        """
        arguments = {
            "script": (SCRIPTS / f"{script}.ps1").read_text("ascii"),
            "parameters": parameters,
            "error_action": "stop",
            "depth": DEPTH,
        }
        done = self._execute(CARRIER, arguments)
        answer = _answer(done.get("result"))
        if done.get("failed") or done.get("skipped") or answer is None:
            if said := _thrown(done):
                raise WindowsRefused(f"on {self.host}, {said}")
            raise WindowsRefused(
                f"{script}.ps1 was expected to answer on {self.host}, and {_why(done)}: find out whether WinRM and PowerShell"
                " work there with ansible.windows.win_ping, and run again"
            )
        return answer


def _answer(result: object) -> Mapping[str, Any] | None:
    """The object that a script has answered, as it is or in JSON."""
    if isinstance(result, str):
        with suppress(ValueError):
            result = json.loads(result)
    return result if isinstance(result, Mapping) else None


def _thrown(done: Mapping[str, Any]) -> str:
    """The sentence that a script of ours has thrown, which says what to do; of any other error Windows' name is not its text."""
    for error in done.get("error") or []:
        said = str((error.get("exception") or {}).get("message") or "")
        if said and error.get("fully_qualified_error_id") == said:
            return " ".join(said.split())
    return ""


def _why(done: Mapping[str, Any]) -> str:
    """What came instead of an answer."""
    if done.get("skipped"):
        return "was skipped"
    errors = done.get("error") or []
    if errors:
        position = next(iter((errors[0].get("script_stack_trace") or "").splitlines()), "")
        # What PowerShell would print of an error has many lines; what was thrown says it.
        said = (errors[0].get("exception") or {}).get("message") or errors[0].get("output", "")
        return f"failed with '{' '.join(said.split())}' ({position})"
    if done.get("failed"):
        return f"failed with '{done.get('msg', 'no message')}'"
    return "answered nothing"
