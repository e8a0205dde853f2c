# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of the scheduler on a gateway's host, and the scripts that they run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import SCRIPTS

GATEWAY_TASK, TRANSACTION_TASK, WSL_TASK = "flatnet-gateway", "flatnet-transaction", "flatnet-wsl"
ROTATION_TASK = "flatnet-log-rotation"
# Where this collection keeps its own files on a host, if the site does not say otherwise.
STATE_DIRECTORY = r"C:\ProgramData\flatnet"
POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
_BOOT = "<BootTrigger><Enabled>true</Enabled></BootTrigger>"
# The repetition of a boot trigger begins with the next boot; this one has begun already.
_MINUTE = (
    "<TimeTrigger><Repetition><Interval>PT1M</Interval><StopAtDurationEnd>false</StopAtDurationEnd></Repetition>"
    "<StartBoundary>2026-01-01T00:00:00</StartBoundary><Enabled>true</Enabled></TimeTrigger>"
)


@dataclass(frozen=True)
class Task:
    """A task that the scheduler is to have."""

    name: str
    description: str
    triggers: tuple[str, ...]
    # What becomes of a start while an instance runs.
    policy: str
    # After which time an instance is ended, as an XML duration; PT0S is never.
    limit: str
    arguments: str

    def definition(self, account: str) -> str:
        """The XML of the task; its ``Source`` says which definition it is, whatever else the scheduler makes of it."""
        text = _DEFINITION.format(
            description=escape(self.description),
            triggers="".join(self.triggers),
            account=escape(account),
            policy=self.policy,
            limit=self.limit,
            command=escape(POWERSHELL),
            arguments=escape(f"-NoProfile -NonInteractive -ExecutionPolicy Bypass -File {self.arguments}"),
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        return text.replace("<Source/>", f"<Source>flatnet.ops {digest}</Source>")


_DEFINITION = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Source/><Description>{description}</Description></RegistrationInfo>
  <Triggers>{triggers}</Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{account}</UserId>
      <LogonType>S4U</LogonType>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>{policy}</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
    <Priority>5</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec>
  </Actions>
</Task>
"""


@dataclass(frozen=True)
class Installation:
    """What of ours lies on a gateway's host, and where."""

    prefix: str
    state_directory: str
    program: str
    configuration: str

    @property
    def transactions(self) -> str:
        """Where transactions are deposited, and the script that carries them out lies."""
        return f"{self.state_directory}\\transactions"

    @property
    def keeper(self) -> str:
        """The script that keeps the gateway."""
        return f"{self.state_directory}\\keep_gateway.ps1"

    @property
    def distribution_keeper(self) -> str:
        """The script that keeps the distribution of WSL2."""
        return f"{self.state_directory}\\keep_wsl.ps1"

    @property
    def distribution_log(self) -> str:
        """What came of the last attempt to keep that; open for as long as it is kept."""
        return f"{self.state_directory}\\wsl.log"

    def required(self) -> list[str]:
        """The files that a gateway has before anything of ours is there."""
        return [self.program, f"{self.prefix}\\{self.configuration}"]

    def folders(self) -> list[str]:
        """The folders that have to exist, those above first."""
        site = [f"{self.prefix}\\{name}" for name in ("logs", "temp", "html")]
        return [self.state_directory, self.transactions, *site]

    def files(self, distribution: str = "") -> dict[str, str]:
        """The content of our scripts, by path."""
        kept = {self.distribution_keeper: script("keep_wsl")} if distribution else {}
        return {f"{self.transactions}\\act.ps1": script("act"), self.keeper: script("keep_gateway"), **kept}

    def tasks(self, distribution: str = "") -> list[Task]:
        """The tasks that run them.

        :param distribution: the distribution of WSL2 that is to be kept; empty for none
        """
        kept = f'-Program "{self.program}" -Prefix "{self.prefix}" -Configuration "{self.configuration}"'
        return [
            Task(
                GATEWAY_TASK,
                "Keeps the gateway of flatnet: starts it at boot, and within a minute after it has ended.",
                (_BOOT, _MINUTE),
                "IgnoreNew",
                "PT0S",
                f'"{self.keeper}" {kept}',
            ),
            # Its instances run in parallel, so that a second one is there to refuse a second plan by name.
            Task(
                TRANSACTION_TASK,
                "Carries out the transactions of flatnet.ops, and takes up or undoes those that were cut.",
                (_BOOT,),
                "Parallel",
                "PT1H",
                f'"{self.transactions}\\act.ps1"',
            ),
            *([self._distribution_task(distribution)] if distribution else []),
        ]

    def _distribution_task(self, distribution: str) -> Task:
        return Task(
            WSL_TASK,
            "Keeps the WSL2 distribution of flatnet: starts it at boot, and within a minute after it has ended.",
            (_BOOT, _MINUTE),
            "IgnoreNew",
            "PT0S",
            f'"{self.distribution_keeper}" -Distribution "{distribution}" -Log "{self.distribution_log}"',
        )


def record_of(state_directory: str, run: str) -> str:
    """Where the record of a run lies."""
    return f"{state_directory}\\runs\\{run}.jsonl"


def script(name: str) -> str:
    """The text of a script of ours."""
    return (SCRIPTS / f"{name}.ps1").read_text("ascii")
