# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the gateway on Windows: its control, and the rollout of its configuration."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults import Fault, Faults, Found
from tests.faults.computer import CONFIGURATION, NEW, OLD, Computer, Look
from tests.faults.site import FAILED, verdict
from tests.lab.machine import wait_until
from tests.lab.play import Ended
from tests.lab.windows.below import ask_http, unchangeable
from tests.lab.windows.certificates import Authority

FAULTS = Faults()
AS_BEFORE = Look(f"'{OLD}'", 2, True, "the old configuration lies there", ())
AS_ROLLED_OUT = Look(f"'{NEW}'", 2, True, "the new configuration lies there", ())
LISTENER = """
$listener = New-Object Net.Sockets.TcpListener ([Net.IPAddress]::Any), 80
$listener.Start()
[IO.File]::WriteAllText('C:\\held', '')
while ([IO.File]::Exists('C:\\held')) { [Threading.Thread]::Sleep(50) }
"""
HOLDER = """
$file = [IO.File]::Open('C:\\openresty\\conf\\nginx.conf', 'Open', 'Read', 'None')
[IO.File]::WriteAllText('C:\\held', '')
while ([IO.File]::Exists('C:\\held')) { [Threading.Thread]::Sleep(50) }
$file.Dispose()
"""
INCLUDED = '\t# 追加の場所\r\n\tlocation = /included {\r\n\t\treturn 200 "included";\r\n\t}\r\n'.encode()
LUA = """# 認証。実行できるのは OpenResty だけ\r
access_by_lua_block {\r
\tif ngx.var.arg_token ~= "秘密" then ngx.exit(403) end  -- } \r
}\r
""".encode()


def refused(computer: Computer, ended: Ended, *words: str) -> Found:
    """The run has failed with these words, and the gateway is as it has to be."""
    look = settled(computer, AS_BEFORE)
    named = all(each in ended.error for each in words)
    return Found(ended.code, ended.error, str(look), ended.code == FAILED and named and look == AS_BEFORE)


def went_well(computer: Computer, ended: Ended, after: Look) -> Found:
    """The run has done what it is for, and the gateway is as it has to be."""
    look = settled(computer, after)
    return Found(ended.code, verdict(ended), str(look), ended.code == 0 and look == after)


def settled(computer: Computer, wanted: Look) -> Look:
    """What there is to see, once a worker that is leaving has gone."""
    computer.wait_for_end()
    for _try in range(50):
        look = computer.look()
        if look.processes == wanted.processes:
            break
        time.sleep(0.1)
    return look


def edited(computer: Computer, old: str, new: str, words: tuple[str, ...]) -> Found:
    """The operator rolls out a configuration that is not as it should be."""
    computer.edit(old, new)
    return refused(computer, computer.roll_out(), *words)


EDITED: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "refused-by-nginx": (
        "a configuration that nginx does not accept",
        "location = /fault",
        "locaton = /fault",
        ('unknown directive "locaton"', "was undone, and all is as before"),
    ),
    "include-missing": (
        "a configuration that includes a file which is not there",
        "location = /fault",
        "include  conf.d/upstreams.inc;\n    location = /fault",
        ("upstreams.inc", "was undone, and all is as before"),
    ),
    "answers-500": (
        "a configuration that nginx accepts, and that answers 500",
        f'return 200 "{NEW}"',
        f'return 500 "{NEW}"',
        ("was undone, and all is as before", "and 500"),
    ),
    "another-page": (
        "a configuration that answers with another page than the probe expects",
        NEW,
        "no page of ours",
        ("was undone, and all is as before", "no page of ours"),
    ),
    "no-identity": (
        "a configuration without the line by which a rollout is proved",
        "    include flatnet/identity*.conf;\n",
        "",
        ("put 'include flatnet/identity*.conf;' into that server", "nothing was changed"),
    ),
    "byte-order-mark": (
        "a configuration whose file begins with a byte order mark, as editors of Windows write it",
        "server {",
        "\ufeffserver {",
        ("unknown directive", "was undone, and all is as before"),
    ),
}
for name, (what, old, new, words) in EDITED.items():
    FAULTS.append(Fault(f"gateway-{name}", f"{what}; a rollout", partial(edited, old=old, new=new, words=words)))


