# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the XML of a task says, and when its triggers fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.windows.computer.tasks import NAMESPACE, BadTask, Trigger, parse_task, with_enabled
from tests.lab.windows.computer.wine import windows_argv

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EXEC = "<Exec><Command>C:\\x.exe</Command></Exec>"
BOOT = "<BootTrigger/>"


def xml(triggers: str = "", settings: str = "", actions: str = EXEC, rest: str = "") -> str:
    """A task in so many words."""
    return (
        f'<?xml version="1.0" encoding="UTF-16"?>\n<Task version="1.2" xmlns="{NAMESPACE}">{rest}'
        f"<Triggers>{triggers}</Triggers><Settings>{settings}</Settings><Actions>{actions}</Actions></Task>"
    )


def trigger(text: str) -> Trigger:
    return parse_task(xml(text)).triggers[0]


def firings(text: str, count: int, *, booted: datetime = NOON, registered: datetime = NOON) -> list[float]:
    """The minutes after noon at which a trigger fires, from noon on."""
    found: list[float] = []
    after = NOON - datetime.resolution
    while len(found) < count:
        due = trigger(text).next(after, booted, registered)
        if due is None:
            break
        found.append((due - NOON) / MINUTE)
        after = due
    return found


def test_a_task_without_settings_has_those_of_windows() -> None:
    task = parse_task(xml(BOOT))
    assert (task.enabled, task.on_demand, task.policy) == (True, True, "IgnoreNew")
    assert task.time_limit == timedelta(hours=72)


def test_what_a_task_says_is_read() -> None:
    settings = (
        "<MultipleInstancesPolicy>Parallel</MultipleInstancesPolicy><Enabled>false</Enabled>"
        "<ExecutionTimeLimit>PT0S</ExecutionTimeLimit><Priority>5</Priority>"
    )
    actions = (
        "<Exec><Command>C:\\a.exe</Command><Arguments>-p &quot;x y&quot;</Arguments>"
        "<WorkingDirectory>C:\\b</WorkingDirectory></Exec>"
    )
    principals = "<Principals><Principal><UserId>operator</UserId><LogonType>S4U</LogonType></Principal></Principals>"
    task = parse_task(xml(BOOT, settings, actions, principals))
    assert (task.policy, task.enabled, task.time_limit, task.user) == ("Parallel", False, None, "operator")
    assert (task.actions[0].arguments, task.actions[0].directory) == ('-p "x y"', "C:\\b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<Task>", "malformed"),
        ("<Task/>", "unexpected node"),
        (xml(actions=""), "missing a required element.*\nActions"),
        (xml(actions="<ShowMessage/>"), "unexpected node.*\nShowMessage"),
        (xml(settings="<Enable>true</Enable>"), "unexpected node.*\nEnable"),
        (xml(settings="<Enabled>yes</Enabled>"), "incorrectly formatted.*\nEnabled:yes"),
        (xml(settings="<Priority>11</Priority>"), "incorrectly formatted.*\nPriority:11"),
        (xml(settings="<ExecutionTimeLimit>0</ExecutionTimeLimit>"), "incorrectly formatted.*\nExecutionTimeLimit:0"),
        (xml(settings="<MultipleInstancesPolicy>Ignore</MultipleInstancesPolicy>"), "incorrectly formatted"),
        (xml("<BootTrigger><Repetition><Interval>PT59S</Interval></Repetition></BootTrigger>"), "Interval:PT59S"),
        (xml("<BootTrigger><Repetition><Every>PT1M</Every></Repetition></BootTrigger>"), "unexpected node.*\nEvery"),
        (xml("<TimeTrigger/>"), "StartBoundary"),
        (xml("<TimeTrigger><StartBoundary>noon</StartBoundary></TimeTrigger>"), "StartBoundary:noon"),
        (xml(rest="<Principals><Principal><LogonType>System</LogonType></Principal></Principals>"), "LogonType:System"),
        (xml("<CalendarTrigger><ScheduleByWeek/></CalendarTrigger>"), "no calendar but ScheduleByDay"),
        (xml("<BootTrigger><Delays>PT1M</Delays></BootTrigger>"), "unexpected node.*\nDelays"),
        (xml("<Startup/>"), "unexpected node.*\nStartup"),
    ],
)
def test_what_is_no_task_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadTask, match=f"(?s){said}"):
        parse_task(text)


