# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One gateway of a lab: a container that is a Windows computer to everybody who talks to it."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.machine import LabError, call, remove_tree, step, wait_until
from tests.lab.windows.certificates import Authority
from tests.lab.windows.image import USER, VERSION
from tests.lab.windows.powershell import ensure_powershell, program

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HERE = Path(__file__).parent
SITE = HERE / "site"
SHARED_SITE = HERE.parent / "site" / "mnt" / "c" / "openresty"
# The address of WSL2 in the site's configuration, until a host is attached.
SITE_ADDRESS = "172.28.112.10"
PASSWORD = "Gateway-2026"
DISTRIBUTION = "Debian"
# Where WSL keeps the address of its virtual machine, and the distributions of the account.
LXSS = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Lxss"
# As the sources of WSL have it: bit 3 of Flags is WSL 2, and Version that of the file system.
ATTACHED = r"""Windows Registry Editor Version 5.00

[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Lxss]
"DefaultDistribution"="{{12345678-9abc-4def-8123-456789abcdef}}"
"NatIpAddress"="{address}"

[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Lxss\{{12345678-9abc-4def-8123-456789abcdef}}]
"DistributionName"="{name}"
"State"=dword:00000001
"Version"=dword:00000002
"DefaultUid"=dword:00000000
"Flags"=dword:0000000f
"""
PORTS = {"winrm": 5986, "http": 80}
POWERSHELL = r"C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe"
# The build of nginx.exe looks for nginx.conf beside itself.
ON_THE_SITE = (r"C:\openresty\nginx.exe", "-p", r"C:\openresty", "-c", r"conf\nginx.conf")
LIBRARY = "/usr/lib/flatnet-lab"
# Files that the zip of OpenResty brings; it writes them with CRLF.
FROM_THE_ZIP = ("conf/nginx.conf", "conf/mime.types")


@dataclass(frozen=True)
class Ran:
    """How a Windows program ended; `ended` says what ended it, if it did not end itself."""

    code: int
    stdout: str
    stderr: str
    ended: str = ""