@FAULTS.of(
    "gateway-windows-text",
    "line ends of Windows, tabs, Japanese comments, an include, and Lua blocks that this nginx cannot run; a rollout",
)
def windows_text(computer: Computer) -> Found:
    live = computer.live / CONFIGURATION
    live.write_bytes(live.read_bytes().replace(b"\n", b"\r\n"))
    computer.edit("server {\n", "# ゲートウェイ\nserver {\n\tinclude\tconf.d/included.inc;\n")
    expected = {
        CONFIGURATION: (computer.conf / CONFIGURATION).read_bytes().replace(b"\n", b"\r\n"),
        "conf.d/included.inc": INCLUDED,
        "lua/access.conf": LUA,
    }
    for name in ("conf.d/included.inc", "lua/access.conf"):
        (computer.conf / name).parent.mkdir(exist_ok=True)
        (computer.conf / name).write_bytes(expected[name])
    found = went_well(computer, computer.roll_out(), AS_ROLLED_OUT)
    carried = all((computer.live / name).read_bytes() == content for name, content in expected.items())
    answered = ask_http("127.0.0.1", computer.gateway.port("http"), "/included", "localhost") == (200, "included")
    state = f"every byte is {'' if carried else 'not '}as it was handed over; {found.state}"
    return Found(found.exit, found.message, state, found.holds and carried and answered)


@FAULTS.of("gateway-workers-die", "the workers of the new configuration are killed while it is proved; a rollout")
def workers_die(computer: Computer) -> Found:
    def kill() -> None:
        computer.wait_for_step("verify")
        computer.kill(lambda pids: pids[1:])

    with meanwhile(kill):
        ended = computer.roll_out()
    return refused(computer, ended, "was undone, and all is as before")


@FAULTS.of("gateway-foreign-program", "another program has taken the gateway's port; a start")
def foreign_program(computer: Computer) -> Found:
    stopped = computer.play("stop")
    with held(computer, LISTENER):
        ended = computer.play("start")
    look = computer.look()
    named = "port 80 was expected to be free" in ended.error
    holds = (stopped.code, ended.code, look.processes) == (0, FAILED, 0) and named
    return Found(ended.code, ended.error, str(look), holds)


@FAULTS.of("gateway-master-killed", "somebody ends the master, and its worker goes on; a status, then a start")
def master_killed(computer: Computer) -> Found:
    computer.kill(lambda pids: pids[:1])
    status = computer.play("status")
    started = computer.play("start")
    look = settled(computer, AS_BEFORE)
    named = "go on serving without one, deaf to reload and stop" in status.error
    return Found(
        status.code, status.error, str(look), (status.code, started.code) == (FAILED, 0) and named and look == AS_BEFORE
    )


@FAULTS.of("gateway-stale-pid-file", "the pid file names a process that is none; a rollout")
def stale_pid_file(computer: Computer) -> Found:
    (computer.openresty / "logs" / "nginx.pid").write_text("99999\r\n")
    return went_well(computer, computer.roll_out(), AS_ROLLED_OUT)


@FAULTS.of("gateway-disk-full", "the disk with the transactions is full; a rollout")
def disk_full(computer: Computer) -> Found:
    inside = ["nsenter", f"--target={computer.windows.pid}", "--mount", "--"]
    target = "/prefix/drive_c/ProgramData/flatnet/transactions"
    act = (computer.transactions / "act.ps1").read_bytes()
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], check=True)
    try:
        disk = Path(f"/proc/{computer.windows.pid}/root{target}")
        (disk / "act.ps1").write_bytes(act)
        room = os.statvfs(disk)
        (disk / "filler").write_bytes(b"\0" * (room.f_bavail * room.f_frsize - 16384))
        ended = computer.roll_out()
    finally:
        subprocess.run([*inside, "umount", target], check=True)
    return refused(computer, ended, "make room on that disk")


@FAULTS.of("gateway-read-only", "the folder of the configuration cannot be renamed; a rollout")
def read_only(computer: Computer) -> Found:
    with unchangeable(computer.live):
        ended = computer.roll_out()
    return refused(computer, ended, "was expected to be renamed to")


@FAULTS.of("gateway-access-denied", "the gateway's identity must not be written; a reload")
def access_denied(computer: Computer) -> Found:
    with unchangeable(computer.live / "flatnet"):
        ended = computer.play("reload")
    return refused(
        computer,
        ended,
        "was undone, and all is as before",
        "identity.conf was expected to be written",
        "look at the permissions",
    )


@FAULTS.of("gateway-file-locked", "another program holds a file of the configuration; a rollout")
def file_locked(computer: Computer) -> Found:
    with held(computer, HOLDER):
        ended = computer.roll_out()
    return refused(
        computer, ended, r"C:\openresty\conf\nginx.conf was expected to be readable", "close the program", "; report: "
    )


