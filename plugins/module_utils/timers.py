# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Timers of systemd's, and the files that they need where there is no Ansible."""

from __future__ import annotations

import ast
import inspect
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Their sources are installed.
from ansible_collections.flatnet.ops.plugins.module_utils import generations, host_checks
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run

PROGRAMS = (generations.__name__, host_checks.__name__)
UNITS = Path("/etc/systemd/system")
STATE = ("LoadState", "UnitFileState", "ActiveState")
RUNNING = "loaded, enabled, active"
SERVICE = """\
# Made by flatnet.ops.setup, which writes it anew.
[Unit]
Description={description}
{on_failure}
[Service]
Type=oneshot
# With it, systemd sets HOME, which Ansible needs.
User=root
{environment}ExecStart={command}
"""
TIMER = """\
# Made by flatnet.ops.setup, which writes it anew.
[Unit]
Description={description}, at its time

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec={delay_seconds}

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class File:
    """A file as it should be; without content, there should be none."""

    path: Path
    content: str | None
    mode: int = 0o644

    def is_right(self) -> bool:
        """It is as it should be, and ours."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return self.content is None
        found = (status.st_mode, status.st_uid)
        return found == (stat.S_IFREG | self.mode, os.geteuid()) and self.text() == self.content

    def text(self) -> str:
        """What it holds now; nothing if it is not there."""
        return self.path.read_text("utf-8", "replace") if self.path.is_file() else ""

    def put(self, effects: Effects) -> None:
        """Make it so."""
        if self.content is None:
            effects.unlink(self.path)
            return
        for directory in reversed(self.path.parents):
            effects.make_directory(directory, 0o755)
        effects.write(self.path, self.content.encode("utf-8"), self.mode)


@dataclass(frozen=True)
class Timer:
    """A timer, and the service that it starts; a host may have to have neither.

    :param on_failure: the unit that is started when the service fails; empty if none is
    """

    name: str
    description: str
    command: str
    calendar: str
    delay_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    on_failure: str = ""
    here: bool = True

    @property
    def unit(self) -> str:
        """What systemd calls the timer."""
        return f"{self.name}.timer"

    @property
    def path(self) -> Path:
        """Where its unit is."""
        return UNITS / self.unit

    def files(self) -> list[File]:
        """Its unit, and the service's."""
        service = SERVICE.format(
            description=self.description,
            on_failure=f"OnFailure={self.on_failure}\n" if self.on_failure else "",
            environment="".join(f'Environment="{name}={value}"\n' for name, value in self.environment.items()),
            command=self.command,
        )
        timer = TIMER.format(description=self.description, calendar=self.calendar, delay_seconds=self.delay_seconds)
        places = ((self.path.with_suffix(".service"), service), (self.path, timer))
        return [File(path, text if self.here else None) for path, text in places]


def library(directory: Path) -> list[File]:
    """The sources of the programs and of all that they import, as Python finds them in this directory; no others."""
    sources: dict[str, str] = {}
    new = set(PROGRAMS)
    while new:
        sources.update({name: inspect.getsource(sys.modules[name]) for name in new})
        new = {name for source in sources.values() for name in imported(source)} - sources.keys()
    files = [
        File(directory.joinpath(*name.split(".")).with_suffix(".py"), text) for name, text in sorted(sources.items())
    ]
    wanted = [file.path for file in files]
    return files + [File(path, None) for path in wanted[0].parent.glob("*.py") if path not in wanted]


def imported(source: str) -> Iterator[str]:
    """The collection's modules that a source imports when it runs."""
    package = __name__.rpartition(".")[0]
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            yield str(node.module)


def states(timers: Sequence[Timer]) -> dict[str, str]:
    """By unit, whether a timer is loaded, enabled and active, in systemd's words.

    :raises CommandFailed: systemd does not answer
    """
    units = [timer.unit for timer in timers]
    if not units:
        return {}
    shown = run(["systemctl", "show", f"--property={','.join(STATE)}", "--", *units]).stdout
    found = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    return {unit: ", ".join(filter(None, map(state.get, STATE))) for unit, state in zip(units, found)}


class Installation:
    """Timers and files as a host should have them, and what is not so yet."""

    def __init__(self, files: Sequence[File], timers: Sequence[Timer]) -> None:
        """:raises CommandFailed: systemd does not answer"""
        self._timers = timers
        self.wrong = [
            file for file in (*files, *(file for timer in timers for file in timer.files())) if not file.is_right()
        ]
        self.states = states([timer for timer in timers if timer.here])
        self.resting = [unit for unit, state in self.states.items() if state != RUNNING]

    def install(self, effects: Effects) -> None:
        """Make it so.

        :raises CommandFailed: systemd refuses
        """
        changed = {file.path for file in self.wrong}
        gone = [timer.unit for timer in self._timers if not timer.here and timer.path in changed]
        due = [unit for unit in self.states if unit in self.resting or UNITS / unit in changed]
        if gone:
            effects.run(["systemctl", "disable", "--quiet", "--now", "--", *gone])
        for file in self.wrong:
            file.put(effects)
        # Also where no file has changed: a run that died may have left it undone.
        effects.run(["systemctl", "daemon-reload"])
        if due:
            effects.run(["systemctl", "enable", "--quiet", "--", *due])
            effects.run(["systemctl", "restart", "--", *due])
