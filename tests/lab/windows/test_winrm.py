# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WinRM on the gateway: shells and commands, who is let in, what is cut, and Ansible's own modules over it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError, WSManFaultError
from winrm.protocol import Protocol

from tests.lab import Lab
from tests.lab.machine import wait_until
from tests.lab.windows.certificates import Authority
from tests.lab.windows.gateway import PASSWORD, Gateway
from tests.lab.windows.image import USER

pytestmark = pytest.mark.gateway

NAME = f"test-{os.getpid()}"
ROOT = Path(__file__).resolve().parents[3]
POWERSHELL = ("PowerShell", "-NoProfile", "-NonInteractive", "-Command")
NGINX = "C:\\winlab\\nginx\\1.31.4\\nginx.exe -p C:\\lab -c nginx.conf"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Lab(NAME) as lab:
        made = lab.new_gateway("gateway1")
        (made.drive / "lab" / "logs").mkdir(parents=True)
        (made.drive / "lab" / "nginx.conf").write_text("events {}\n")
        yield made


@pytest.fixture
def shell(gateway: Gateway) -> Iterator[tuple[Protocol, str]]:
    client = protocol(gateway)
    shell_id = client.open_shell()
    yield client, shell_id
    client.close_shell(shell_id)


def protocol(gateway: Gateway, **options: Any) -> Protocol:
    """A client that verifies the certificate."""
    settings = {
        "endpoint": f"{gateway.url('winrm')}/wsman",
        "transport": "basic",
        "username": USER,
        "password": PASSWORD,
        "ca_trust_path": str(gateway.authority.certificate),
        "operation_timeout_sec": 10,
        "read_timeout_sec": 20,
    }
    return Protocol(**{**settings, **options})


def output(client: Protocol, shell_id: str, command: str, *arguments: str) -> tuple[str, str, int]:
    command_id = client.run_command(shell_id, command, arguments)
    out, err, code = client.get_command_output(shell_id, command_id)
    client.cleanup_command(shell_id, command_id)
    return out.decode(), err.decode(), code


def nginx_runs(gateway: Gateway, number: int) -> bool:
    return gateway.processes("nginx.exe") == number


def test_a_command_has_its_output_and_its_code(shell: tuple[Protocol, str]) -> None:
    client, shell_id = shell
    assert output(client, shell_id, "cmd", "/c", "echo out& echo err>&2& exit 7") == ("out\r\n", "err\r\n", 7)


def test_more_is_printed_than_one_answer_holds(shell: tuple[Protocol, str]) -> None:
    client, shell_id = shell
    out, err, code = output(client, shell_id, *POWERSHELL, "'猫' * 100000; [Console]::Error.Write('x' * 100000)")
    assert (out, len(err), code) == ("猫" * 100000 + "\r\n", 100000, 0)


def test_input_reaches_the_command_until_its_end(shell: tuple[Protocol, str]) -> None:
    client, shell_id = shell
    command_id = client.run_command(shell_id, *POWERSHELL[:1], [*POWERSHELL[1:], "[Console]::In.ReadToEnd().ToUpper()"])
    client.send_command_input(shell_id, command_id, b"first ", False)
    client.send_command_input(shell_id, command_id, b"last", True)
    assert client.get_command_output(shell_id, command_id)[0].strip() == b"FIRST LAST"
    with pytest.raises(WSManFaultError, match="pipe has been ended"):
        client.send_command_input(shell_id, command_id, b"more", True)


def test_variables_of_the_shell_reach_the_command(gateway: Gateway) -> None:
    client = protocol(gateway)
    shell_id = client.open_shell(env_vars={"FLATNET": "a b"})
    assert output(client, shell_id, "cmd", "/c", "echo %FLATNET%")[0] == "a b\r\n"
    client.close_shell(shell_id)


def test_a_signal_ends_a_command(gateway: Gateway, shell: tuple[Protocol, str]) -> None:
    client, shell_id = shell
    command_id = client.run_command(shell_id, NGINX)
    wait_until("nginx", partial(nginx_runs, gateway, 2), 10)
    client.cleanup_command(shell_id, command_id)
    # A worker that had not begun to serve ends with its master, another one does not.
    wait_until("The end of the master", lambda: gateway.processes("nginx.exe") < 2, 10)
    assert output(client, shell_id, "cmd", "/c", "echo lives")[0] == "lives\r\n"


def test_what_a_shell_has_started_ends_with_it(gateway: Gateway) -> None:
    client = protocol(gateway)
    shell_id = client.open_shell()
    start = "Start-Process C:\\winlab\\nginx\\1.31.4\\nginx.exe -ArgumentList '-p','C:\\lab','-c','nginx.conf'"
    assert output(client, shell_id, *POWERSHELL, start)[2] == 0
    wait_until("nginx", partial(nginx_runs, gateway, 2), 10)
    client.close_shell(shell_id)
    assert nginx_runs(gateway, 0)
    with pytest.raises(WSManFaultError, match=r"the shell was not found on the\s+server"):
        client.run_command(shell_id, "cmd")


