# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one list of what only a real Windows host can show, and how each of it is judged; the manual's table is made from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from ansible_collections.flatnet.ops.plugins.module_utils.times import from_iso
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import (
    CannotTell,
    Check,
    Found,
    Host,
    Look,
    Tried,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_firewall import NAME
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import RUNNING, Gateway
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import GATEWAY_TASK, WSL_TASK
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_wsl import Wsl
from ansible_collections.flatnet.ops.plugins.plugin_utils.text import Text

# What has to come back as it was sent.
TEXT = "日本語 ①㈱ flatnet"
# Windows 10, version 2004, the first that installs WSL2 by itself; Windows 11.
LEAST_BUILD, ELEVEN = 19041, 22000
# The controller's certificates and Kerberos live with more, times in reports do not.
MOST_SKEW_SECONDS = 60
# For how long a task may run where its definition does not say.
DEFAULT_LIMIT_SECONDS = 72 * 3600
# A task that comes back every minute, and the start of a gateway.
MOST_SECONDS_AWAY = 90
SYSTEM, ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
TASK_RUNNING = 4
# What the scheduler says of a task's last run: it ended well, it runs; another instance runs already.
ENDED_WELL, RUNS, REFUSED = 0, 0x41301, 0x800710E0
NEVER_RAN = 0x41303
_TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
# What a task does where its definition is silent ([MS-TSCH] 2.5).
_DEFAULTS = {
    "Enabled": "true",
    "StopAtDurationEnd": "false",
    "RunLevel": "LeastPrivilege",
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "true",
    "StopIfGoingOnBatteries": "true",
    "AllowStartOnDemand": "true",
    "ExecutionTimeLimit": "PT72H",
    "Priority": "7",
}


def _windows(host: Host) -> Found:
    kernel, windows = host.look.fact("kernel"), host.look.fact("windows")
    real = not kernel["wine"]
    return Found(
        real and windows["type"] == "Client" and windows["build"] >= LEAST_BUILD,
        windows_version(host.look) if real else "it is Wine",
        {**windows, **kernel},
    )


def windows_version(look: Look) -> str:
    """Which Windows a host says that it is; the registry calls 11 by the name of 10."""
    windows = look.fact("windows")
    product = windows["product"] or "Windows"
    if windows["build"] >= ELEVEN:
        product = product.replace("Windows 10", "Windows 11")
    release = f" {windows['release']}" if windows["release"] else ""
    return f"{product}{release}, build {windows['build']}.{windows['revision'] or 0}"


def _powershell(host: Host) -> Found:
    shell = host.look.fact("powershell")
    good = shell["version"].startswith("5.1.") and shell["edition"] == "Desktop" and shell["language"] == "FullLanguage"
    return Found(good, f"version {shell['version']}, edition {shell['edition']}, {shell['language']}", shell)


def _connection(host: Host) -> Found:
    connection = host.connection
    checked = "validated" if connection.validated else "not validated"
    return Found(
        connection.scheme == "https" and connection.validated,
        f"{connection.plugin} over {connection.scheme}, the certificate is {checked}",
        vars(connection),
    )


def _login(host: Host) -> Found:
    login = host.connection.login
    if login in ("basic", "plaintext", "ssl"):
        raise CannotTell(
            "this run has logged in by basic: run again with another ansible_winrm_transport", **vars(host.connection)
        )
    return Found(True, f"logged in by {login}", vars(host.connection))


def _clock(host: Host) -> Found:
    look = host.look
    # What is asked comes later than it was sent, and an answer earlier than it arrives.
    least, most = look.ended - look.answered, look.began - look.asked
    return Found(
        max(abs(least), abs(most)) <= MOST_SKEW_SECONDS,
        f"the host's clock is between {least:+.1f} s and {most:+.1f} s from the controller's",
        {"least_seconds": round(least, 3), "most_seconds": round(most, 3)},
    )


def _text(host: Host) -> Found:
    text = host.look.fact("text")
    wrong = sorted(name for name, value in text.items() if value != TEXT)
    return Found(not wrong, f"changed as {' and '.join(wrong)}" if wrong else "it came back as it was sent", text)


def _language(host: Host) -> Found:
    language = host.look.fact("language")
    said = language["schtasks"]
    where = f"Windows was installed as {language['culture'] or 'nothing'}, code pages {language['ansi']} and {language['oem']}"
    if said["said"].startswith("ERROR:"):
        raise CannotTell(f"schtasks.exe speaks English here; {where}", **language)
    return Found(
        said["code"] == 1,
        f"{where}; of a task that is not there schtasks.exe said '{said['said']}' and ended with {said['code']}",
        language,
    )


def _closed(host: Host) -> Found:
    places = host.look.fact("closed")
    known = {SYSTEM, ADMINISTRATORS}
    owners = {*known, *host.look.fact("accounts").values()}
    wrong = []
    for place in places:
        path = place["path"]
        if place["sddl"] is None:
            wrong.append(f"{path} is not there")
            continue
        strangers = sorted({rule["sid"] for rule in place["rules"] if rule["allows"]} - known)
        if strangers:
            wrong.append(f"{path} is open to {', '.join(strangers)}")
        # Without any rule everybody may do everything.
        if not place["rules"]:
            wrong.append(f"{path} has no rules")
        if place["owner"] not in owners:
            wrong.append(f"{path} is owned by {place['owner']}, who may open it")
    return Found(
        not wrong, "; ".join(wrong) or "nobody else may get at them", {place["path"]: place["sddl"] for place in places}
    )


def _tasks_kept(host: Host) -> Found:
    kept, accounts = host.look.fact("tasks"), host.look.fact("accounts")
    wrong = []
    for task in host.installation.tasks(host.distribution):
        if task.name not in kept:
            wrong.append(f"{task.name} is not there")
            continue
        users = {host.account.casefold(), accounts["account"].casefold()}
        wrong += [
            f"{task.name}: {each}" for each in differences(task.definition(host.account), kept[task.name]["xml"], users)
        ]
    return Found(not wrong, "; ".join(wrong) or "nothing differs", {name: task["xml"] for name, task in kept.items()})


def differences(wanted: str, kept: str, users: set[str]) -> list[str]:
    """What the scheduler does not have as it was given it; what we have not said, it may fill in.

    :param users: the account's names, in lower case: the scheduler writes another one than it was given
    """
    said, has = _values(wanted), _values(kept)
    wrong = []
    for path, value in said.items():
        above, _slash, name = path.rpartition("/")
        # What is missing altogether is named once, and has no defaults.
        if above and above not in has:
            continue
        there = has.get(path, _DEFAULTS.get(name))
        # flatnet.ops.stop disables a task.
        if path == "Settings/Enabled" or there == value:
            continue
        if there is None:
            wrong.append(f"{path} is not there")
        elif name != "UserId" or not {there.casefold(), there.rpartition("\\")[2].casefold()} & users:
            wrong.append(f"{path} is {there} instead of {value}")
    return wrong


def _values(xml: str) -> dict[str, str]:
    """Every element of a definition by its path, with its value."""
    found: dict[str, str] = {}

    def collect(element: ElementTree.Element, above: str) -> None:
        for child in element:
            path = f"{above}{child.tag.rpartition('}')[2]}"
            found[path] = (child.text or "").strip()
            collect(child, f"{path}/")

    collect(_parsed(xml), "")
    return found


def _parsed(xml: str) -> ElementTree.Element:
    # The file says UTF-16 of itself; what it says has been decoded already.
    return ElementTree.fromstring(re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", xml))


def _task_files(host: Host) -> Found:
    tasks, files = host.look.fact("tasks"), host.look.fact("task_files")
    if not tasks:
        raise CannotTell("the scheduler has no task of ours")
    wrong = []
    for name, task in sorted(tasks.items()):
        if name not in files:
            wrong.append(f"{name} has no file")
        elif _identity(files[name]) != _identity(task["xml"]):
            wrong.append(f"the file of {name} says something else")
    return Found(
        not wrong, "; ".join(wrong) or f"so do those of {' and '.join(sorted(tasks))}", {"files": sorted(files)}
    )


def _identity(xml: str) -> tuple[str | None, str]:
    """What our looks read: which definition of ours it is, and whether it is enabled."""
    root = _parsed(xml)
    enabled = root.findtext(f"{_TASK}Settings/{_TASK}Enabled", "true").strip().lower()
    return root.findtext(f"{_TASK}RegistrationInfo/{_TASK}Source"), enabled


def _tasks_run(host: Host) -> Found:
    tasks = host.look.fact("tasks")
    booted = from_iso(host.look.fact("booted"))
    evidence = {name: {key: task[key] for key in task if key != "xml"} for name, task in tasks.items()}
    wrong, open_ = [], []
    for name in (task.name for task in host.installation.tasks(host.distribution)):
        task = tasks.get(name)
        result = None if task is None else task["last_result"] & 0xFFFFFFFF
        if task is None:
            wrong.append(f"{name} is not there")
        elif not task["enabled"]:
            open_.append(f"{name} is disabled")
        elif result == NEVER_RAN:
            open_.append(f"{name} has never run")
        elif result not in (ENDED_WELL, RUNS, REFUSED):
            wrong.append(f"{name} ended with {result:#x}")
        elif from_iso(task["last_run"]) < booted:
            wrong.append(f"{name} has not run since the host has booted")
    kept = tasks.get(GATEWAY_TASK)
    if kept and kept["enabled"]:
        if kept["state"] != TASK_RUNNING:
            wrong.append(f"{GATEWAY_TASK} does not run")
        # Its repetition goes on while it runs.
        if not host.look.began - 1 <= from_iso(kept["next_run"]) <= host.look.ended + 60:
            wrong.append(f"the next run of {GATEWAY_TASK} is at {kept['next_run']}")
    if open_ and not wrong:
        raise CannotTell("; ".join(open_), **evidence)
    return Found(
        not wrong, "; ".join(wrong) or "they have run since the host has booted, and ended well or run", evidence
    )


def _port_owner(host: Host) -> Found:
    gateway = host.gateway
    if gateway.state != RUNNING:
        raise CannotTell("the gateway does not run")
    ours = {each.pid for each in (*gateway.masters, *gateway.workers)}
    owners = ", ".join(f"{name} ({pid})" for pid, name in sorted(gateway.owners.items()))
    return Found(
        bool(gateway.owners) and ours.issuperset(gateway.owners),
        f"Windows names {owners or 'nobody'} on port {gateway.port}",
        {"owners": owners, "gateway": sorted(ours)},
    )


def _lua(host: Host) -> Found:
    said = host.look.fact("nginx")
    first = next(iter(said["said"].splitlines()), "nothing")
    has = bool(re.search(r"ngx_lua|lua-nginx-module", said["said"]))
    return Found(has, f"{first}, {'with' if has else 'without'} Lua", said)


def _reload(host: Host) -> Found:
    found = _done(host.reload)
    if not found.good:
        return found
    processes = {each["pid"]: each for each in host.look.fact("processes")}
    keepers = {pid for pid, each in processes.items() if each["keeper"]}
    masters = [processes[master.pid] for master in host.gateway.masters if master.pid in processes]
    if not masters or not keepers.issuperset(master["parent"] for master in masters):
        raise CannotTell(
            "the gateway that runs was not started by its task: stop it, start it, and run again", **found.evidence
        )
    return Found(True, found.found, {**found.evidence, "masters": masters})


def _rollout(host: Host) -> Found:
    return _done(host.rollout)


def _boot(host: Host) -> Found:
    return _done(host.boot)


def _back(host: Host) -> Found:
    return _done(host.back)


def _done(tried: Tried) -> Found:
    if tried.good is None:
        raise CannotTell(tried.said, **tried.evidence)
    return Found(tried.good, tried.said, tried.evidence)


def booted(before: Look, after: Look, up: bool, said: str) -> Tried:
    """What a reboot has shown of something that a task starts.

    :param said: how it is now
    """
    times = [look.fact("booted") for look in (before, after)]
    evidence = {"booted": times, "desktops": after.fact("desktops")}
    if up and after.fact("desktops"):
        return Tried(
            None, f"{said}; but somebody has logged in since the host has booted, who may have started it", evidence
        )
    return Tried(up, f"the host has booted at {times[1]}; {said}", evidence)


def came_back(seconds: float, gateway: Gateway) -> Tried:
    """What the end of a gateway has shown.

    :param seconds: after how many of them it answered again, or nobody waited any longer
    """
    good = gateway.state == RUNNING and seconds <= MOST_SECONDS_AWAY
    return Tried(good, f"{seconds:.0f} s after its processes were ended, {gateway.sentence}", {"since": gateway.since})


def _wsl(host: Host) -> Found:
    wsl = _named(host)
    said = wsl.refusal(host.distribution).removesuffix("; nothing was changed")
    return Found(not said, said or f"{host.distribution} is of WSL 2, and belongs to {host.account}", vars(wsl))


def _wsl_kept(host: Host) -> Found:
    wsl = _named(host)
    found = (
        f"it is up, by {WSL_TASK}"
        if wsl.keeps(host.distribution)
        else f"{WSL_TASK} does not keep it; {wsl.said or 'it has said nothing'}"
    )
    return Found(wsl.keeps(host.distribution), found, vars(wsl))


def _named(host: Host) -> Wsl:
    if host.wsl is None:
        raise CannotTell("no distribution is named with flatnet_setup_gateway_distribution")
    return host.wsl


def _wsl_boot(host: Host) -> Found:
    _named(host)
    return _done(host.wsl_boot)


def _no_limit(host: Host) -> Found:
    keepers = [each for each in host.look.fact("processes") if each["keeper"]]
    ages = [host.look.began - from_iso(each["started"]) for each in keepers]
    if not ages or max(ages) < DEFAULT_LIMIT_SECONDS:
        hours = f"has run for {max(ages) / 3600:.1f} h" if ages else "does not run"
        raise CannotTell(f"{GATEWAY_TASK} {hours}: run again when it has run for more than 72 h", keepers=keepers)
    return Found(True, f"{GATEWAY_TASK} has run for {max(ages) / 3600:.0f} h", {"keepers": keepers})


def _firewall(host: Host) -> Found:
    firewall = host.look.fact("firewall")
    port = host.gateway.port
    opening = [
        rule
        for rule in firewall["rules"]
        if rule["enabled"] and rule["allows"] and rule["inward"] and _covers(rule["ports"], port)
    ]
    return Found(
        bool(opening),
        f"{len(opening)} of the {len(firewall['rules'])} rules called '{NAME}' that are in effect let port {port} in",
        firewall,
    )


def _covers(ports: Iterable[str], port: int) -> bool:
    for each in ports:
        first, _dash, last = each.partition("-")
        if each == "Any" or (first.isdigit() and int(first) <= port <= int(last or first)):
            return True
    return False


def versions(host: Host) -> Mapping[str, str | None]:
    """What the checks were tried on."""

    def told(name: str) -> Any:
        fact = host.look.facts[name]
        return fact["value"] if fact["problem"] is None else None

    shell = told("powershell")
    return {
        "windows": windows_version(host.look) if told("windows") else None,
        "powershell": f"{shell['version']} {shell['edition']}" if shell else None,
        "gateway": host.gateway.version,
        "wsl": told("wsl"),
    }


CHECKS = (
    Check(
        "windows",
        Text(
            "ホストは本物の Windows で、10 の 2004 以降か 11 である。そうでなければ、ほかの項目も確かめたことにならない",
            "the host is a real Windows, 10 from 2004 on, or 11; else nothing else is verified",
        ),
        _windows,
    ),
    Check(
        "powershell",
        Text(
            "スクリプトは Windows PowerShell 5.1 の Desktop 版で、制限なしに動く",
            "the scripts run on Windows PowerShell 5.1, Desktop edition, in full language mode",
        ),
        _powershell,
    ),
    Check(
        "connection",
        Text(
            "WinRM は HTTPS で、証明書を検証している",
            "WinRM is reached over HTTPS, and its certificate is validated",
        ),
        _connection,
    ),
    Check(
        "login",
        Text(
            "`ntlm`、`kerberos`、証明書など、`basic` 以外でもログインできる",
            "a login other than `basic` works (`ntlm`, `kerberos`, certificates)",
        ),
        _login,
    ),
    Check(
        "clock",
        Text(
            "ホストとコントローラーの時計の差は 60 秒以内である",
            "the clocks of host and controller differ by no more than 60 seconds",
        ),
        _clock,
    ),
    Check(
        "text",
        Text(
            "日本語は、引数でもファイルの名前と中身でも変わらない",
            "Japanese text survives as an argument, as the name of a file, and as its content",
        ),
        _text,
    ),
    Check(
        "language",
        Text(
            "英語でない Windows でも、`schtasks.exe` の終了コードは変わらない。その言葉は読まない",
            "the exit code of `schtasks.exe` is the same on a Windows that is not English; its words are not read",
        ),
        _language,
    ),
    Check(
        "closed",
        Text(
            r"`C:\ProgramData\flatnet` とその中のスクリプトは、管理者とシステムだけに開かれている",
            r"`C:\ProgramData\flatnet` and the scripts in it are open to administrators and the system alone",
        ),
        _closed,
    ),
    Check(
        "tasks_kept",
        Text(
            "スケジューラはタスクの定義を、渡したとおりに持っている。起動時と一分ごとのトリガー、`S4U`、最上位の特権、優先度、電源の条件",
            "the scheduler has our tasks as it was given them: triggers at boot and each minute, `S4U`, highest privileges, priority,"
            " battery conditions",
        ),
        _tasks_kept,
    ),
    Check(
        "task_files",
        Text(
            r"`C:\Windows\System32\Tasks` のファイルは、スケジューラが答えるものと同じである",
            r"the files in `C:\Windows\System32\Tasks` say what the scheduler itself says",
        ),
        _task_files,
    ),
    Check(
        "tasks_run",
        Text(
            "タスクはホストの起動後に動き、良い結果で終わったか動いている。一分ごとの繰り返しが続いている",
            "our tasks have run since the host has booted, with a good result; the repetition each minute goes on",
        ),
        _tasks_run,
    ),
    Check(
        "port_owner",
        Text(
            "Gateway のポートを持つプロセスを、Windows が `GetExtendedTcpTable` で教える",
            "Windows names the processes that own the gateway's port (`GetExtendedTcpTable`)",
        ),
        _port_owner,
    ),
    Check(
        "lua",
        Text(
            "Gateway のプログラムは Lua を持つ OpenResty である",
            "the gateway's program is an OpenResty that has Lua",
        ),
        _lua,
    ),
    Check(
        "reload",
        Text(
            r"タスクが起動したマスターに、nginx の合図がイベント `Global\ngx_…` で届き、再読み込みが証明される",
            r"the signals of nginx reach a master that the task has started (`Global\ngx_…` events), and a reload is proved",
        ),
        _reload,
    ),
    Check(
        "rollout",
        Text(
            r"動いている nginx の下で、フォルダー `conf` を名前の変更で入れ替えられ、設定の反映が証明される",
            r"the folder `conf` can be swapped by renames below an nginx that runs, and a rollout is proved",
        ),
        _rollout,
    ),
    Check(
        "firewall",
        Text(
            f"規則 `{NAME}` が有効で、Gateway のポートを通す",
            f"the rule `{NAME}` is in effect, and lets the gateway's port in",
        ),
        _firewall,
    ),
    Check(
        "wsl",
        Text(
            r"WSL2 のディストリビューションは、タスクを動かすアカウントのものである。それは WinRM から、レジストリの `Lxss` で分かる",
            r"the distribution is of WSL 2, and belongs to the account of the tasks; WinRM sees that in the registry's `Lxss`",
        ),
        _wsl,
    ),
    Check(
        "wsl_kept",
        Text(
            "タスク `flatnet-wsl` がディストリビューションを動かしている",
            "the task `flatnet-wsl` keeps the distribution running",
        ),
        _wsl_kept,
    ),
    Check(
        "wsl_boot",
        Text(
            "ホストを再起動すると、誰もログインしていなくても、タスクが WSL2 を起動する",
            "after a reboot the task starts WSL2, with nobody logged in",
        ),
        _wsl_boot,
    ),
    Check(
        "boot",
        Text(
            "ホストを再起動すると、誰もログインしていなくても、タスクが Gateway を起動する",
            "after a reboot the task starts the gateway, with nobody logged in",
        ),
        _boot,
    ),
    Check(
        "back",
        Text(
            f"終了した Gateway を、スケジューラの繰り返しが {MOST_SECONDS_AWAY} 秒以内に起動しなおす",
            f"the scheduler's repetition brings back a gateway that has ended, within {MOST_SECONDS_AWAY} seconds",
        ),
        _back,
    ),
    Check(
        "no_limit",
        Text(
            "タスクは、スケジューラの既定の制限である 72 時間を過ぎても動いている",
            "the task runs for longer than 72 hours, after which the scheduler ends one by default",
        ),
        _no_limit,
    ),
)