def test_a_boot_trigger_repeats_after_the_boot() -> None:
    repeated = "<BootTrigger><Repetition><Interval>PT1M</Interval></Repetition></BootTrigger>"
    assert firings(BOOT, 3) == [0]
    assert firings(repeated, 3) == [0, 1, 2]
    assert firings("<BootTrigger><Delay>PT30S</Delay></BootTrigger>", 3) == [0.5]


def test_a_task_that_is_registered_later_waits_for_the_next_boot() -> None:
    repeated = "<BootTrigger><Repetition><Interval>PT1M</Interval></Repetition></BootTrigger>"
    assert firings(repeated, 1, booted=NOON, registered=NOON + MINUTE) == []
    assert firings(repeated, 1, booted=NOON + 2 * MINUTE, registered=NOON + MINUTE) == [2]


def test_repetitions_end_with_their_duration() -> None:
    pattern = "<Repetition><Interval>PT1M</Interval><Duration>PT4M</Duration></Repetition>"
    assert firings(f"<BootTrigger>{pattern}</BootTrigger>", 9) == [0, 1, 2, 3, 4]


def test_a_time_trigger_fires_once_or_goes_on_from_its_start() -> None:
    start = "<StartBoundary>2026-11-28T11:59:30</StartBoundary>"
    assert firings(f"<TimeTrigger>{start}</TimeTrigger>", 2) == []
    assert firings("<TimeTrigger><StartBoundary>2026-11-28T12:05:00Z</StartBoundary></TimeTrigger>", 2) == [5]
    repetition = "<Repetition><Interval>PT2M</Interval></Repetition>"
    assert firings(f"<TimeTrigger>{start}{repetition}</TimeTrigger>", 2) == [1.5, 3.5]


def test_a_daily_trigger_fires_every_day_it_says() -> None:
    start = "<StartBoundary>2026-11-01T13:00:00</StartBoundary>"
    days = "<ScheduleByDay><DaysInterval>{}</DaysInterval></ScheduleByDay>"
    day = 24 * 60
    assert firings(f"<CalendarTrigger>{start}{days.format(1)}</CalendarTrigger>", 3) == [60, 60 + day, 60 + 2 * day]
    # The first of November and every second day is odd.
    assert firings(f"<CalendarTrigger>{start}{days.format(2)}</CalendarTrigger>", 2) == [60 + day, 60 + 3 * day]


def test_what_is_over_or_disabled_or_in_no_lab_does_not_fire() -> None:
    repetition = "<Repetition><Interval>PT1M</Interval></Repetition>"
    ended = "<EndBoundary>2026-11-28T12:01:30</EndBoundary>"
    assert firings(f"<BootTrigger>{repetition}{ended}</BootTrigger>", 9) == [0, 1]
    assert firings("<BootTrigger><Enabled>false</Enabled></BootTrigger>", 1) == []
    assert firings("<LogonTrigger/>", 1) == []
    assert firings("<EventTrigger><Subscription>x</Subscription></EventTrigger>", 1) == []


def test_a_registration_trigger_fires_at_registration() -> None:
    assert firings("<RegistrationTrigger><Delay>PT1M</Delay></RegistrationTrigger>", 2) == [1]


@pytest.mark.parametrize("settings", ["", "<Enabled>true</Enabled>", "<Priority>5</Priority>"])
def test_a_task_is_disabled_and_keeps_the_rest(settings: str) -> None:
    text = with_enabled(xml(BOOT, settings), enabled=False)
    assert text.startswith('<?xml version="1.0" encoding="UTF-16"?>')
    assert not parse_task(text).enabled
    assert parse_task(with_enabled(text, enabled=True)) == parse_task(xml(BOOT, settings))
    assert ("Priority" in text) == ("Priority" in settings)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("a  b\tc", ["a", "b", "c"]),
        ('a "b c" d', ["a", "b c", "d"]),
        ('"" x', ["", "x"]),
        (r"C:\a\ b", ["C:\\a\\", "b"]),
        (r'"C:\a b\\" c', ["C:\\a b\\", "c"]),
        (r"a\"b", ['a"b']),
        (r"a\\\"b", ['a\\"b']),
    ],
)
def test_command_lines_are_split_as_windows_does(line: str, words: list[str]) -> None:
    assert windows_argv(line) == words