@FAULTS.of("gateway-edited-meanwhile", "somebody edits the live configuration while another is rolled out")
def edited_meanwhile(computer: Computer) -> Found:
    live = computer.live / CONFIGURATION
    was = live.read_bytes()

    def edit() -> None:
        trees = computer.openresty / "conf-trees"
        wait_until("The tree beside the live one", lambda: bool(list(trees.glob("*/new"))), 120)
        live.write_bytes(was + b"# by hand\n")

    with meanwhile(edit):
        ended = computer.roll_out()
    kept = live.read_bytes() == was + b"# by hand\n"
    live.write_bytes(was)
    found = refused(computer, ended, "somebody has changed it since")
    return Found(found.exit, found.message, f"what somebody wrote is there; {found.state}", found.holds and kept)


@FAULTS.of("gateway-task-disabled", "somebody has disabled the task that keeps the gateway; a status, then a start")
def task_disabled(computer: Computer) -> Found:
    computer.gateway.lab_request("task-enable", {"name": "flatnet-gateway", "enabled": False})
    status = computer.play("status")
    started = computer.play("start")
    look = settled(computer, AS_BEFORE)
    named = "so that a reboot ends it" in status.error
    return Found(
        status.code, status.error, str(look), (status.code, started.code) == (FAILED, 0) and named and look == AS_BEFORE
    )


@FAULTS.of(
    "gateway-task-deleted", "somebody has deleted the task that carries transactions out; a rollout, then a setup"
)
def task_deleted(computer: Computer) -> Found:
    computer.gateway.lab_request("task-delete", {"name": "flatnet-transaction"})
    ended = computer.roll_out()
    again = computer.play("setup")
    found = refused(computer, ended, "run playbook flatnet.ops.setup", "; report: ")
    return Found(found.exit, found.message, found.state, found.holds and again.code == 0)


@FAULTS.of("gateway-cable", "the network is cut for ten seconds in the middle of a rollout")
def cable(computer: Computer) -> Found:
    def pull() -> None:
        computer.wait_for_step("rename")
        computer.gateway.outage(10)

    with meanwhile(pull):
        ended = computer.roll_out()
    return went_well(computer, ended, AS_ROLLED_OUT)


@FAULTS.of("gateway-controller-killed", "kill -9 of the controller in the middle of a rollout; then a status")
def controller_killed(computer: Computer) -> Found:
    with computer.rolling_out() as running:
        computer.wait_for_step("rename")
        running.kill()
    computer.wait_for_end()
    return went_well(computer, computer.play("status"), AS_ROLLED_OUT)


@FAULTS.of("gateway-reboot", "the computer reboots in the middle of a rollout; then a status")
def reboot(computer: Computer) -> Found:
    with computer.rolling_out() as running:
        computer.wait_for_step("rename")
        computer.gateway.reboot(0.5)
        running.end()
    computer.wait_for_end()
    return went_well(computer, computer.play("status"), AS_ROLLED_OUT)


@FAULTS.of("gateway-wrong-password", "the password in the inventory is not the account's; a rollout")
def wrong_password(computer: Computer) -> Found:
    ended = computer.play("gateway_config", **computer.rollout, ansible_password="wrong")
    return refused(computer, ended, "credentials were rejected", "nothing was done there")


@FAULTS.of("gateway-untrusted", "the certificate of the host is not signed by whom the controller trusts; a rollout")
def untrusted(computer: Computer) -> Found:
    somebody = Authority(computer.conf.with_name("somebody"))
    somebody.ensure("somebody else")
    trusted = str(somebody.certificate)
    ended = computer.play("gateway_config", **computer.rollout, ansible_winrm_ca_trust_path=trusted)
    return refused(computer, ended, "certificate verify failed", "nothing was done there")


@contextmanager
def meanwhile(do: Callable[[], None]) -> Iterator[None]:
    """Something happens while the block is at work; it has happened afterwards."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(do)
        yield
        done.result()


@contextmanager
def held(computer: Computer, script: str) -> Iterator[None]:
    """A program of somebody's runs on the host."""
    sign = computer.gateway.drive / "held"
    with ThreadPoolExecutor(1) as pool:
        program = pool.submit(computer.gateway.powershell, script, timeout=300)
        try:
            wait_until("Somebody's program", sign.exists, 60)
            yield
        finally:
            sign.unlink(missing_ok=True)
        program.result()
