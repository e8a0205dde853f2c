# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Over WinRM, with the lab's task scheduler: the connection is cut, the host reboots, and the next command tells how it ended."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import (
    STATE_DIRECTORY,
    TRANSACTION_TASK,
    Installation,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Gateway, Plan, Probe, State
from winrm.exceptions import WinRMError
from winrm.protocol import Protocol

from tests.gateway.site import CONFIGURATION, windows, within
from tests.lab.windows.below import Windows
from tests.lab.windows.gateway import PASSWORD
from tests.lab.windows.image import USER
from tests.lab.windows.powershell import missing

pytestmark = [pytest.mark.gateway, pytest.mark.skipif(bool(missing()), reason=missing())]

GATEWAY = Gateway()
INSTALLATION = Installation(GATEWAY.prefix, STATE_DIRECTORY, GATEWAY.program, GATEWAY.configuration)
SCRIPT = transaction.ACT.with_name("transaction.ps1").read_text("utf-8")
# A page that is there as soon as a test says so.
FLAG = "/flag.txt"
SCHTASKS = r"C:\windows\System32\schtasks.exe"
GATEWAY_TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Principals><Principal id="Author"><UserId>operator</UserId><LogonType>S4U</LogonType></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>C:\\openresty\\nginx.exe</Command><Arguments>-p C:\\openresty -c conf\\nginx.conf</Arguments></Exec>
  </Actions>
</Task>
"""


@dataclass(frozen=True)
class Seen:
    """What a call has brought back."""

    holder: str
    journal: bytes
    unfinished: list[str]
    changed: bool

    def state(self, plan: Plan) -> State:
        """How a plan stands."""
        return transaction.judge(plan.id, self.journal, self.holder, plan)


@dataclass(frozen=True)
class Site:
    """`C:\\openresty`, reached over WinRM."""

    host: Windows

    def call(self, plan: Plan, *, deposit: bool = False, take_up: bool = False, wait: int = 30) -> Seen:
        """Send the script that deposits, starts and polls, as the modules do."""
        content = {"Plan": plan.dump().decode(), "Act": transaction.ACT.read_text("utf-8")} if deposit else {}
        texts = {"Id": plan.id, "Root": transaction.ROOT, "Task": transaction.TASK, **content}
        named = [
            f"{name} = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{encoded(text)}'))"
            for name, text in texts.items()
        ]
        script = "\n".join(
            [
                "$Ansible = [pscustomobject]@{ Changed = $true; Result = $null }",
                f"$asked = @{{ {'; '.join(named)}; Wait = {wait}; TakeUp = ${take_up} }}",
                f"& ([scriptblock]::Create([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{encoded(SCRIPT)}')))) @asked",
                "[Console]::Out.WriteLine((ConvertTo-Json -InputObject $Ansible -Depth 5 -Compress))",
            ]
        )
        answer = json.loads(self.powershell(script))
        result = answer["Result"]
        return Seen(result["holder"], result["journal"].encode(), result["unfinished"], answer["Changed"])

    def powershell(self, script: str) -> str:
        """Run a script over WinRM, the certificate verified."""
        gateway = self.host.gateway
        protocol = Protocol(
            endpoint=f"https://127.0.0.1:{gateway.port('winrm')}/wsman",
            transport="basic",
            username=USER,
            password=PASSWORD,
            ca_trust_path=str(gateway.authority.certificate),
            read_timeout_sec=45,
            operation_timeout_sec=40,
        )
        shell = protocol.open_shell()
        try:
            command = protocol.run_command(shell, "powershell", ["-NoProfile", "-NonInteractive", "-Command", "-"])
            protocol.send_command_input(shell, command, script.encode(), end=True)
            out, err, code = protocol.get_command_output(shell, command)
            protocol.cleanup_command(shell, command)
        finally:
            protocol.close_shell(shell)
        assert code == 0, err.decode()
        return str(out.decode())

    @property
    def conf(self) -> Path:
        return self.host.gateway.drive / "openresty" / "conf"

    def journal(self, plan: Plan) -> bytes:
        """A plan's journal, seen from below Windows."""
        path = self.host.gateway.drive / "ProgramData" / "flatnet" / "transactions" / plan.id / "journal"
        return path.read_bytes() if path.exists() else b""

    def reached(self, plan: Plan, do: str) -> bool:
        """A step of it has begun."""
        return f'"do":"{do}"'.encode() in self.journal(plan)

    def rollout(self, name: str, probe: Probe | None = None) -> Plan:
        """A plan with its tree."""
        plan_id = transaction.new_id("rollout")
        staged = self.conf.parent / "conf-trees" / plan_id / "new"
        staged.mkdir(parents=True)
        (staged / "nginx.conf").write_text(page(name))
        probes = [probe or Probe("/", pattern=f"^{name}$", seconds=0.3)]
        return transaction.rollout(GATEWAY, plan_id, name, probes, hold=0.1)

    def expect(self, *, runs: bool, name: str = "", generation: str = "") -> None:
        """One master and one worker, or nothing, with this configuration."""
        assert within(10, lambda: len(self.host.processes(GATEWAY.program)) == 2 * runs), self.host.processes(
            GATEWAY.program
        )
        status, body = self.host.inside(80, transaction.WHOAMI)
        assert (status, body.split()[2:]) == ((200, [generation]) if runs else (0, []))
        if name:
            assert self.host.outside(80, "/")[1].strip() == name


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def page(name: str) -> str:
    text = CONFIGURATION.format(port=80, body=name, status=200)
    return text.replace("location / {", f"location = {FLAG} {{ root  C:/openresty/html; }}\n        location / {{")


