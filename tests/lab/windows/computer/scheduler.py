# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task scheduler: keeps the tasks, starts them when they are due, and ends them when their time is over."""

from __future__ import annotations

import re
import subprocess
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .clock import Clock
from .tasks import Action, BadTask, Task, Trigger, parse_task, with_enabled
from .wine import HOME, SYSTEM, Wine, end, windows_argv

MARK = "FLATNET_LAB_TASK"
# Constants of the Task Scheduler; errors of Windows for a program and for a working directory that are not there.
IS_RUNNING, HAS_NOT_RUN, TERMINATED = 0x41301, 0x41303, 0x41306
FILE_NOT_FOUND, NO_DIRECTORY = 0x80070002, 0x8007010B
TICK = 0.1
VARIABLES = {
    "SYSTEMROOT": r"C:\windows",
    "WINDIR": r"C:\windows",
    "SYSTEMDRIVE": "C:",
    "PROGRAMDATA": r"C:\ProgramData",
    "PROGRAMFILES": r"C:\Program Files",
    "USERPROFILE": HOME,
}


class Refusal(ValueError):
    """The scheduler refuses, in the words that schtasks prints after `ERROR: `."""


@dataclass
class Instance:
    """One run of a task."""

    process: subprocess.Popen[bytes]
    mark: str
    ends: datetime | None
    waiting: list[Action]


@dataclass
class Entry:
    """A task that is registered."""

    xml: str
    task: Task
    registered: datetime
    # Where each trigger's time goes on: what fired at or before it has been dealt with.
    looked: datetime
    instances: list[Instance] = field(default_factory=list)
    queued: int = 0
    last_run: datetime | None = None
    last_result: int = HAS_NOT_RUN


