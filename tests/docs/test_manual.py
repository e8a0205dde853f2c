# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every code block of the manual does what the manual says, in order, on one lab, as the operator of the example site types it."""

from __future__ import annotations

import builtins
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import errors

from tests.docs.manual import Step, blocks, errors_explained, first_unmatched, steps
from tests.lab import Host, Lab
from tests.lab.image.data import GRAFANA_PASSWORD

pytestmark = pytest.mark.docs

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations"
MANUAL = OPERATIONS / "backup-restore.md"
FIRST, NEWEST, REPLACED = "20261123T021500Z", "20261124T021500Z", "20261124T094000Z"
GENERATION = f"{FIRST}-e9a16cbdcf37"
TOKEN = "glsa_7Yb1cN0pXv3kQ2mT9sLw5hRz8eUa4dGf"
PASSWORD = "password-of-admin"
ASKS = "read -rsp 'password of admin: ' password\n"
CONFIGURATION = "/mnt/c/openresty/conf/nginx.conf"
TIMERS = ("flatnet-backup", "flatnet-drill")
NEVER_DUE = b"[Timer]\nOnCalendar=\nOnCalendar=2100-01-01\n"
EMPTIED = """
podman rm --all --force --time 1
podman volume prune --force
rm -r /opt/flatnet /opt/cni /mnt/c/openresty /srv/app-uploads /etc/cni/net.d/flatnet.conflist
"""
SSH_CONFIG = """
Host {name}.example.net
  HostName 127.0.0.1
  Port {port}
  IdentityFile {key}
  UserKnownHostsFile {known_hosts}
  StrictHostKeyChecking yes
"""


class Site:
    """The example site, played by a lab: its names lead to the lab's hosts, and its operator has a home of their own."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.home = home
        self.broken: Step | None = None
        self._token = TOKEN
        self._environment = {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {home / 'ssh_config'}",
        }

    def back_up_yesterday(self) -> None:
        """A backup by a clock that is a day late, so that there is an older set."""
        self.host().run(["mkdir", "-m", "700", "/backup/flatnet"])
        script = "ansible-playbook flatnet.ops.backup -i inventory/one-site -e @tests/docs/yesterday.yml"
        code, output = self.run(script, on_host=False)
        assert code == 0, output

    def hold_timers(self) -> None:
        """Keep what the reader installs from being due in the middle of the page."""
        for timer in TIMERS:
            directory = f"/etc/systemd/system/{timer}.timer.d"
            self.host().run(["mkdir", directory])
            self.host().write(f"{directory}/lab.conf", NEVER_DUE)

    def change_the_gateway(self) -> None:
        """What somebody has done to the gateway's configuration since."""
        self.host().run(["sed", "--in-place", "s/1024;/512;/", CONFIGURATION])

    def host(self) -> Host:
        """The WSL2 host that the operator's inventory names."""
        inventory = self.home / "flatnet" / "hosts.yml"
        named = re.search(r"ansible_host: (\w+)", inventory.read_text("utf-8")) if inventory.exists() else None
        return self.lab.host(named[1] if named else "wsl1")

    def meet(self, host: Host) -> None:
        """Let the example's name of a host lead to it."""
        entry = SSH_CONFIG.format(
            name=host.name, port=host.port("ssh"), key=self.lab.key, known_hosts=self.lab.directory / "known_hosts"
        )
        with (self.home / "ssh_config").open("a") as config:
            config.write(entry)

    def meet_grafana(self, host: Host) -> None:
        """Let the page's name of another Grafana lead to the one of a host."""
        address = host.output("hostname", "-I").split()[0]
        self.host().run(["sh", "-c", f"echo {address} grafana.example.net >> /etc/hosts"])

    def run(self, script: str, on_host: bool) -> tuple[int, str]:
        """Type a script, and the password where it asks for that, and say how it ended and what it printed."""
        shell = ["bash", "-eo", "pipefail", "-c", f"exec 2>&1\n{self.told(script)}"]
        if on_host:
            typed = f"{GRAFANA_PASSWORD}\n" if ASKS in script else ""
            done = self.host().run(shell, check=False, input=typed.encode())
        else:
            done = subprocess.run(
                shell, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
            )
        output = done.stdout.decode(errors="replace")
        if made := re.search(r"^glsa_\w+$", output, re.MULTILINE):
            self._token = made[0]
        return done.returncode, output

    def told(self, text: str) -> str:
        """A text of the manual with the sets and the secrets that are there, in place of those that it speaks of."""
        text = text.replace(TOKEN, self._token).replace(PASSWORD, GRAFANA_PASSWORD)
        sets, replaced, generations = map(self._sets, ("", "before-restore", "generations/gateway"))
        for example, found in (
            (GENERATION, generations[:1]),
            (FIRST, sets[:1]),
            (NEWEST, sets[-1:]),
            (REPLACED, replaced[-1:]),
        ):
            text = text.replace(example, found[0]) if found else text
        return text

    def _sets(self, area: str) -> list[str]:
        found = (self.lab.backup_volume / "flatnet" / area).glob("[0-9]*Z*")
        return sorted({path.name.partition(".")[0] for path in found})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"docs-{os.getpid()}") as lab:
        site = Site(lab, tmp_path_factory.mktemp("home"))
        site.meet(lab.new_host("wsl1"))
        site.host().install_collection()
        site.hold_timers()
        site.back_up_yesterday()
        site.change_the_gateway()
        site.meet(lab.new_host("drill1", group="drill", seed="empty"))
        site.meet_grafana(lab.host("drill1"))
        site.meet(lab.new_host("wsl2", seed="empty"))
        lab.host("wsl2").run(["sh", "-euc", EMPTIED])
        yield site


