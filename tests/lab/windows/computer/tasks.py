# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scheduled task: what its XML says, and when its triggers fire."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
DAY = timedelta(days=1)
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
PARTS = ("RegistrationInfo", "Triggers", "Settings", "Data", "Principals", "Actions")
POLICIES = ("Parallel", "Queue", "IgnoreNew", "StopExisting")
LOGONS = ("S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword")
# What an element of the settings holds: a truth, a duration, or a number between two others.
SETTINGS: dict[str, type[bool | timedelta] | tuple[int, int] | None] = {
    "AllowHardTerminate": bool,
    "AllowStartOnDemand": bool,
    "DeleteExpiredTaskAfter": timedelta,
    "DisallowStartIfOnBatteries": bool,
    "DisallowStartOnRemoteAppSession": bool,
    "Enabled": bool,
    "ExecutionTimeLimit": timedelta,
    "Hidden": bool,
    "IdleSettings": None,
    "MultipleInstancesPolicy": None,
    "NetworkSettings": None,
    "Priority": (0, 10),
    "RestartOnFailure": None,
    "RunOnlyIfIdle": bool,
    "RunOnlyIfNetworkAvailable": bool,
    "StartWhenAvailable": bool,
    "StopIfGoingOnBatteries": bool,
    "UseUnifiedSchedulingEngine": bool,
    "Volatile": bool,
    "WakeToRun": bool,
}
# What happens in no lab: nobody logs in, no event is logged, nobody is idle.
NEVER = ("EventTrigger", "IdleTrigger", "LogonTrigger", "SessionStateChangeTrigger")
TRIGGERS = ("BootTrigger", "CalendarTrigger", "RegistrationTrigger", "TimeTrigger", *NEVER)
OF_A_TRIGGER = (
    *("Delay", "Enabled", "EndBoundary", "ExecutionTimeLimit", "Repetition", "ScheduleByDay", "StartBoundary"),
    *("StateChange", "Subscription", "UserId", "ValueQueries"),
)


class BadTask(Exception):
    """The XML is no task, in the words that schtasks prints."""


def unexpected(element: ET.Element) -> BadTask:
    """What the service says of an element that its schema does not have."""
    return BadTask(f"The task XML contains an unexpected node.\n{local(element)}")


def malformed(name: str, value: str) -> BadTask:
    """What the service says of a value that its schema does not allow."""
    return BadTask(f"The task XML contains a value which is incorrectly formatted or out of range.\n{name}:{value}")


@dataclass(frozen=True)
class Repetition:
    """How often a trigger fires again."""

    interval: timedelta
    duration: timedelta | None = None


@dataclass(frozen=True)
class Trigger:
    """What starts a task."""

    kind: str
    enabled: bool = True
    start: datetime | None = None
    end: datetime | None = None
    delay: timedelta = timedelta()
    repetition: Repetition | None = None
    days: int = 1

    def next(self, after: datetime, booted: datetime, registered: datetime) -> datetime | None:
        """When it fires next, later than a point in time; None when it does not."""
        if not self.enabled or self.kind in NEVER:
            return None
        first = self._first(after, booted, registered)
        if first is None:
            return None
        fires = self._repeated(first, after)
        if fires is None and self.kind == "CalendarTrigger":
            fires = self._repeated(first + self.days * DAY, after)
        return None if fires is None or (self.end and fires > self.end) else fires

    def _first(self, after: datetime, booted: datetime, registered: datetime) -> datetime | None:
        """When its present pattern of repetitions begins."""
        if self.kind == "BootTrigger":
            # A task that is registered, or changed, while the computer runs waits for the next boot.
            return (
                booted + self.delay if registered <= booted and (self.start is None or booted >= self.start) else None
            )
        if self.kind == "RegistrationTrigger":
            return registered + self.delay
        if self.start is None:
            return None
        if self.kind == "CalendarTrigger" and after > self.start:
            return self.start + (after - self.start) // (self.days * DAY) * (self.days * DAY)
        return self.start

    def _repeated(self, first: datetime, after: datetime) -> datetime | None:
        """The first repetition later than a point in time, of a pattern that begins at another."""
        if first > after:
            return first
        if self.repetition is None:
            return None
        times = (after - first) // self.repetition.interval + 1
        fires = first + times * self.repetition.interval
        return None if self.repetition.duration and fires > first + self.repetition.duration else fires


@dataclass(frozen=True)
class Action:
    """A program that a task runs."""

    command: str
    arguments: str = ""
    directory: str = ""


@dataclass(frozen=True)
class Task:
    """What the XML of a task says."""

    triggers: tuple[Trigger, ...]
    actions: tuple[Action, ...]
    enabled: bool = True
    on_demand: bool = True
    policy: str = "IgnoreNew"
    time_limit: timedelta | None = timedelta(hours=72)
    user: str = ""


def parse_task(text: str) -> Task:
    """Read the XML of a task as the service would.

    :raises BadTask: it would refuse it
    """
    try:
        root = ET.fromstring(re.sub(r"^\ufeff?<\?xml[^>]*\?>", "", text))
    except ET.ParseError as error:
        raise BadTask(f"The task XML is malformed.\n{error}") from error
    if root.tag != f"{{{NAMESPACE}}}Task":
        raise unexpected(root)
    for child in root:
        if local(child) not in PARTS:
            raise unexpected(child)
    settings = {local(child): child for child in part(root, "Settings")}
    for name, child in settings.items():
        check_setting(name, child)
    policy = value(settings, "MultipleInstancesPolicy", "IgnoreNew")
    if policy not in POLICIES:
        raise malformed("MultipleInstancesPolicy", policy)
    actions = tuple(parse_action(child) for child in part(root, "Actions"))
    if not actions:
        raise BadTask("The task XML is missing a required element or attribute.\nActions")
    return Task(
        triggers=tuple(parse_trigger(child) for child in part(root, "Triggers")),
        actions=actions,
        enabled=boolean("Enabled", value(settings, "Enabled", "true")),
        on_demand=boolean("AllowStartOnDemand", value(settings, "AllowStartOnDemand", "true")),
        policy=policy,
        time_limit=duration("ExecutionTimeLimit", value(settings, "ExecutionTimeLimit", "PT72H")) or None,
        user=parse_user(root),
    )


