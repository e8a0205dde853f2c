# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make lab-up` makes a whole site: a gateway and its WSL2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.machine import mounts_below
from tests.lab.windows.gateway import DIRECT, LXSS, Gateway

pytestmark = pytest.mark.gateway

NAME = f"test-{os.getpid()}"
ROOT = Path(__file__).resolve().parents[3]
WSL = r"C:\windows\system32\wsl.exe"


def person(command: str) -> subprocess.CompletedProcess[str]:
    """What a person types."""
    argv = [sys.executable, "-m", "tests.lab", command, "--name", NAME]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = person("up")
    try:
        assert made.returncode == 0, made.stderr
        yield Lab(NAME)
    finally:
        down = person("down")
        assert down.returncode == 0, down.stderr
    lab = Lab(NAME)
    assert (lab.exists(), mounts_below(lab.directory)) == (False, [])


@pytest.fixture(scope="module")
def gateway(lab: Lab) -> Gateway:
    (gateway,) = lab.gateways()
    return gateway


def wsl(gateway: Gateway, *argv: str) -> tuple[int, str]:
    ran = gateway.run([WSL, *argv], variables={"WSL_UTF8": "1"})
    return ran.code, ran.stdout


def test_a_person_is_told_how_to_reach_both(lab: Lab, gateway: Gateway) -> None:
    said = person("status").stdout
    assert [host.name for host in lab.hosts()] == ["wsl1"]
    assert f"{gateway.url('winrm')}/wsman" in said
    assert re.search(rf"http +{gateway.url('http')} answers", said)
    assert re.search(r"grafana +http://127.0.0.1:\d+ ready", said)


def test_the_inventory_pairs_them_by_their_site(lab: Lab) -> None:
    groups = json.loads(lab.inventory.read_text())["all"]["children"]
    (gateway,), (host,) = groups["gateway"]["hosts"].values(), groups["wsl"]["hosts"].values()
    assert gateway["flatnet_site"] == host["flatnet_site"] == NAME
    assert (gateway["ansible_connection"], gateway["ansible_winrm_scheme"]) == ("winrm", "https")


def test_both_see_one_drive_c(lab: Lab, gateway: Gateway) -> None:
    host = lab.host("wsl1")
    host.write("/mnt/c/openresty/html/new.txt", "猫\r\n".encode())
    assert gateway.powershell("[IO.File]::ReadAllText('C:\\openresty\\html\\new.txt')").stdout == "猫\r\n\r\n"
    with DIRECT.open(f"{gateway.url('http')}/new.txt", timeout=5) as answer:
        assert answer.read() == "猫\r\n".encode()
    gateway.powershell("Remove-Item C:\\openresty\\html\\new.txt; [IO.File]::WriteAllText('C:\\windows\\seen', 'both')")
    assert "new.txt" not in host.output("ls", "/mnt/c/openresty/html")
    assert host.read("/mnt/c/windows/seen") == b"both"


def test_the_gateway_leads_to_the_containers(gateway: Gateway) -> None:
    headers = {"Host": "notes.flatnet.example"}
    with DIRECT.open(urllib.request.Request(f"{gateway.url('http')}/links/file", headers=headers), timeout=5) as answer:
        assert answer.read() == b"file\n"


def test_wsl_leads_to_the_host(lab: Lab, gateway: Gateway) -> None:
    address = lab.address("wsl1")
    code, listed = wsl(
        gateway, "-d", "Debian", "--", "ip", "-4", "-j", "addr", "show", "dev", "eth0", "scope", "global"
    )
    assert (code, json.loads(listed)[0]["addr_info"][0]["local"]) == (0, address)
    assert wsl(gateway, "-e", "sh", "-c", "echo 'a  b'; exit 3") == (3, "a  b\n")
    assert wsl(gateway, "-l", "-q") == (0, "Debian\r\n")
    assert wsl(gateway, "-l", "-v")[1].split("\r\n")[1].split() == ["*", "Debian", "Running", "2"]
    assert wsl(gateway, "-d", "Ubuntu", "--", "true") == (
        255,
        "There is no distribution with the supplied name.\r\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND\r\n",
    )
    key = LXSS.replace("HKCU\\", "HKCU:\\")
    assert gateway.powershell(f"(Get-ItemProperty '{key}').NatIpAddress").stdout.strip() == address


def test_wsl_that_does_not_answer_is_stopped(lab: Lab, gateway: Gateway) -> None:
    lab.podman("stop", "--time=0", "wsl1")
    code, said = wsl(gateway, "-d", "Debian", "--", "true")
    assert (code, "HCS_E_CONNECTION_TIMEOUT" in said) == (255, True)
    assert wsl(gateway, "-l", "-v")[1].split("\r\n")[1].split() == ["*", "Debian", "Stopped", "2"]
