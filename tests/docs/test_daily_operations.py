# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every code block of the pages on a site with a gateway does what its page says, in order, on one lab with a gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.manual import Step, blocks, first_unmatched, steps
from tests.lab import Host, Lab
from tests.lab.windows.gateway import PASSWORD, Gateway

# Where no gateway can be made, none of the pages can be tried, and every block is counted as skipped.
pytestmark = [pytest.mark.docs, pytest.mark.gateway, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs" / "operations" / f"{name}.md"
    for name in ("daily-operations", "maintenance", "windows-acceptance", "windows-setup")
]
SSH_CONFIG = """
Host wsl1.example.net
  HostName 127.0.0.1
  Port {port}
  IdentityFile {key}
  UserKnownHostsFile {known_hosts}
  StrictHostKeyChecking yes
"""


@dataclass
class Site:
    """The example site, played by a lab: its names lead to the lab's hosts, and its operator has a home of their own."""

    wsl: Host
    gateway: Gateway
    home: Path
    broken: list[Step] = field(default_factory=list)

    def run(self, step: Step) -> tuple[int, str]:
        """Type a block where the page says, and say how it ended and what it printed."""
        if step.on_gateway:
            ran = self.gateway.powershell(step.script)
            return ran.code, (ran.stdout + ran.stderr).replace("\r\n", "\n")
        shell = ["bash", "-eo", "pipefail", "-c", f"exec 2>&1\n{self.told(step.script)}"]
        if step.on_host:
            done = self.wsl.run(shell, check=False)
        else:
            done = subprocess.run(
                shell, cwd=ROOT, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
            )
        return done.returncode, done.stdout.decode(errors="replace")

    def told(self, text: str) -> str:
        """A text of the page with the lab's addresses and secrets in place of those that it speaks of."""
        for example, real in (
            ("gateway1.example.net", "127.0.0.1"),
            ("5986", str(self.gateway.port("winrm"))),
            ("/etc/ssl/certs/company.pem", str(self.gateway.authority.certificate)),
            ("password-of-operator", PASSWORD),
        ):
            text = text.replace(example, real)
        return text

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {self.home / 'ssh_config'}",
            "RSYNC_RSH": f"ssh -F {self.home / 'ssh_config'}",
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"days-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        wsl = lab.new_host("wsl1", gateway=gateway, start=False)
        home = tmp_path_factory.mktemp("home")
        known = lab.directory / "known_hosts"
        (home / "ssh_config").write_text(SSH_CONFIG.format(port=wsl.port("ssh"), key=lab.key, known_hosts=known))
        (line,) = [block.text for block in blocks(PAGES[0]) if block.kind == "nginx"]
        server = gateway.drive / "openresty" / "conf" / "conf.d" / "gateway.conf"
        # The lab's gateway is prepared already; this one is prepared as the page says.
        bare = server.read_text("utf-8").replace("    include flatnet/identity*.conf;\n", "")
        assert "identity" not in bare and "default_server;\n" in bare
        server.write_text(bare.replace("default_server;\n", f"default_server;\n    {line}"), "utf-8")
        yield Site(wsl, gateway, home)


@pytest.mark.parametrize("step", [step for page in PAGES for step in steps(page)], ids=str)
def test_a_block_does_what_the_page_says(site: Site, step: Step) -> None:
    if step.not_run:
        pytest.skip(f"{step} is not run: {step.not_run}")
    if site.broken:
        pytest.skip(f"{step} is not run: {site.broken[0]} has failed before it")
    site.broken.append(step)
    code, output = site.run(step)
    assert code == step.exit_code, f"{step} ended with {code}, expected {step.exit_code}:\n{step.script}\n{output}"
    if step.expected is not None:
        missing = first_unmatched(step.expected, output)
        assert missing is None, f"{step} was expected to print '{missing}':\n{step.script}\n{output}"
    site.broken.clear()