def check_setting(name: str, child: ET.Element) -> None:
    """Refuse a setting that there is not, and a value that it cannot have."""
    if name not in SETTINGS:
        raise unexpected(child)
    kind, given = SETTINGS[name], (child.text or "").strip()
    if kind is bool:
        boolean(name, given)
    elif kind is timedelta:
        duration(name, given)
    elif isinstance(kind, tuple) and not (given.isdigit() and kind[0] <= int(given) <= kind[1]):
        raise malformed(name, given)


def parse_trigger(element: ET.Element) -> Trigger:
    """Read one trigger."""
    kind = local(element)
    if kind not in TRIGGERS:
        raise unexpected(element)
    children = {local(child): child for child in element}
    daily = children.get("ScheduleByDay")
    if kind == "CalendarTrigger" and daily is None:
        raise BadTask("The lab's scheduler knows no calendar but ScheduleByDay.")
    for name, child in children.items():
        if name not in OF_A_TRIGGER:
            raise unexpected(child)
    days = value({local(child): child for child in daily}, "DaysInterval", "1") if daily is not None else "1"
    start, end = (value(children, name, "") for name in ("StartBoundary", "EndBoundary"))
    if kind in ("TimeTrigger", "CalendarTrigger") and not start:
        raise BadTask("The task XML is missing a required element or attribute.\nStartBoundary")
    return Trigger(
        kind=kind,
        enabled=boolean("Enabled", value(children, "Enabled", "true")),
        start=moment("StartBoundary", start) if start else None,
        end=moment("EndBoundary", end) if end else None,
        delay=duration("Delay", value(children, "Delay", "PT0S")),
        repetition=parse_repetition(children["Repetition"]) if "Repetition" in children else None,
        days=int(days),
    )


def parse_repetition(element: ET.Element) -> Repetition:
    """Read how often a trigger fires again: every minute at most, every 31 days at least."""
    children = {local(child): child for child in element}
    for name, child in children.items():
        if name not in ("Interval", "Duration", "StopAtDurationEnd"):
            raise unexpected(child)
    given = value(children, "Interval", "")
    interval = duration("Interval", given)
    if not timedelta(minutes=1) <= interval <= 31 * DAY:
        raise malformed("Interval", given)
    lasts = value(children, "Duration", "")
    return Repetition(interval, duration("Duration", lasts) if lasts else None)


def parse_action(element: ET.Element) -> Action:
    """Read one action."""
    if local(element) != "Exec":
        raise unexpected(element)
    children = {local(child): child for child in element}
    command = value(children, "Command", "")
    if not command:
        raise BadTask("The task XML is missing a required element or attribute.\nCommand")
    return Action(command, value(children, "Arguments", ""), value(children, "WorkingDirectory", ""))


def parse_user(root: ET.Element) -> str:
    """Read who runs it, and refuse a way to log on that there is not."""
    principals = {local(child): child for principal in part(root, "Principals") for child in principal}
    logon = value(principals, "LogonType", "")
    if logon and logon not in LOGONS:
        raise malformed("LogonType", logon)
    return value(principals, "UserId", "")


def local(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def part(root: ET.Element, name: str) -> list[ET.Element]:
    """The children of a part of the task, which may be missing."""
    found = root.find(f"{{{NAMESPACE}}}{name}")
    return [] if found is None else list(found)


def value(children: dict[str, ET.Element], name: str, otherwise: str) -> str:
    """The text of a child, or what holds without it."""
    return (children[name].text or "").strip() if name in children else otherwise


def boolean(name: str, given: str) -> bool:
    """A truth."""
    if given not in BOOLEANS:
        raise malformed(name, given)
    return BOOLEANS[given]


def duration(name: str, given: str) -> timedelta:
    """A duration as ISO 8601 writes it, without years and months."""
    match = DURATION.fullmatch(given)
    if not match or not any(match.groups()):
        raise malformed(name, given)
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def moment(name: str, given: str) -> datetime:
    """A point in time; without a zone it is the computer's own, which is UTC."""
    try:
        point = datetime.fromisoformat(given)
    except ValueError as error:
        raise malformed(name, given) from error
    return point if point.tzinfo else point.replace(tzinfo=UTC)


def with_enabled(text: str, enabled: bool) -> str:
    """The XML of the task, enabled or not."""
    ET.register_namespace("", NAMESPACE)
    root = ET.fromstring(re.sub(r"^\ufeff?<\?xml[^>]*\?>", "", text))
    settings = root.find(f"{{{NAMESPACE}}}Settings")
    if settings is None:
        settings = ET.SubElement(root, f"{{{NAMESPACE}}}Settings")
    element = settings.find(f"{{{NAMESPACE}}}Enabled")
    if element is None:
        element = ET.SubElement(settings, f"{{{NAMESPACE}}}Enabled")
    element.text = "true" if enabled else "false"
    return '<?xml version="1.0" encoding="UTF-16"?>\n' + ET.tostring(root, encoding="unicode")
