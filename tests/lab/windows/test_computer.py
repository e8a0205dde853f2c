# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway is a computer: its scheduler's rules, its nginx, its reboot, and what a test can do to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab
from tests.lab.lab import sweep
from tests.lab.machine import LabError, mounts_below, wait_until
from tests.lab.windows.computer.tasks import NAMESPACE
from tests.lab.windows.gateway import DIRECT, Gateway
from tests.lab.windows.image import OTHER_VERSION, VERSION

pytestmark = pytest.mark.gateway

NAME = f"test-{os.getpid()}"
ROOT = Path(__file__).resolve().parents[3]
OWNER = """
import sys, time
from tests.lab import Lab
with Lab(sys.argv[1]) as lab:
    lab.new_gateway("gateway1")
    print("ready", flush=True)
    time.sleep(600)
"""
BOOT = "<BootTrigger><Repetition><Interval>PT1M</Interval></Repetition></BootTrigger>"
CMD = r"C:\windows\system32\cmd.exe"
OTHER_NGINX = rf"C:\winlab\nginx\{OTHER_VERSION}\nginx.exe"
IS_RUNNING, HAS_NOT_RUN, TERMINATED, NOT_FOUND, NO_DIRECTORY = 267009, 267011, 267014, 2147942402, 2147942667
# The worker's id in every answer says who answers.
WHO = r"""worker_processes 1;
pid logs/nginx.pid;
events { worker_connections 64; }
http {
    access_log off;
    server { listen 80; location = /healthz { return 200 "ok\n"; } location = /who { return 200 "$pid $nginx_version"; } }
}
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Lab(NAME) as lab:
        yield lab.new_gateway("gateway1")


@pytest.fixture(autouse=True)
def no_tasks(gateway: Gateway) -> Iterator[None]:
    """No task outlives its test."""
    yield
    for each in tasks(gateway):
        gateway.lab_request("task-end", {"name": each["name"]})
        gateway.lab_request("task-delete", {"name": each["name"]})


def tasks(gateway: Gateway) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = gateway.lab_request("tasks")
    return described


def task(gateway: Gateway, name: str = "x") -> dict[str, Any]:
    (described,) = gateway.lab_request("tasks", {"name": name})
    assert isinstance(described, dict)
    return described


def register(
    gateway: Gateway,
    command: str,
    arguments: str = "",
    *,
    directory: str = "",
    triggers: str = "",
    settings: str = "",
    name: str = "x",
) -> None:
    place = f"<WorkingDirectory>{directory}</WorkingDirectory>" if directory else ""
    action = f"<Exec><Command>{command}</Command><Arguments>{arguments}</Arguments>{place}</Exec>"
    xml = (
        f'<Task version="1.2" xmlns="{NAMESPACE}"><Triggers>{triggers}</Triggers><Settings>{settings}</Settings>'
        f"<Actions>{action}</Actions></Task>"
    )
    gateway.lab_request("task-create", {"name": name, "xml": xml, "replace": True})


def long(gateway: Gateway, *, settings: str = "", policy: str = "", name: str = "x") -> None:
    """A task that runs until somebody ends it."""
    chosen = f"<MultipleInstancesPolicy>{policy}</MultipleInstancesPolicy>" if policy else ""
    register(gateway, OTHER_NGINX, "-p C:\\lab -c nginx.conf", settings=settings + chosen, name=name)
    (gateway.drive / "lab" / "logs").mkdir(parents=True, exist_ok=True)
    (gateway.drive / "lab" / "nginx.conf").write_text("events {}\n")


def recorder(gateway: Gateway, *, triggers: str = "", settings: str = "") -> None:
    """A task that leaves a line each time that it runs."""
    (gateway.drive / "ran").unlink(missing_ok=True)
    register(gateway, CMD, "/c echo ran&gt;&gt;C:\\ran", triggers=triggers, settings=settings)


def ran(gateway: Gateway) -> int:
    path = gateway.drive / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def ran_times(gateway: Gateway, times: int) -> bool:
    return ran(gateway) == times and not task(gateway)["running"]


def run(gateway: Gateway, name: str = "x") -> None:
    gateway.lab_request("task-run", {"name": name})


def running(gateway: Gateway) -> int:
    return int(task(gateway)["running"])


def who(gateway: Gateway) -> tuple[int, str]:
    """The worker that answers, and its version."""
    with DIRECT.open(f"{gateway.url('http')}/who", timeout=5) as answer:
        pid, version = answer.read().decode().split()
    return int(pid), version


def pids(gateway: Gateway) -> list[int]:
    """Every nginx, master or worker."""
    listed = gateway.powershell("Get-Process nginx -ErrorAction SilentlyContinue | ForEach-Object { $_.Id }")
    return [int(line) for line in listed.stdout.split()]


def configure(gateway: Gateway) -> None:
    (gateway.drive / "openresty" / "conf" / "nginx.conf").write_text(WHO)


def test_a_new_task_has_not_run(gateway: Gateway) -> None:
    recorder(gateway, triggers=BOOT)
    described = task(gateway, "\\X")
    assert described["name"] == "\\x"
    assert (described["last_result"], described["last_run"], described["next_run"]) == (HAS_NOT_RUN, None, None)
    time.sleep(0.3)
    gateway.pass_time(61)
    time.sleep(0.3)
    assert ran(gateway) == 0


def test_a_task_runs_on_demand_outside_every_shell(gateway: Gateway) -> None:
    recorder(gateway)
    run(gateway)
    wait_until("The run", partial(ran_times, gateway, 1), 10)
    assert task(gateway)["last_result"] == 0
    register(gateway, CMD, "/c exit 3")
    run(gateway)
    wait_until("The result", lambda: task(gateway)["last_result"] == 3, 10)


def test_a_program_or_directory_that_is_not_there_is_the_result(gateway: Gateway) -> None:
    register(gateway, r"C:\nothing.exe")
    run(gateway)
    assert (task(gateway)["last_result"], running(gateway)) == (NOT_FOUND, 0)
    register(gateway, CMD, "/c exit", directory=r"C:\nowhere")
    run(gateway)
    assert (task(gateway)["last_result"], running(gateway)) == (NO_DIRECTORY, 0)


def test_a_disabled_task_does_not_run(gateway: Gateway) -> None:
    start = "<TimeTrigger><StartBoundary>2026-01-01T00:00:00</StartBoundary>"
    recorder(gateway, triggers=f"{start}<Repetition><Interval>PT1M</Interval></Repetition></TimeTrigger>")
    gateway.lab_request("task-enable", {"name": "x", "enabled": False})
    with pytest.raises(LabError, match="The task is disabled"):
        run(gateway)
    gateway.pass_time(61)
    time.sleep(0.5)
    assert (ran(gateway), task(gateway)["next_run"]) == (0, None)
    gateway.lab_request("task-enable", {"name": "x", "enabled": True})
    gateway.pass_time(60)
    wait_until("The run", partial(ran_times, gateway, 1), 10)
    gateway.pass_time(60)
    wait_until("The second run", partial(ran_times, gateway, 2), 10)


@pytest.mark.parametrize(
    ("policy", "at_once", "after_the_end"),
    [("IgnoreNew", 1, 0), ("Parallel", 2, 0), ("Queue", 1, 1), ("StopExisting", 1, 0)],
)
def test_instances_follow_the_policy(gateway: Gateway, policy: str, at_once: int, after_the_end: int) -> None:
    long(gateway, policy=policy)
    run(gateway)
    first = task(gateway)["last_run"]
    run(gateway)
    assert running(gateway) == at_once
    assert (task(gateway)["last_run"] != first) == (policy in ("Parallel", "StopExisting"))
    gateway.lab_request("task-end", {"name": "x"})
    assert running(gateway) == after_the_end


def test_a_time_limit_ends_everything_that_the_task_has_started(gateway: Gateway) -> None:
    long(gateway, settings="<ExecutionTimeLimit>PT5M</ExecutionTimeLimit>")
    run(gateway)
    wait_until("Master and worker", lambda: gateway.processes("nginx.exe") == 2, 10)
    gateway.pass_time(290)
    time.sleep(0.3)
    assert (running(gateway), task(gateway)["last_result"]) == (1, IS_RUNNING)
    gateway.pass_time(11)
    wait_until("The end", lambda: not running(gateway), 10)
    assert task(gateway)["last_result"] == TERMINATED
    assert gateway.processes("nginx.exe") == 0


def test_a_task_without_limit_runs_on(gateway: Gateway) -> None:
    long(gateway, settings="<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>")
    run(gateway)
    gateway.pass_time(100 * 3600)
    time.sleep(0.3)
    assert running(gateway) == 1


def test_a_reboot_ends_everything_and_fires_what_waits_for_a_boot(gateway: Gateway) -> None:
    long(gateway, name="left")
    run(gateway, "left")
    recorder(gateway, triggers=BOOT)
    volatile = gateway.drive / "windows" / "temp" / "lab-volatile"
    volatile.mkdir()
    gateway.powershell(r"New-Item -Path HKLM:\SOFTWARE\flatnet -Force | New-ItemProperty -Name kept -Value yes")
    gateway.reboot(0.5)
    wait_until("The run at boot", partial(ran_times, gateway, 1), 10)
    assert gateway.processes("nginx.exe") == 0
    assert gateway.powershell(r"(Get-ItemProperty HKLM:\SOFTWARE\flatnet).kept").stdout.strip() == "yes"
    assert not volatile.exists()
    gateway.pass_time(60)
    wait_until("The repetition", partial(ran_times, gateway, 2), 10)
    gateway.lab_request("task-enable", {"name": "x", "enabled": True})
    gateway.pass_time(60)
    time.sleep(0.5)
    assert ran(gateway) == 2


def test_nginx_starts_by_its_task_reloads_and_stops(gateway: Gateway) -> None:
    tested = gateway.nginx("-t")
    assert (tested.code, "test is successful" in tested.stderr) == (0, True)
    register(gateway, r"C:\openresty\nginx.exe", r"-p C:\openresty -c conf\nginx.conf")
    run(gateway)
    wait_until("An answer", gateway.serves, 10)
    configure(gateway)
    assert gateway.nginx("-s", "reload").code == 0
    # The old worker and the new one answer in turn for a moment.
    wait_until("The new configuration", lambda: all(answers_who(gateway) for _time in range(5)), 10)
    worker, version = who(gateway)
    assert version == VERSION
    assert worker in pids(gateway)
    assert gateway.nginx("-s", "quit").code == 0
    wait_until("The end of the task", lambda: not running(gateway), 10)
    assert (gateway.serves(), task(gateway)["last_result"]) == (False, 0)
    stopped = gateway.nginx("-s", "stop")
    assert stopped.code == 1
    assert re.search(r"CreateFile\(\) .*nginx\.pid.* failed \(2:", stopped.stderr)


def answers_who(gateway: Gateway) -> bool:
    try:
        who(gateway)
    except urllib.error.HTTPError:
        return False
    return True


def test_two_masters_share_a_port_and_workers_outlive_their_master(gateway: Gateway) -> None:
    configure(gateway)
    gateway.start_nginx()
    (gateway.drive / "lab" / "logs").mkdir(parents=True, exist_ok=True)
    (gateway.drive / "lab" / "nginx.conf").write_text(WHO)
    gateway.lab_request("start", {"argv": [OTHER_NGINX, "-p", "C:\\lab", "-c", "nginx.conf"], "directory": "C:\\lab"})
    seen: set[str] = set()

    def both() -> bool:
        seen.add(who(gateway)[1])
        return seen == {VERSION, OTHER_VERSION}

    wait_until("Answers of both", both, 20)
    masters = [int((gateway.drive / place / "logs" / "nginx.pid").read_text()) for place in ("openresty", "lab")]
    gateway.powershell(f"Stop-Process -Force -Id {masters[0]}, {masters[1]}")
    assert not set(masters) & set(pids(gateway))
    assert gateway.serves()
    gateway.end("nginx.exe")
    assert (gateway.processes("nginx.exe"), gateway.serves()) == (0, False)


def test_a_port_of_a_foreign_program_is_refused(gateway: Gateway) -> None:
    configure(gateway)
    script = (
        "$l = New-Object Net.Sockets.TcpListener ([Net.IPAddress]::Any), 80; $l.Start();"
        r"& C:\openresty\nginx.exe -p C:\openresty -c conf\nginx.conf -t; $code = $LASTEXITCODE; $l.Stop(); exit $code"
    )
    tested = gateway.powershell(script)
    assert tested.code == 1
    assert re.search(r"bind\(\) to 0\.0\.0\.0:80 failed \(100(13|48):", tested.stderr)


def test_a_program_is_killed_when_a_file_has_its_lines(gateway: Gateway) -> None:
    script = (
        "$f = [IO.File]::Open('C:\\journal', 'Create', 'Write', 'Read'); foreach ($i in 1..20) {"
        ' $f.Write([Text.Encoding]::ASCII.GetBytes("$i`n"), 0, "$i`n".Length); $f.Flush($true);'
        " [Threading.Thread]::Sleep(100) }"
    )
    killed = gateway.powershell(script, kill_at=("C:\\journal", 3))
    assert killed.ended == "watch"
    assert (gateway.drive / "journal").read_text() == "1\n2\n3\n"
    assert gateway.powershell("Start-Sleep 60", timeout=2).ended == "timeout"


def test_the_end_of_the_launcher_ends_powershell_but_not_what_it_has_started(gateway: Gateway) -> None:
    configure(gateway)
    script = (
        "$f = 'C:\\launched'; Start-Process C:\\openresty\\nginx.exe -ArgumentList '-p','C:\\openresty','-c','conf\\nginx.conf';"
        "[IO.File]::WriteAllText($f, \"$PID`n\"); Start-Sleep 60; [IO.File]::WriteAllText($f, 'lived')"
    )
    launcher = r"C:\windows\system32\spawn.exe"
    (gateway.drive / "launched").unlink(missing_ok=True)
    killed = gateway.run([launcher, "powershell.exe", "-Command", script], kill_at=("C:\\launched", 1))
    assert killed.ended == "watch"
    pid = int((gateway.drive / "launched").read_text())
    left = gateway.powershell(
        f"@(Get-Process -Id {pid} -ErrorAction SilentlyContinue).Count; @(Get-Process nginx).Count"
    )
    assert left.stdout.split() == ["0", "2"]
    gateway.end("nginx.exe")


def test_arguments_and_exit_codes_pass_through_the_launcher(gateway: Gateway) -> None:
    (gateway.drive / "said.ps1").write_text('$args | ForEach-Object { "[$_]" }; exit 3010')
    called = (
        r"& C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -File C:\said.ps1 'a b' '' 'c\' '日本';"
        " $LASTEXITCODE"
    )
    assert gateway.powershell(called).stdout.split("\r\n") == ["[a b]", "[]", "[c\\]", "[日本]", "3010", ""]


def test_a_program_that_cannot_be_launched_is_named(gateway: Gateway) -> None:
    launched = gateway.run([r"C:\windows\system32\spawn.exe", r"C:\nothing.exe", "x"])
    assert (launched.code, launched.stderr) == (127, "spawn: cannot run C:\\nothing.exe x: error 2\r\n")


def test_drive_c_is_a_directory_of_the_machine(gateway: Gateway) -> None:
    (gateway.drive / "openresty" / "conf" / "猫.conf").write_bytes(b"# \xe7\x8c\xab\r\n")
    script = "[IO.File]::ReadAllText('C:\\OpenResty\\conf\\猫.conf'); Rename-Item C:\\openresty\\conf\\猫.conf 犬.conf"
    assert gateway.powershell(script).stdout.split() == ["#", "猫"]
    assert (gateway.drive / "openresty" / "conf" / "犬.conf").exists()
    script = "[IO.Directory]::Move('C:\\openresty\\conf', 'C:\\openresty\\away'); [IO.Directory]::Move('C:\\openresty\\away', 'C:\\openresty\\conf')"
    assert gateway.powershell(script).code == 0


def test_the_gateway_of_a_killed_owner_is_swept() -> None:
    orphan = Lab(f"{NAME}-b")
    argv = [sys.executable, "-c", OWNER, orphan.name]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "ready\n"
        owner.kill()
    process = Path("/proc") / orphan.podman("inspect", "--format", "{{.State.Pid}}", "gateway1")
    assert mounts_below(orphan.directory)
    sweep()
    assert not process.exists()
    assert not mounts_below(orphan.directory)
    assert not orphan.exists()


def test_an_end_that_nobody_asked_for_is_explained(gateway: Gateway) -> None:
    broken = Gateway(gateway.lab, "broken")
    broken.create()
    (broken.settings / "computer.json").write_text("{")
    gateway.lab.podman("restart", "--time=0", broken.name)
    with pytest.raises(LabError, match=r"(?s)The gateway broken has ended \((exited|stopped) 1\).*JSONDecodeError"):
        broken.wait_until_booted()
    assert [str(broken.drive / "windows")] == mounts_below(broken.directory)
    broken.destroy()
    assert not broken.directory.exists()
