# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stubs of the programs that Wine lacks or fakes: what they keep, what they print, how they refuse."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.windows.computer.tasks import NAMESPACE
from tests.lab.windows.gateway import Gateway, Ran

pytestmark = pytest.mark.gateway

NAME = f"test-{os.getpid()}"
TASK = (
    f'<?xml version="1.0" encoding="UTF-16"?>\r\n<Task version="1.2" xmlns="{NAMESPACE}"><Triggers><BootTrigger/></Triggers>'
    "<Principals><Principal><UserId>operator</UserId><LogonType>S4U</LogonType></Principal></Principals>"
    "<Settings><MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy></Settings>"
    "<Actions><Exec><Command>C:\\windows\\system32\\cmd.exe</Command><Arguments>/c exit &quot;日本&quot;</Arguments></Exec></Actions></Task>"
)
NOT_FOUND = "ERROR: The system cannot find the file specified.\r\n"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Lab(NAME) as lab:
        yield lab.new_gateway("gateway1")


def schtasks(gateway: Gateway, *argv: str) -> Ran:
    return gateway.run([r"C:\windows\system32\schtasks.exe", *argv])


def create(gateway: Gateway, *more: str, text: str = TASK, encoding: str = "utf-16") -> Ran:
    (gateway.drive / "task.xml").write_bytes(text.encode(encoding))
    return schtasks(gateway, "/Create", "/TN", r"flatnet\gateway", "/XML", r"C:\task.xml", *more)


def test_a_task_is_kept_as_windows_keeps_it(gateway: Gateway) -> None:
    made = create(gateway, "/F")
    assert made == Ran(0, 'SUCCESS: The scheduled task "flatnet\\gateway" has successfully been created.\r\n', "")
    kept = (gateway.drive / "windows" / "system32" / "Tasks" / "flatnet" / "gateway").read_bytes()
    assert kept.startswith(b"\xff\xfe<\x00")
    assert kept.decode("utf-16") == TASK
    shown = schtasks(gateway, "/Query", "/XML", "/TN", r"\Flatnet\Gateway")
    assert (shown.code, shown.stdout) == (0, f"{TASK}\r\n")
    again = create(gateway)
    assert (again.code, again.stderr) == (1, "ERROR: Cannot create a file when that file already exists.\r\n")


def test_a_task_that_is_none_is_refused(gateway: Gateway) -> None:
    refused = create(gateway, "/F", text=TASK.replace("IgnoreNew", "Ignore"))
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr == (
        "ERROR: The task XML contains a value which is incorrectly formatted or out of range.\r\n"
        "MultipleInstancesPolicy:Ignore\r\n"
    )
    absent = schtasks(gateway, "/Create", "/TN", "y", "/XML", r"C:\absent.xml")
    assert (absent.code, absent.stderr) == (1, NOT_FOUND)


def test_what_is_asked_of_a_task_is_answered(gateway: Gateway) -> None:
    assert create(gateway, "/F").code == 0
    short = schtasks(gateway, "/Query", "/TN", r"flatnet\gateway", "/FO", "CSV")
    assert short.stdout == '"TaskName","Next Run Time","Status"\r\n"\\flatnet\\gateway","N/A","Ready"\r\n'
    listed = schtasks(gateway, "/Query", "/FO", "LIST", "/V").stdout
    values = dict(line.split(":  ", 1) for line in listed.split("\r\n") if ":  " in line)
    assert values["TaskName"].strip() == r"\flatnet\gateway"
    assert values["Last Result"].strip() == "267011"
    assert values["Last Run Time"].strip() == "11/30/1999 12:00:00 AM"
    assert values["Task To Run"].strip() == r'C:\windows\system32\cmd.exe /c exit "日本"'
    assert values["Run As User"].strip() == "operator"


def test_a_task_is_disabled_run_ended_and_deleted(gateway: Gateway) -> None:
    assert create(gateway, "/F").code == 0
    named = ("/TN", r"flatnet\gateway")
    assert schtasks(gateway, "/Change", *named, "/DISABLE").stdout == (
        'SUCCESS: The parameters of scheduled task "flatnet\\gateway" have been changed.\r\n'
    )
    xml = schtasks(gateway, "/Query", "/XML", *named).stdout.partition("?>")[2]
    assert ET.fromstring(xml).findtext(f"{{{NAMESPACE}}}Settings/{{{NAMESPACE}}}Enabled") == "false"
    assert '"Disabled"' in schtasks(gateway, "/Query", *named, "/FO", "CSV", "/NH").stdout
    refused = schtasks(gateway, "/Run", *named)
    assert (refused.code, refused.stderr) == (1, "ERROR: The task is disabled.\r\n")
    assert schtasks(gateway, "/Change", *named, "/ENABLE").code == 0
    assert schtasks(gateway, "/Run", *named) == Ran(
        0, 'SUCCESS: Attempted to run the scheduled task "flatnet\\gateway".\r\n', ""
    )
    assert schtasks(gateway, "/End", *named).stdout == (
        'SUCCESS: The scheduled task "flatnet\\gateway" has been terminated successfully.\r\n'
    )
    assert schtasks(gateway, "/Delete", *named).code == 1
    assert schtasks(gateway, "/Delete", *named, "/F").stdout == (
        'SUCCESS: The scheduled task "flatnet\\gateway" was successfully deleted.\r\n'
    )
    assert gateway.lab_request("tasks") == []


