# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a Windows host: everything of one that is as it should be, and of any other what is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import (
    FAILED,
    NOT_TRIED,
    VERIFIED,
    Connection,
    Host,
    Look,
    Tried,
    Verdict,
    judge,
    look_of,
    named,
    sentence,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import (
    CHECKS,
    TEXT,
    booted,
    came_back,
    differences,
    versions,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import Gateway, gateway_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_wsl import wsl_of

pytestmark = pytest.mark.unit

INSTALLATION = Installation(r"C:\openresty", r"C:\ProgramData\flatnet", r"C:\openresty\nginx.exe", r"conf\nginx.conf")
SID = "S-1-5-21-1-2-3-1001"
# By the host's clock; the controller asked 2 s before, and had its answer 1 s after.
BEGAN, ENDED = "2026-12-01T09:30:00.000Z", "2026-12-01T09:30:08.000Z"
ASKED, ANSWERED = 1796117398.0, 1796117409.0
DEFINITIONS = {task.name: task.definition("operator") for task in INSTALLATION.tasks("Debian")}
WSL = wsl_of(
    "operator",
    {
        "sid": SID,
        "loaded": True,
        "distributions": [{"name": "Debian", "flags": 15}],
        "program": r"C:\Program Files\WSL\wsl.exe",
        "task": DEFINITIONS["flatnet-wsl"],
        "held": True,
        "log": '{"event":"begin","distribution":"Debian"}\n{"event":"up"}\n',
    },
)


def kept(name: str, **other: Any) -> dict[str, Any]:
    """A task as the scheduler has it: the account by its SID, and what we do not say filled in."""
    xml = DEFINITIONS[name].replace("<UserId>operator<", f"<UserId>{SID}<")
    task = {
        "xml": xml.replace("<Settings>", "<Settings>\n    <AllowHardTerminate>true</AllowHardTerminate>"),
        "enabled": True,
        "state": 3 if name == "flatnet-transaction" else 4,
        "last_run": "2026-12-01T09:29:20.000Z",
        "last_result": 0 if name == "flatnet-transaction" else 0x41301,
        "next_run": "2026-12-01T09:30:30.000Z",
        "missed": 0,
    }
    return {**task, **other}


def facts() -> dict[str, Any]:
    """What a Windows 11 shows on which everything is as it should be."""
    rules = [{"sid": sid, "allows": True, "rights": "FullControl"} for sid in ("S-1-5-18", "S-1-5-32-544")]
    return {
        "kernel": {"wine": False},
        "booted": "2026-11-25T00:00:00.000Z",
        "windows": {"product": "Windows 10 Pro", "release": "24H2", "build": 26100, "revision": "2314", "type": "Client"},
        "powershell": {"version": "5.1.26100.2161", "edition": "Desktop", "language": "FullLanguage"},
        "language": {"culture": "ja-JP", "ansi": "932", "oem": "932", "schtasks": {"code": 1, "said": "エラー"}},
        "text": {"given": TEXT, "name": TEXT, "content": TEXT},
        "accounts": {"account": SID, "own": SID},
        "closed": [
            {"path": r"C:\ProgramData\flatnet", "owner": SID, "sddl": "O:…", "rules": rules},
            {"path": INSTALLATION.keeper, "owner": "S-1-5-32-544", "sddl": "O:BA…", "rules": rules},
        ],
        "tasks": {name: kept(name) for name in DEFINITIONS},
        "task_files": dict(DEFINITIONS),
        "processes": [
            {"pid": 90, "parent": 4, "session": 0, "name": "powershell.exe", "keeper": True, "started": "2026-11-25T00:01:00Z"},
            {"pid": 100, "parent": 90, "session": 0, "name": "nginx.exe", "keeper": False, "started": "2026-11-25T00:01:02Z"},
        ],
        "desktops": 0,
        "nginx": {"code": 0, "said": "nginx version: openresty/1.27.1.1\nconfigure arguments: --add-module=../ngx_lua-0.10.27"},
        "firewall": {
            "rules": [{"enabled": True, "allows": True, "inward": True, "ports": ["80"], "status": "OK", "enforcement": []}],
            "profiles": [],
        },
        "wsl": "2.3.26.0",
    }  # fmt: skip


def look(**other: Any) -> Look:
    """A look at that host, but for these facts; an exception is a fact that cannot be looked at."""
    seen = {**facts(), **other}
    answer = {
        name: {"value": None, "problem": str(value)} if isinstance(value, Exception) else {"value": value, "problem": None}
        for name, value in seen.items()
    }  # fmt: skip
    return look_of({"began": BEGAN, "ended": ENDED, "facts": answer}, ASKED, ANSWERED)


def gateway(**other: Any) -> Gateway:
    seen = {
        "installed": True,
        "processes": [
            {"pid": pid, "path": INSTALLATION.program, "started": "2026-11-25T00:01:02Z", "master": pid == 100}
            for pid in (100, 104)
        ],
        "listening": True,
        "answer": {"status": 200, "body": "104 1.27.1.1 abc\n", "problem": None},
        "owners": [{"pid": 104, "name": "nginx"}],
        "pid_file": "100",
        "program": INSTALLATION.program,
        "version": "nginx version: openresty/1.27.1.1",
        "configuration": [],
        "errors": [],
        "tasks": [{"name": "flatnet-gateway", "xml": DEFINITIONS["flatnet-gateway"]}],
        "transactions": [],
    }
    return gateway_of(r"C:\openresty", 80, {**seen, **other})


STOPPED = {"processes": [], "listening": False, "answer": None, "owners": []}


def host(**other: Any) -> Host:
    """That host, reached by Kerberos, reloaded, rebooted, and looked at again after six days."""
    good = Host(
        installation=INSTALLATION,
        account="operator",
        distribution="Debian",
        wsl=WSL,
        connection=Connection("winrm", "https", validated=True, login="kerberos"),
        gateway=gateway(),
        look=look(),
        reload=Tried(True, "reloaded", {"transaction": "x"}),
        rollout=Tried(True, "rolled out"),
        boot=Tried(True, "the gateway runs"),
        wsl_boot=Tried(True, "it is up"),
        back=Tried(True, "it came back"),
    )
    return replace(good, **other)


def said_of(id: str, seen: Host) -> Verdict:
    """What is said of one check."""
    return next(verdict for verdict in judge(CHECKS, seen) if verdict.id == id)


def with_task(change: Callable[[dict[str, Any]], None]) -> Host:
    """The host with another task flatnet-gateway."""
    tasks = copy.deepcopy(facts()["tasks"])
    change(tasks["flatnet-gateway"])
    return host(look=look(tasks=tasks))


def test_of_a_host_that_is_as_it_should_be_everything_is_verified() -> None:
    verdicts = judge(CHECKS, host())

    assert [each for each in verdicts if each.verdict != VERIFIED] == []
    assert sentence(verdicts) == f"{len(CHECKS)} of {len(CHECKS)} checks are verified"
    assert versions(host()) == {
        "windows": "Windows 11 Pro 24H2, build 26100.2314",
        "powershell": "5.1.26100.2161 Desktop",
        "gateway": "1.27.1.1",
        "wsl": "2.3.26.0",
    }


@pytest.mark.parametrize("kernel", [{"wine": True}, OSError("no compiler")], ids=["wine", "unknown"])
def test_on_a_host_that_is_not_known_to_be_windows_nothing_is_verified(kernel: Any) -> None:
    verdicts = judge(CHECKS, host(look=look(kernel=kernel)))

    assert named(verdicts, VERIFIED) == []
    assert "that proves nothing" in next(each.found for each in verdicts if each.id == "lua")


def test_what_is_wrong_elsewhere_stays_so() -> None:
    assert said_of("lua", host(look=look(kernel={"wine": True}, nginx={"code": 0, "said": "x"}))).verdict == FAILED


FIREWALL = facts()["firewall"]["rules"][0]
OPEN = {**facts()["closed"][0], "rules": [{"sid": "S-1-1-0", "allows": True, "rights": "Modify"}]}
POWERSHELL = facts()["powershell"]
BAD: list[tuple[str, Host, str]] = [
    ("windows", host(look=look(kernel={"wine": True})), "it is Wine"),
    ("windows", host(look=look(windows={**facts()["windows"], "build": 17763})), "build 17763"),
    ("windows", host(look=look(windows={**facts()["windows"], "type": "Server"})), "Windows 11 Pro"),
    ("powershell", host(look=look(powershell={**POWERSHELL, "version": "7.4.0", "edition": "Core"})), "edition Core"),
    ("powershell", host(look=look(powershell={**POWERSHELL, "language": "ConstrainedLanguage"})), "ConstrainedLanguage"),
    ("connection", host(connection=Connection("winrm", "http", True, "ntlm")), "over http,"),
    ("connection", host(connection=Connection("winrm", "https", False, "ntlm")), "not validated"),
    ("clock", host(look=replace(look(), asked=ASKED - 100, answered=ANSWERED - 100)), "+99.0 s"),
    ("clock", host(look=replace(look(), asked=ASKED + 100, answered=ANSWERED + 100)), "-98.0 s"),
    ("text", host(look=look(text={"given": TEXT, "name": "???", "content": TEXT})), "changed as name"),
    ("language", host(look=look(language={**facts()["language"], "schtasks": {"code": 0, "said": "?"}})), "with 0"),
    ("closed", host(look=look(closed=[OPEN])), "open to S-1-1-0"),
    ("closed", host(look=look(closed=[{**OPEN, "rules": []}])), "has no rules"),
    ("closed", host(look=look(closed=[{**facts()["closed"][0], "owner": "S-1-5-21-9"}])), "owned by S-1-5-21-9"),
    ("closed", host(look=look(closed=[{**OPEN, "owner": None, "sddl": None, "rules": []}])), "is not there"),
    ("tasks_kept", with_task(lambda task: task.update(xml=task["xml"].replace(SID, "S-1-5-21-9"))), "UserId is S-1-5-21-9"),
    ("tasks_kept", with_task(lambda task: task.update(xml=task["xml"].replace("S4U", "Password"))), "LogonType is Password"),
    ("tasks_kept", host(look=look(tasks={})), "flatnet-gateway is not there"),
    ("task_files", host(look=look(task_files={})), "flatnet-gateway has no file"),
    (
        "task_files",
        with_task(lambda task: task.update(xml=task["xml"].replace("<Source>", "<Source>other "))),
        "says something else",
    ),
    ("tasks_run", with_task(lambda task: task.update(last_result=-2147024894)), "ended with 0x80070002"),
    ("tasks_run", with_task(lambda task: task.update(last_run="2026-11-24T00:00:00Z")), "since the host has booted"),
    ("tasks_run", with_task(lambda task: task.update(state=3)), "does not run"),
    ("tasks_run", with_task(lambda task: task.update(next_run="2026-12-02T00:00:00Z")), "the next run"),
    ("tasks_run", host(look=look(tasks={})), "flatnet-gateway is not there"),
    ("port_owner", host(gateway=gateway(owners=[])), "names nobody"),
    ("port_owner", host(gateway=gateway(owners=[{"pid": 7, "name": "httpd"}])), "httpd (7)"),
    ("lua", host(look=look(nginx={"code": 0, "said": "nginx version: nginx/1.31.3"})), "without Lua"),
    ("reload", host(reload=Tried(False, "the worker is the old one")), "the worker is the old one"),
    ("firewall", host(look=look(firewall={"rules": [], "profiles": []})), "0 of the 0 rules"),
    *(
        ("firewall", host(look=look(firewall={"rules": [{**FIREWALL, **other}], "profiles": []})), "0 of the 1 rules")
        for other in ({"enabled": False}, {"allows": False}, {"inward": False}, {"ports": ["443", "1000-2000"]})
    ),
    ("rollout", host(rollout=Tried(False, "the folder is held")), "the folder is held"),
    ("boot", host(boot=Tried(False, "it did not come back")), "it did not come back"),
    ("wsl", host(distribution="Ubuntu"), "it owns Debian"),
    ("wsl", host(wsl=replace(WSL, distributions={"Debian": False})), "is of WSL 1"),
    ("wsl_kept", host(wsl=replace(WSL, kept=None, said="wsl.exe ended with 1")), "wsl.exe ended with 1"),
    ("wsl_boot", host(wsl_boot=Tried(False, "it is not up")), "it is not up"),
    ("back", host(back=Tried(False, "it did not come back")), "it did not come back"),
]  # fmt: skip
PROCESSES = facts()["processes"]
OPEN_QUESTIONS: list[tuple[str, Host, str]] = [
    ("login", host(connection=Connection("winrm", "https", True, "basic")), "another ansible_winrm_transport"),
    (
        "language",
        host(look=look(language={**facts()["language"], "schtasks": {"code": 1, "said": "ERROR: The system"}})),
        "speaks English",
    ),
    ("task_files", host(look=look(tasks={})), "no task of ours"),
    ("tasks_run", with_task(lambda task: task.update(enabled=False, state=1)), "flatnet-gateway is disabled"),
    ("tasks_run", with_task(lambda task: task.update(last_result=0x41303)), "has never run"),
    ("port_owner", host(gateway=gateway(**STOPPED)), "does not run"),
    ("reload", host(reload=Tried(None, "check mode changes nothing")), "check mode"),
    ("reload", host(look=look(processes=[PROCESSES[0], {**PROCESSES[1], "parent": 4}])), "not started by its task"),
    ("reload", host(look=look(processes=[])), "not started by its task"),
    ("rollout", host(rollout=Tried(None, "run again")), "run again"),
    ("boot", host(boot=Tried(None, "run again")), "run again"),
    *((check, host(distribution="", wsl=None), "no distribution is named") for check in ("wsl", "wsl_kept", "wsl_boot")),
    ("wsl_boot", host(wsl_boot=Tried(None, "run again")), "run again"),
    ("back", host(back=Tried(None, "run again")), "run again"),
    ("no_limit", host(look=look(processes=[{**PROCESSES[0], "started": "2026-11-29T09:30:00Z"}])), "has run for 48.0 h"),
    ("no_limit", host(look=look(processes=[])), "does not run"),
    *(
        (check, host(look=look(**{fact: OSError("not\nhere")})), "it could not be looked at: not here")
        for check, fact in (
            ("windows", "windows"), ("powershell", "powershell"), ("text", "text"), ("language", "language"),
            ("closed", "closed"), ("tasks_kept", "tasks"), ("task_files", "task_files"), ("tasks_run", "tasks"),
            ("tasks_run", "booted"), ("lua", "nginx"), ("reload", "processes"), ("firewall", "firewall"), ("no_limit", "processes"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("id", "seen", "found"), BAD)
def test_what_is_not_as_it_should_be_has_failed(id: str, seen: Host, found: str) -> None:
    verdict = said_of(id, seen)

    assert (verdict.verdict, found in verdict.found) == (FAILED, True), verdict.found
    assert f"{id} has failed" in sentence(judge(CHECKS, seen))


@pytest.mark.parametrize(("id", "seen", "found"), OPEN_QUESTIONS)
def test_what_a_host_does_not_show_is_not_tried(id: str, seen: Host, found: str) -> None:
    verdict = said_of(id, seen)

    assert (verdict.verdict, found in verdict.found) == (NOT_TRIED, True), verdict.found
    assert id in sentence(judge(CHECKS, seen)).partition("not tried: ")[2].split(", ")


def test_every_check_can_fail_or_stay_open() -> None:
    tried = {check for check, _seen, _found in BAD}

    # Only time can tell, and only another way to log in.
    assert {check.id for check in CHECKS} - tried == {"no_limit", "login"}
    assert {"no_limit", "login"} <= {check for check, _seen, _found in OPEN_QUESTIONS}


def test_each_check_has_a_name_of_its_own_and_is_said_in_both_languages() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert CHECKS[0].id == "windows"
    assert all(check.expected.ja and check.expected.en for check in CHECKS)


def test_the_scheduler_may_say_in_its_own_words_what_it_was_given() -> None:
    given = DEFINITIONS["flatnet-gateway"]
    for own in ("<UserId>HOST\\Operator<", f"<UserId>{SID}<"):
        assert differences(given, given.replace("<UserId>operator<", own), {"operator", SID.casefold()}) == []
    # What is so by default need not be said; what is not, has to be.
    assert differences(given, given.replace("<AllowStartOnDemand>true</AllowStartOnDemand>", ""), {"operator"}) == []
    assert (
        differences(
            given,
            given.replace("<Enabled>true</Enabled>\n    <Exec", "<Enabled>false</Enabled>\n    <Exec"),
            {"operator"},
        )
        == []
    )


@pytest.mark.parametrize(
    ("was", "gone", "named_as"),
    [
        ("<Priority>5</Priority>", "", "Settings/Priority is 7 instead of 5"),
        ("<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>", "", "Settings/ExecutionTimeLimit is PT72H instead of PT0S"),
        ("<StopIfGoingOnBatteries>false<", "<StopIfGoingOnBatteries>true<", "Settings/StopIfGoingOnBatteries is true"),
        ("<BootTrigger><Enabled>true</Enabled></BootTrigger>", "", "Triggers/BootTrigger is not there"),
        ("<Interval>PT1M<", "<Interval>PT5M<", "Triggers/TimeTrigger/Repetition/Interval is PT5M instead of PT1M"),
        ("<RunLevel>HighestAvailable</RunLevel>", "", "RunLevel is LeastPrivilege instead of HighestAvailable"),
        ("-NoProfile ", "", "Actions/Exec/Arguments is "),
    ],
)
def test_what_the_scheduler_has_otherwise_is_named(was: str, gone: str, named_as: str) -> None:
    given = DEFINITIONS["flatnet-gateway"]
    assert was in given

    (wrong,) = differences(given, given.replace(was, gone), {"operator"})
    assert named_as in wrong


def rebooted(**other: Any) -> Look:
    return look(**{"booted": "2026-12-01T09:40:00.000Z", **other})


def test_what_is_up_after_a_boot_was_started_by_its_task() -> None:
    assert booted(look(), rebooted(), True, "it runs").good is True
    assert booted(look(), rebooted(), False, "it is stopped").good is False
    # Whoever has logged in may have started it, but has not stopped it.
    assert booted(look(), rebooted(desktops=1), True, "it runs").good is None
    assert booted(look(), rebooted(desktops=1), False, "it is stopped").good is False


def test_a_gateway_that_has_ended_comes_back_in_time_or_not() -> None:
    assert came_back(61.0, gateway()).good is True
    assert came_back(91.0, gateway()).good is False
    assert came_back(61.0, gateway(**STOPPED)).good is False