@pytest.mark.parametrize("step", steps(MANUAL), ids=str)
def test_a_block_does_what_the_manual_says(site: Site, step: Step) -> None:
    if step.not_run:
        pytest.skip(f"{step} is not run: {step.not_run}")
    if site.broken:
        pytest.skip(f"{step} is not run: {site.broken} has failed before it")
    site.broken = step
    code, output = site.run(step.script, step.on_host)
    assert code == step.exit_code, f"{step} ended with {code}, expected {step.exit_code}:\n{step.script}\n{output}"
    if step.expected is not None:
        missing = first_unmatched(site.told(step.expected), output)
        assert missing is None, f"{step} was expected to print '{missing}':\n{step.script}\n{output}"
    site.broken = None


@pytest.mark.parametrize("page", sorted(OPERATIONS.glob("*.md")), ids=lambda page: page.name)
def test_both_languages_have_the_same_blocks(page: Path) -> None:
    japanese, english = (
        [(block.kind, block.words, block.text) for block in blocks(found)]
        for found in (page, OPERATIONS / "en" / page.name)
    )
    assert japanese == english


@pytest.mark.parametrize("page", sorted(OPERATIONS.glob("*.md")), ids=lambda page: page.name)
def test_files_are_shown_as_the_example_site_has_them(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "yaml":
            example = ROOT / "inventory" / "one-site" / block.words[0].removeprefix("~/flatnet/")
            assert example.read_text("utf-8").endswith(f"\n\n{block.text}")


def test_every_page_is_in_both_languages() -> None:
    assert {page.name for page in OPERATIONS.glob("*.md")} == {page.name for page in (OPERATIONS / "en").glob("*.md")}


@pytest.mark.parametrize("page", [MANUAL, OPERATIONS / "en" / MANUAL.name], ids=lambda page: page.parent.name)
def test_every_error_has_its_remedy(page: Path) -> None:
    known = {name for name, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__}
    explained = [name for name in errors_explained(page) if not hasattr(builtins, name)]
    assert sorted(explained) == sorted(known - {errors.OpsError.__name__})