class Scheduler:
    """The tasks of one computer; their XML lies where Windows has it."""

    def __init__(self, wine: Wine, clock: Clock) -> None:
        self._wine, self._clock = wine, clock
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._booted: datetime | None = None
        self._folder = wine.prefix / "drive_c" / "windows" / "system32" / "Tasks"
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(path for path in self._folder.rglob("[!.]*") if path.is_file()):
            name = "\\" + str(path.relative_to(self._folder)).replace("/", "\\")
            xml = path.read_text("utf-16")
            # Registered before the computer was started, whenever that was.
            beginning = datetime.fromtimestamp(0, UTC)
            self._entries[name] = Entry(xml, parse_task(xml), beginning, beginning)

    def boot(self) -> None:
        """The computer has started: boot triggers fire."""
        with self._lock:
            now = self._clock.now()
            for entry in self._entries.values():
                entry.looked = before(now)
            self._booted = now
        threading.Thread(target=self._work, args=(now,), daemon=True).start()

    def shut_down(self) -> None:
        """The computer goes down: nothing runs any more, and nothing starts."""
        with self._lock:
            self._booted = None
            for entry in self._entries.values():
                entry.queued = 0
                for instance in entry.instances:
                    instance.waiting.clear()

    def _work(self, booted: datetime) -> None:
        """Look again and again, until the computer goes down."""
        while True:
            with self._lock:
                if self._booted != booted:
                    return
                now = self._clock.now()
                for name, entry in self._entries.items():
                    self._collect(name, entry, now)
                    self._fire(name, entry, booted, now)
            threading.Event().wait(TICK)

    def _fire(self, name: str, entry: Entry, booted: datetime, now: datetime) -> None:
        """Start a task as often as its triggers have fired since the last look, each trigger once at most."""
        since, entry.looked = entry.looked, now
        for trigger in entry.task.triggers if entry.task.enabled else ():
            due = trigger.next(since, booted, entry.registered)
            if due is not None and due <= now:
                self._begin(name, entry, now)

    def _begin(self, name: str, entry: Entry, now: datetime) -> None:
        """Start a new instance, if the task's policy lets it start."""
        if entry.instances and entry.task.policy == "IgnoreNew":
            return
        if entry.instances and entry.task.policy == "Queue":
            entry.queued += 1
            return
        if entry.task.policy == "StopExisting":
            self._stop(entry)
        self._start(name, entry, list(entry.task.actions), now)

    def _start(self, name: str, entry: Entry, actions: list[Action], now: datetime) -> None:
        """Start the first of the actions; the others follow when it has ended."""
        action, *waiting = actions
        entry.last_run, entry.last_result = now, IS_RUNNING
        program = expanded(action.command)
        path = self._wine.path(program if "\\" in program else f"{SYSTEM}\\{program}")
        if path is None or not path.is_file():
            entry.last_result = FILE_NOT_FOUND
            return
        directory = expanded(action.directory) or SYSTEM
        if self._wine.path(directory) is None:
            entry.last_result = NO_DIRECTORY
            return
        mark = f"{name} {uuid.uuid4()}"
        process = self._wine.start(
            [program, *windows_argv(expanded(action.arguments))],
            variables={MARK: mark},
            directory=directory,
        )
        limit = entry.task.time_limit
        entry.instances.append(Instance(process, mark, now + limit if limit else None, waiting))

    def _collect(self, name: str, entry: Entry, now: datetime) -> None:
        """See which instances have ended, and end those whose time is over."""
        for instance in list(entry.instances):
            code = instance.process.poll()
            if code is None and instance.ends is not None and now >= instance.ends:
                self._terminate(entry, instance)
            elif code is not None:
                entry.instances.remove(instance)
                entry.last_result = code if code >= 0 else TERMINATED
                if instance.waiting:
                    self._start(name, entry, instance.waiting, now)
        if entry.queued and not entry.instances:
            entry.queued -= 1
            self._start(name, entry, list(entry.task.actions), now)

    def _terminate(self, entry: Entry, instance: Instance) -> None:
        """End an instance with everything that it has started."""
        entry.instances.remove(instance)
        while pids := self._wine.processes(MARK, instance.mark):
            end(pids)
        instance.process.wait()
        entry.last_result = TERMINATED

    def _stop(self, entry: Entry) -> None:
        for instance in list(entry.instances):
            self._terminate(entry, instance)

    def _entry(self, name: str) -> tuple[str, Entry]:
        """A task by its name, in whichever case."""
        wanted = "\\" + name.strip("\\")
        for known, entry in self._entries.items():
            if known.casefold() == wanted.casefold():
                return known, entry
        raise Refusal("The system cannot find the file specified.")

    def create(self, name: str, xml: str, replace: bool) -> None:
        """Register a task; a running instance of the one that it replaces runs on, and counts."""
        with self._lock:
            try:
                task = parse_task(xml)
            except BadTask as error:
                raise Refusal(str(error)) from error
            try:
                known, former = self._entry(name)
            except Refusal:
                known, instances = "\\" + name.strip("\\"), []
            else:
                if not replace:
                    raise Refusal("Cannot create a file when that file already exists.")
                instances = former.instances
            now = self._clock.now()
            self._entries[known] = Entry(xml, task, now, before(now), instances)
            self._write(known)

    def enable(self, name: str, enabled: bool) -> None:
        """Enable or disable a task: it is registered again, with all that follows for its boot trigger."""
        with self._lock:
            known, entry = self._entry(name)
            entry.xml = with_enabled(entry.xml, enabled)
            entry.task = parse_task(entry.xml)
            entry.registered = self._clock.now()
            entry.looked = before(entry.registered)
            self._write(known)

    def delete(self, name: str) -> None:
        """Remove a task; what it has started runs on."""
        with self._lock:
            known = self._entry(name)[0]
            del self._entries[known]
            self._path(known).unlink()

    def run(self, name: str) -> None:
        """Start a task on demand."""
        with self._lock:
            known, entry = self._entry(name)
            if not entry.task.enabled:
                raise Refusal("The task is disabled.")
            if not entry.task.on_demand:
                raise Refusal("The task cannot be started on demand.")
            now = self._clock.now()
            self._collect(known, entry, now)
            self._begin(known, entry, now)

    def stop(self, name: str) -> None:
        """End every running instance of a task."""
        with self._lock:
            entry = self._entry(name)[1]
            self._stop(entry)

    def describe(self, name: str | None = None) -> list[dict[str, Any]]:
        """What there is to know of one task, or of all."""
        with self._lock:
            now = self._clock.now()
            names = [self._entry(name)[0]] if name else sorted(self._entries)
            for known in names:
                self._collect(known, self._entries[known], now)
            return [self._described(known, self._entries[known], now) for known in names]

    def _described(self, name: str, entry: Entry, now: datetime) -> dict[str, Any]:
        due = [self._next(trigger, entry, now) for trigger in entry.task.triggers]
        times = [each for each in due if each is not None] if entry.task.enabled else []
        return {
            "name": name,
            "xml": entry.xml,
            "enabled": entry.task.enabled,
            "running": len(entry.instances),
            "last_run": entry.last_run.isoformat() if entry.last_run else None,
            "last_result": entry.last_result,
            "next_run": min(times).isoformat() if times else None,
            "user": entry.task.user,
        }

    def _next(self, trigger: Trigger, entry: Entry, now: datetime) -> datetime | None:
        return trigger.next(now, self._booted, entry.registered) if self._booted else None

    def _path(self, name: str) -> Path:
        return self._folder.joinpath(*name.strip("\\").split("\\"))

    def _write(self, name: str) -> None:
        """Keep the XML as Windows does: UTF-16 with a byte order mark."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.new")
        partial.write_bytes(b"\xff\xfe" + self._entries[name].xml.lstrip("\ufeff").encode("utf-16-le"))
        partial.replace(path)


def before(point: datetime) -> datetime:
    """The last moment before a point in time."""
    return point - datetime.resolution


def expanded(text: str) -> str:
    """A text with the variables of Windows in it replaced."""
    return re.sub(r"%([^%]+)%", lambda match: VARIABLES.get(match[1].upper(), match[0]), text)