def each(gateway: Gateway, program: str, *lines: str) -> list[tuple[int, str]]:
    """What a program prints, on whichever stream, and its exit code, for each of several command lines."""
    calls = [
        f'$o = & C:\\windows\\system32\\{program}.exe {line} 2>&1 | Out-String; "$LASTEXITCODE`t$o`f"' for line in lines
    ]
    answers = gateway.powershell("\n".join(calls)).stdout.split("\f")[: len(lines)]
    found = [answer.strip("\r\n").replace("\r\n", "\n").split("\t", 1) for answer in answers]
    return [(int(code), text.strip("\n")) for code, text in found]


def test_schtasks_refuses_as_the_real_one_does(gateway: Gateway) -> None:
    missing = "ERROR: The system cannot find the file specified."
    answers = each(
        gateway,
        "schtasks",
        "/Query /TN none",
        "/Run /TN none",
        "/End /TN none",
        "/Delete /TN none /F",
        "/Change /TN none /ENABLE",
        "/Run",
        "/Run /TN none /Fast",
        "/Query /FO XLS",
        "/Launch",
    )
    assert {code for code, text in answers} == {1}
    words = [text.split("\n")[0].strip() for code, text in answers]
    assert words[:4] == [missing] * 4
    assert words[4:] == [
        'ERROR: The specified task name "none" does not exist in the system.',
        "ERROR: Invalid syntax. Mandatory option 'TN' is missing.",
        "ERROR: Invalid argument/option - '/Fast'.",
        "ERROR: Invalid syntax. 'XLS' value is not allowed for '/FO' option.",
        "ERROR: Invalid argument/option - '/Launch'.",
    ]


def test_netsh_keeps_port_proxies_where_windows_does(gateway: Gateway) -> None:
    answers = each(
        gateway,
        "netsh",
        "interface portproxy show all",
        "interface portproxy add v4tov4 listenport=8080 connectport=80 connectaddress=172.28.0.2",
        "interface portproxy set v4tov4 listenport=8080 connectport=81 connectaddress=172.28.0.3",
        "interface portproxy add v4tov4 listenaddress=127.0.0.1 listenport=9 connectaddress=10.0.0.1",
        "interface portproxy show v4tov4",
        "interface portproxy delete v4tov4 listenport=9 listenaddress=127.0.0.1",
        "interface portproxy delete v4tov4 listenport=9",
        "interface portproxy add v4tov4 connectaddress=10.0.0.1",
        "interface portproxy add v4tov4 port=1",
        "interface ip show",
    )
    assert [code for code, text in answers] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert [line.split() for line in answers[4][1].split("\n")[-2:]] == [
        ["*", "8080", "172.28.0.3", "81"],
        ["127.0.0.1", "9", "10.0.0.1", "9"],
    ]
    assert answers[6][1] == "The system cannot find the file specified."
    key = r"HKLM:\SYSTEM\CurrentControlSet\Services\PortProxy\v4tov4\tcp"
    assert gateway.powershell(f"(Get-Item '{key}').Property; (Get-ItemProperty '{key}').'*/8080'").stdout.split() == [
        "*/8080",
        "172.28.0.3/81",
    ]


def test_netsh_keeps_firewall_rules_where_windows_does(gateway: Gateway) -> None:
    rule = "advfirewall firewall {} rule name='flatnet gateway'"
    answers = each(
        gateway,
        "netsh",
        rule.format("show"),
        rule.format("add") + " dir=in action=allow protocol=TCP localport=80",
        rule.format("add") + " dir=in action=allow localport=80",
        rule.format("show"),
        rule.format("delete"),
        rule.format("delete"),
    )
    assert [code for code, text in answers] == [1, 0, 1, 0, 0, 1]
    assert answers[0][1] == answers[5][1] == "No rules match the specified criteria."
    assert answers[1][1] == "Ok."
    assert "Rule Name:                            flatnet gateway" in answers[3][1]
    assert "LocalPort:                            80" in answers[3][1]
    assert answers[4][1] == "Deleted 1 rule(s).\nOk."


def test_route_keeps_what_is_persistent_over_a_reboot(gateway: Gateway) -> None:
    answers = each(
        gateway,
        "route",
        "-p add 10.100.0.0 mask 255.255.0.0 172.28.0.2 metric 5",
        "add 10.100.0.0 mask 255.255.0.0 172.28.0.2",
        "add 10.101.0.0 mask 255.255.0.0 172.28.0.2",
        "add 10.300.0.0 mask 255.255.0.0 172.28.0.2",
        "delete 10.102.0.0",
    )
    assert answers == [
        (0, " OK!"),
        (1, "The route addition failed: The object already exists."),
        (0, " OK!"),
        (1, "route: bad argument 10.300.0.0"),
        (1, "The route deletion failed: Element not found."),
    ]
    gateway.reboot(0)
    printed, deleted, empty = each(gateway, "route", "print", "delete 10.100.0.0 mask 255.255.0.0", "print")
    assert printed[1].count("10.100.0.0") == 2
    assert "10.101.0.0" not in printed[1]
    assert deleted == (0, " OK!")
    assert "10.100.0.0" not in empty[1]
    assert "Persistent Routes:\n  None" in empty[1]


def test_wsl_without_a_distribution_says_so_in_utf_16(gateway: Gateway) -> None:
    wsl = [r"C:\windows\system32\wsl.exe", "-d", "Debian", "--", "true"]
    said = "Windows Subsystem for Linux has no installed distributions.\r\nError code: Wsl/WSL_E_DEFAULT_DISTRO_NOT_FOUND\r\n"
    refused = gateway.run(wsl)
    assert (refused.code, refused.stdout.encode().decode("utf-16-le")) == (255, said)
    assert gateway.run(wsl, variables={"WSL_UTF8": "1"}).stdout == said