@dataclass(frozen=True)
class Gateway:
    """A Windows with PowerShell, WinRM, a task scheduler and `C:\\openresty`; its ports are published on loopback."""

    lab: Lab
    name: str

    @property
    def directory(self) -> Path:
        """Where the machine keeps everything of the gateway."""
        return self.lab.directory / "gateways" / self.name

    @property
    def drive(self) -> Path:
        """Drive C:, seen from the machine."""
        return self.directory / "prefix" / "drive_c"

    @property
    def settings(self) -> Path:
        """What the computer is told about itself, as it sees it in /lab."""
        return self.directory / "lab"

    def create(self) -> None:
        """Start the computer with the files of the site; nginx does not run yet."""
        powershell = ensure_powershell()
        self._copy_prefix()
        self._copy_site()
        authority = Authority(self.lab.directory / "authority")
        authority.ensure(f"flatnet lab {self.lab.name}")
        self.settings.mkdir()
        authority.issue(self.name, self.settings / "certificate.pem")
        (self.settings / "wsl").mkdir()
        self._describe(f"C:\\winlab\\powershell\\{program(powershell)}")
        self.lab.podman.start(
            self.name, "--hostname", self.name, "--label=flatnet-lab-group=gateway", "--network=lab",
            *(f"--publish=127.0.0.1::{port}" for port in PORTS.values()),
            "--tmpfs=/tmp", f"--workdir={LIBRARY}",
            f"--volume={self.directory / 'prefix'}:/prefix",
            f"--volume={self.settings}:/lab",
            f"--volume={HERE / 'computer'}:{LIBRARY}/computer:ro",
            f"--volume={HERE / 'stubs'}:/prefix/drive_c/winlab/stubs:ro",
            f"--volume={powershell}:/prefix/drive_c/winlab/powershell:ro",
            f"--volume={self.lab.windows_image.path / 'nginx'}:/prefix/drive_c/winlab/nginx:ro",
            "--rootfs", f"{self.lab.windows_image.rootfs}:O",
            "sh", "-c", "exec python3 -B -m computer >>/lab/computer.log 2>&1",
        )  # fmt: skip
        published = {name: self.lab.podman("port", self.name, str(port)) for name, port in PORTS.items()}
        ports = {name: int(line.rsplit(":", 1)[1]) for name, line in published.items()}
        (self.directory / "ports.json").write_text(json.dumps(ports))
        self.wait_until_booted()

    def _describe(self, powershell: str) -> None:
        """Write what the computer is told about itself: the real PowerShell needs the console that its stand-in does not."""
        shell = powershell if powershell.endswith("powershell.exe") else POWERSHELL
        computer = {"prefix": "/prefix", "powershell": powershell, "shell": shell, "user": USER, "password": PASSWORD}
        (self.settings / "computer.json").write_text(json.dumps(computer))

    def _copy_prefix(self) -> None:
        """A Windows of its own; C:\\windows is large and hardly written to, so it lies on top of the image's."""
        image = self.lab.windows_image.prefix
        prefix = self.directory / "prefix"
        shutil.copytree(image, prefix, symlinks=True, ignore=only_below(image / "drive_c", "windows"))
        windows = self.drive / "windows"
        layers = [self.directory / name for name in ("upper", "work")]
        for path in [windows, *layers]:
            path.mkdir()
        options = f"lowerdir={image / 'drive_c' / 'windows'},upperdir={layers[0]},workdir={layers[1]}"
        call("mount", "-t", "overlay", "-o", options, f"flatnet-lab-{self.name}", windows)

    def _copy_site(self) -> None:
        """A flat OpenResty, as its zip is unpacked: nginx.exe beside conf, html and logs."""
        openresty = self.drive / "openresty"
        shutil.copytree(SHARED_SITE, openresty)
        shutil.copytree(SITE, openresty, dirs_exist_ok=True)
        for name in ("logs", "temp"):
            (openresty / name).mkdir()
        for name in FROM_THE_ZIP:
            path = openresty / name
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        shutil.copy(self.lab.windows_image.nginx(VERSION), openresty / "nginx.exe")

    def attach(self, host: Host) -> None:
        """Make a host this computer's WSL2: `wsl.exe` leads to it, registry and configuration name its address."""
        address = self.lab.address(host.name)
        folder = self.settings / "wsl"
        shutil.copy(self.lab.key, folder / "key")
        (folder / "distributions.json").write_text(json.dumps({DISTRIBUTION: address}))
        (folder / "known_hosts").write_text(f"{DISTRIBUTION} {self.lab.host_key}\n")
        registry = self.drive / "windows" / "temp" / "lxss.reg"
        registry.write_text(ATTACHED.format(name=DISTRIBUTION, address=address), "utf-16", newline="\r\n")
        self.run(["reg.exe", "import", r"C:\windows\temp\lxss.reg"])
        registry.unlink()
        for path in sorted((self.drive / "openresty" / "conf").rglob("*.conf")):
            path.write_bytes(path.read_bytes().replace(SITE_ADDRESS.encode(), address.encode()))

    def port(self, service: str) -> int:
        """The port on 127.0.0.1 that leads to `winrm` or `http`."""
        ports: dict[str, int] = json.loads((self.directory / "ports.json").read_text())
        return ports[service]

    def url(self, service: str) -> str:
        """Where the machine reaches a service of the gateway."""
        return f"{'https' if service == 'winrm' else 'http'}://127.0.0.1:{self.port(service)}"

    def serves(self) -> bool:
        """Whether nginx answers that it has its configuration."""
        try:
            with DIRECT.open(f"{self.url('http')}/healthz", timeout=5) as answer:
                return bool(answer.read() == b"ok\n")
        except OSError:
            return False

    @property
    def variables(self) -> dict[str, Any]:
        """What Ansible's inventory says about it."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port("winrm"),
            "ansible_connection": "winrm",
            "ansible_shell_type": "powershell",
            "ansible_user": USER,
            "ansible_password": PASSWORD,
            "ansible_winrm_scheme": "https",
            "ansible_winrm_transport": "basic",
            "ansible_winrm_ca_trust_path": str(self.authority.certificate),
            "flatnet_site": self.lab.name,
            "flatnet_setup_gateway_account": USER,
        }

    @property
    def authority(self) -> Authority:
        """Who has signed its certificate."""
        return Authority(self.lab.directory / "authority")

    def lab_request(self, what: str, asked: Mapping[str, object] | None = None, patience: float = 60) -> Any:
        """Ask the computer for something that only a lab can do."""
        url = f"{self.url('winrm')}/lab/{what}"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(url, json.dumps(asked or {}).encode(), {"Authorization": f"Basic {login}"})
        trusted = ssl.create_default_context(cafile=self.authority.certificate)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)
        )
        try:
            with opener.open(request, timeout=patience) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise LabError(f"The gateway {self.name} refused {what}: {error.read().decode()}") from error

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        variables: Mapping[str, str] | None = None,
        timeout: float = 60,
        kill_at: tuple[str, int] | None = None,
    ) -> Ran:
        """Run a Windows program past WinRM; `kill_at` is a file, and how many lines of it end the program."""
        asked: dict[str, object] = {"argv": list(argv), "stdin": base64.b64encode(stdin).decode(), "timeout": timeout}
        if variables:
            asked["variables"] = dict(variables)
        if kill_at:
            asked["watch"] = {"file": kill_at[0], "lines": kill_at[1]}
        answer = self.lab_request("run", asked, timeout + 30)
        out, err = (base64.b64decode(answer[name]).decode("utf-8", "replace") for name in ("stdout", "stderr"))
        return Ran(answer["code"], out, err, answer["ended"])

    def powershell(self, script: str, **options: Any) -> Ran:
        """Run a PowerShell script past WinRM; a terminating error is code 1."""
        encoded = base64.b64encode(script.encode("utf-16-le")).decode()
        return self.run([POWERSHELL, "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded], **options)

    def start_nginx(self) -> None:
        """Start nginx as a person does who sits at the computer, and wait until it serves."""
        self.lab_request("start", {"argv": ON_THE_SITE, "directory": "C:\\openresty"})
        wait_until(f"An answer of nginx on {self.name}", self.serves, 20)

    def nginx(self, *argv: str) -> Ran:
        """Run nginx.exe on the site's prefix and configuration: `-t`, `-s reload`."""
        return self.run([*ON_THE_SITE, *argv])

    def processes(self, program: str) -> int:
        """How many processes run a program, named by its file: `nginx.exe`."""
        return int(self.lab_request("processes", {"name": program}))

    def end(self, program: str) -> None:
        """Kill every process of a program, as a person does with the Task Manager."""
        self.lab_request("end", {"name": program})

    def outage(self, seconds: float, delay: float = 0) -> None:
        """The network to the computer fails; what runs there runs on."""
        self.lab_request("outage", {"seconds": seconds, "delay": delay})

    def reboot(self, seconds: float = 1) -> None:
        """The computer goes down at once, stays down so long, and boots; returns when it is up again."""
        with step(f"{self.name}: reboot"):
            self.lab_request("reboot", {"seconds": seconds})
            wait_until(f"The end of {self.name}", lambda: not self.answers(), 30)
            self.wait_until_booted()

    def pass_time(self, seconds: float) -> None:
        """Let the scheduler's clock, and no other, go forward."""
        self.lab_request("time", {"seconds": seconds})

    def answers(self) -> bool:
        """Whether the computer answers on its port for WinRM."""
        try:
            self.lab_request("tasks", patience=5)
        except (OSError, LabError):
            return False
        return True

    def wait_until_booted(self) -> None:
        """Wait until Windows runs; a failure carries the last lines of what the computer said."""
        try:
            wait_until(f"The boot of {self.name}", self._booted, 60)
        except LabError as error:
            path = self.settings / "computer.log"
            log = path.read_text("utf-8", "replace").splitlines()[-20:] if path.exists() else []
            raise LabError("\n".join([str(error), *log])) from error

    def _booted(self) -> bool:
        state = self.lab.podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", self.name)
        if not state.startswith("running"):
            raise LabError(f"The gateway {self.name} has ended ({state}):")
        return self.answers()

    def destroy(self) -> None:
        """The computer and its drive are gone."""
        with step(f"{self.name}: destroyed"):
            self.lab.podman.remove(self.name)
            remove_tree(self.directory)
            self.lab.write_inventory()


def only_below(directory: Path, name: str) -> Any:
    """For a copy of a tree: leave out one entry of one directory."""
    return lambda seen, _names: [name] if Path(seen) == directory else []