def create_task(host: Windows, name: str, definition: bytes) -> None:
    (host.work / f"{name}.xml").write_bytes(definition)
    made = host.gateway.run([SCHTASKS, "/Create", "/TN", name, "/XML", f"C:\\gateway-tests\\{name}.xml", "/F"])
    assert made.code == 0, made.stderr


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with windows("wire") as host:
        site = Site(host)
        shutil.rmtree(site.conf)
        (site.conf / "flatnet").mkdir(parents=True)
        (site.conf / "nginx.conf").write_text(page("first"))
        (site.conf / "flatnet" / "identity.conf").write_text(transaction.identity("g0").text)
        (ours,) = (task for task in INSTALLATION.tasks() if task.name == TRANSACTION_TASK)
        create_task(host, ours.name, ours.definition(USER).encode("utf-16"))
        create_task(host, GATEWAY.task, GATEWAY_TASK.encode("utf-16"))
        yield site


@dataclass(frozen=True)
class Case:
    """A plan, and the step in the middle of which something happens."""

    make: Callable[[Site, str], Plan]
    step: str
    runs: bool = True


CASES = {
    "start": Case(lambda _site, _name: transaction.start(GATEWAY, hold=0.1), "test"),
    "reload": Case(lambda _site, name: transaction.reload(GATEWAY, name, hold=4), "verify"),
    "restart": Case(lambda _site, name: transaction.restart(GATEWAY, name, hold=0.1), "stop"),
    "rollout": Case(lambda site, name: site.rollout(name), "rename"),
    "stop": Case(lambda _site, _name: transaction.stop(GATEWAY), "task", runs=False),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("fault", ["cut", "reboot"])
def test_the_next_command_tells_how_it_ended(site: Site, kind: str, fault: str) -> None:
    case, name = CASES[kind], f"{kind}-{fault}"
    before = (site.conf / "nginx.conf").read_text()
    plan = case.make(site, name)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            site.call(plan, deposit=True)
        except (requests.RequestException, WinRMError, OSError) as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert within(60, lambda: site.reached(plan, case.step)), site.journal(plan)[-1500:]
    if fault == "cut":
        site.host.gateway.outage(2)
    else:
        site.host.gateway.reboot(0.5)
    caller.join()
    assert errors, "the call was expected to lose its connection"
    if fault == "cut":
        assert within(30, site.host.gateway.answers)

    seen = site.call(plan, wait=60)

    state = seen.state(plan)
    assert state.good, (state.sentence, died(site))
    assert seen.unfinished == []
    assert not seen.changed
    assert (b'"taken_up"' in seen.journal) == (fault == "reboot")
    generation = name if kind in ("reload", "restart", "rollout") else whoami(site)
    site.expect(runs=case.runs, name=name if kind == "rollout" else "", generation=generation)
    assert (site.conf / "nginx.conf").read_text() == (page(name) if kind == "rollout" else before)


def died(site: Site) -> str:
    """What act.ps1 has died of, if it has."""
    log = site.host.gateway.drive / "ProgramData" / "flatnet" / "transactions" / "act.log"
    return log.read_text() if log.exists() else ""


def whoami(site: Site) -> str:
    """The generation that lies there."""
    return (site.conf / "flatnet" / "identity.conf").read_text().split("$nginx_version ")[1].split("\\n")[0]


def test_a_second_plan_is_refused_at_once_and_a_run_that_was_ended_is_taken_up(site: Site) -> None:
    assert site.call(transaction.start(GATEWAY, hold=0), deposit=True).changed
    first = site.rollout("slow", Probe(FLAG, seconds=100))
    assert site.call(first, deposit=True, wait=0).changed
    assert within(30, lambda: site.reached(first, "verify"))
    seen = site.call(first, deposit=True, wait=0)
    assert seen.state(first).verdict == transaction.RUNNING
    assert not seen.changed

    second = transaction.reload(GATEWAY, "second")
    seen = site.call(second, deposit=True)
    assert seen.state(second).verdict == transaction.REFUSED
    assert first.id in seen.state(second).sentence
    assert seen.unfinished == [first.id]

    ended = site.host.gateway.run([SCHTASKS, "/End", "/TN", transaction.TASK])
    assert ended.code == 0, ended.stderr
    assert site.call(first, wait=0).state(first).verdict == transaction.TAKE_UP
    (site.conf.parent / "html" / FLAG[1:]).write_text("now\n")
    seen = site.call(first, take_up=True)
    assert seen.changed
    assert seen.state(first).good, seen.state(first).sentence
    assert "taken up again" in seen.state(first).sentence
    site.expect(runs=True, name="slow", generation="slow")