def test_an_operation_that_takes_longer_than_its_time_out_goes_on(gateway: Gateway) -> None:
    client = protocol(gateway, operation_timeout_sec=1, read_timeout_sec=5)
    shell_id = client.open_shell()
    assert output(client, shell_id, *POWERSHELL, "Start-Sleep -Milliseconds 2500; 'late'")[0] == "late\r\n"
    client.close_shell(shell_id)


def test_a_wrong_password_is_refused(gateway: Gateway) -> None:
    with pytest.raises(InvalidCredentialsError):
        protocol(gateway, password="wrong").open_shell()


def test_a_certificate_of_another_authority_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    other.ensure("somebody else")
    with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
        protocol(gateway, ca_trust_path=str(other.certificate)).open_shell()


def test_without_a_login_nothing_is_said(gateway: Gateway) -> None:
    for path in ("wsman", "lab/tasks"):
        answer = requests.post(f"{gateway.url('winrm')}/{path}", verify=str(gateway.authority.certificate), timeout=10)
        assert (answer.status_code, answer.text) == (401, "")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="WSMAN"'


def test_what_is_no_request_is_refused(gateway: Gateway) -> None:
    url, login, trusted = gateway.url("winrm"), (USER, PASSWORD), str(gateway.authority.certificate)
    assert requests.post(f"{url}/wsman", b"<", auth=login, verify=trusted, timeout=10).status_code == 400
    assert requests.post(f"{url}/other", b"", auth=login, verify=trusted, timeout=10).status_code == 404
    assert requests.post(f"{url}/lab/other", b"", auth=login, verify=trusted, timeout=10).status_code == 400


def test_an_outage_cuts_what_waits_and_the_command_runs_on(gateway: Gateway) -> None:
    client = protocol(gateway)
    shell_id = client.open_shell()
    slow = "Start-Sleep 3; [IO.File]::WriteAllText('C:\\slow', 'done')"
    command_id = client.run_command(shell_id, *POWERSHELL[:1], [*POWERSHELL[1:], slow])
    cut = threading.Timer(0.5, gateway.outage, [2])
    cut.start()
    with pytest.raises(requests.exceptions.ConnectionError):
        client.get_command_output(shell_id, command_id)
    cut.join()
    with pytest.raises(requests.exceptions.ConnectionError):
        protocol(gateway).open_shell()
    wait_until("The end of the outage", gateway.answers, 10)
    assert client.get_command_output(shell_id, command_id)[2] == 0
    assert (gateway.drive / "slow").read_text() == "done"
    client.close_shell(shell_id)


def test_a_reboot_ends_every_shell(gateway: Gateway) -> None:
    client = protocol(gateway)
    shell_id = client.open_shell()
    client.run_command(shell_id, NGINX)
    wait_until("nginx", partial(nginx_runs, gateway, 2), 10)
    gateway.reboot(0)
    assert nginx_runs(gateway, 0)
    with pytest.raises(WSManFaultError, match="shell was not found"):
        protocol(gateway).run_command(shell_id, "cmd")


def ansible(gateway: Gateway, module: str, arguments: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    argv = ["ansible", "gateway", "--inventory", str(gateway.lab.inventory), "--module-name", module]
    options = ["--args", arguments, "--extra-vars", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "oneline"}
    return subprocess.run([*argv, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_ansible_reaches_the_gateway_over_verified_https(gateway: Gateway) -> None:
    done = ansible(gateway, "ansible.windows.win_ping")
    assert (done.returncode, '"ping": "pong"' in done.stdout) == (0, True), done.stderr


def test_ansible_runs_a_script(gateway: Gateway) -> None:
    script = "$Ansible.Result = @{ name = $env:COMPUTERNAME; text = '日本' }; $Ansible.Changed = $false"
    done = ansible(gateway, "ansible.windows.win_powershell", json.dumps({"script": script}))
    assert done.returncode == 0, done.stdout
    answer = json.loads(done.stdout.partition("=> ")[2])
    assert (answer["changed"], answer["result"]) == (False, {"name": "GATEWAY1", "text": "日本"})


def test_ansible_refuses_a_certificate_that_it_cannot_verify(gateway: Gateway, tmp_path: Path) -> None:
    Authority(tmp_path).ensure("somebody else")
    done = ansible(gateway, "ansible.windows.win_ping", ansible_winrm_ca_trust_path=str(tmp_path / "ca.pem"))
    assert done.returncode == 4
    assert "UNREACHABLE" in done.stdout
    assert "certificate verify failed" in done.stdout


def test_ansible_says_that_a_password_is_wrong(gateway: Gateway) -> None:
    done = ansible(gateway, "ansible.windows.win_ping", ansible_password="wrong")
    assert (done.returncode, "the specified credentials were rejected by the server" in done.stdout) == (4, True)
