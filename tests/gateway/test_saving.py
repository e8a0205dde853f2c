# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's configuration saved and put back by a WSL2 host that does not see the gateway's drive, in the order of this file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import identity

from tests.lab import Host, Lab
from tests.lab.play import Ended, run
from tests.lab.windows.gateway import Gateway

pytestmark = [pytest.mark.gateway, pytest.mark.long]

# What may not be touched on the way: a mark, line ends, what is no text, a name of many bytes.
AWKWARD = {
    "marked.txt": b"\xef\xbb\xbfone\r\ntwo\n",
    "binary.bin": bytes(range(256)),
    "\u8a2d\u5b9a.txt": b"\xff\xfe",
    "empty": b"",
}


@dataclass(frozen=True)
class Site:
    """A WSL2 host and its gateway, whose drive it does not see."""

    lab: Lab
    wsl: Host
    gateway: Gateway
    reports: Path

    def play(self, playbook: str, *options: str, **variables: object) -> Ended:
        """Run a playbook on the WSL2 host."""
        return run(self.lab, playbook, self.reports, *options, **variables)

    def good(self, playbook: str, *options: str, **variables: object) -> str:
        """Run one that has to end well; what it printed."""
        ended = self.play(playbook, *options, **variables)
        assert ended.code == 0, ended.output
        return ended.output

    @property
    def live(self) -> Path:
        return self.gateway.drive / "openresty" / "conf"

    def saved(self, below: str = "") -> Path:
        """The newest set, or generation."""
        found = sorted(path for path in (self.lab.backup_volume / "flatnet" / below).iterdir() if path.name[:2] == "20")
        return found[-1]

    def generations(self) -> list[str]:
        """The names of all generations."""
        area = self.lab.backup_volume / "flatnet" / "generations" / "gateway"
        return sorted(path.name for path in area.iterdir() if path.name[:2] == "20")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"saving-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        live = gateway.drive / "openresty" / "conf"
        (live / "flatnet").mkdir()
        (live / "flatnet" / "identity.conf").write_text(identity("none").text)
        for name, content in AWKWARD.items():
            (live / "conf.d" / name).write_bytes(content)
        wsl = lab.new_host("wsl1", start=False)
        wsl.run(["rm", "-r", "/mnt/c"])
        wsl.run(["install", "-d", "-m", "700", "/backup/flatnet"])
        yield Site(lab, wsl, gateway, tmp_path_factory.mktemp("reports"))


def test_check_mode_reads_it_and_saves_nothing(site: Site) -> None:
    site.good("backup", "--tags", "gateway", "--check")

    assert not (site.lab.backup_volume / "flatnet" / "generations").exists()


def test_a_backup_holds_it_byte_for_byte(site: Site) -> None:
    site.good("backup", "--tags", "gateway")

    assert contents(site.saved() / "gateway") == contents(site.live)
    manifest: dict[str, Any] = json.loads((site.saved() / "manifest.json").read_text("utf-8"))
    assert manifest["sources"]["gateway"]["origin"] == r"C:\openresty\conf on gateway1"
    assert contents(site.saved("generations/gateway") / "gateway") == contents(site.live)
    assert contents(site.live)["conf.d/\u8a2d\u5b9a.txt"] == AWKWARD["\u8a2d\u5b9a.txt"]
    site.good("verify")


def test_what_has_not_changed_is_no_second_generation(site: Site) -> None:
    before = site.generations()
    site.good("backup", "--tags", "gateway")

    assert site.generations() == before


def test_generations_are_compared_with_what_the_gateway_has_now(site: Site) -> None:
    assert re.search(rf"{site.generations()[0]}  backup  the same", site.good("backups", source="gateway"))
    notes = site.live / "conf.d" / "notes.conf"
    notes.write_bytes(notes.read_bytes() + b"# more\n")

    listed = site.good("backups", source="gateway", id=site.generations()[0])
    assert "~gateway/conf.d/notes.conf" in listed
    assert "+# more" in listed


def test_a_rollout_keeps_what_was_and_what_is(site: Site, tmp_path: Path) -> None:
    site.good("setup", "--limit", "gateway")
    for name, content in contents(site.live).items():
        if not name.startswith("flatnet/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    (tmp_path / "conf.d" / "new.txt").write_bytes(b"new\n")
    before = site.generations()
    site.good("gateway_config", flatnet_gateway_conf=str(tmp_path))

    kept, new = sorted(set(site.generations()) - set(before))
    area = site.lab.backup_volume / "flatnet" / "generations" / "gateway"
    assert not (area / kept / "gateway" / "conf.d" / "new.txt").exists()
    assert contents(area / new / "gateway") == contents(site.live)


def test_a_gateway_that_cannot_be_reached_fails_the_backup_by_name(site: Site) -> None:
    sets = site.saved()
    ended = site.play("backup", "--tags", "gateway", ansible_winrm_ca_trust_path="/etc/hostname")

    assert ended.code == 2
    assert (
        "the gateway's configuration was expected from gateway1, as this host does not see it in /mnt/c/openresty/conf"
        in ended.error
    )
    assert site.saved() == sets


def test_a_gateway_without_a_configuration_fails_the_backup_by_name(site: Site) -> None:
    away = site.live.rename(site.live.with_name("away"))
    try:
        ended = site.play("backup", "--tags", "gateway")
    finally:
        away.rename(site.live)

    assert ended.code == 2
    assert (
        r"a configuration of the gateway was expected in C:\openresty\conf, and there is no such directory"
        in ended.error
    )


def test_a_site_with_neither_fails_as_ever(site: Site) -> None:
    ended = site.play("backup", "--tags", "gateway", flatnet_gateway_host="")

    assert ended.code == 2
    assert (
        "directory /mnt/c/openresty/conf was expected on this host as source gateway, and is not there" in ended.error
    )


def test_a_host_of_a_drill_never_asks_the_gateway_of_its_site(site: Site) -> None:
    groups = json.loads(site.lab.inventory.read_text())
    children = groups["all"]["children"]
    children["drill"], children["wsl"] = children["wsl"], {"hosts": {}}
    was = site.lab.inventory.read_text()
    site.lab.inventory.write_text(json.dumps(groups))
    try:
        ended = site.play("backup", "--tags", "gateway", flatnet_hosts="drill")
    finally:
        site.lab.inventory.write_text(was)

    assert ended.code == 2
    assert (
        "directory /mnt/c/openresty/conf was expected on this host as source gateway, and is not there" in ended.error
    )


def own(folder: Path) -> dict[str, bytes]:
    """Every file of a site's own configuration."""
    return {path: content for path, content in contents(folder).items() if not path.startswith("flatnet/")}


@pytest.fixture(scope="module")
def first(site: Site) -> str:
    """The first generation, which is not what the gateway has now."""
    return site.generations()[0]


def test_check_mode_tries_what_would_be_put_back_and_shows_it(site: Site, first: str) -> None:
    before = contents(site.live)
    output = site.good("restore", "--check", "--diff", **of(first))

    assert contents(site.live) == before
    assert "-# more" in output


def test_a_generation_is_rolled_out_and_what_was_there_is_kept(site: Site, first: str) -> None:
    before = contents(site.live)
    site.good("restore", **of(first))

    saved = site.lab.backup_volume / "flatnet" / "generations" / "gateway" / first / "gateway"
    assert own(site.live) == own(saved)
    assert contents(site.saved("before-restore") / "gateway") == before
    assert site.generations()[-1].rpartition("-")[2] != first.rpartition("-")[2]
    assert "on gateway1, " in report(site)
    assert "is done: the gateway runs with master" in report(site)
    assert site.gateway.serves()
    site.good("status", "--limit", "gateway")


def test_what_was_replaced_can_be_put_back_too(site: Site) -> None:
    kept = site.saved("before-restore")
    site.good("restore", flatnet_restore_area="before-restore", flatnet_restore_id=kept.name)

    assert own(site.live) == own(kept / "gateway")


def test_a_rollout_that_is_taken_back_fails_the_restore(site: Site, first: str) -> None:
    before = own(site.live)
    ended = site.play(
        "restore", **of(first), flatnet_gateway_probes=[{"path": "/healthz", "pattern": "never", "seconds": 1}]
    )

    assert ended.code == 2
    assert (
        "nothing was restored and everything is as it was before, because 'Have the gateway's own host" in ended.error
    )
    assert "was undone, and all is as before" in ended.error
    assert own(site.live) == before
    assert site.gateway.serves()


def test_a_configuration_that_nginx_does_not_take_is_not_even_swapped_in(site: Site) -> None:
    notes = site.live / "conf.d" / "notes.conf"
    was = notes.read_bytes()
    notes.write_bytes(b"nonsense;\n")
    site.good("backup", "--tags", "gateway")
    notes.write_bytes(was)
    before = own(site.live)
    ended = site.play("restore", **of(site.generations()[-1]))

    assert ended.code == 2
    assert "nginx was expected to accept the configuration" in ended.error
    assert "nothing was restored and everything is as it was before" in ended.error
    assert own(site.live) == before


def test_a_gateway_that_cannot_be_reached_fails_the_restore_by_name(site: Site, first: str) -> None:
    ended = site.play("restore", **of(first), ansible_winrm_ca_trust_path="/etc/hostname")

    assert ended.code == 2
    assert "nothing was restored and everything is as it was before" in ended.error
    assert "from gateway1" in ended.error


def test_without_the_gateway_in_the_inventory_the_files_are_put_where_the_host_sees_them(
    site: Site, first: str
) -> None:
    site.wsl.run(["mkdir", "-p", "/mnt/c/openresty/conf"])
    before = contents(site.live)
    site.good("restore", **of(first), flatnet_gateway_host="")

    assert site.wsl.read("/mnt/c/openresty/conf/conf.d/marked.txt") == AWKWARD["marked.txt"]
    assert contents(site.live) == before
    assert "is put back in /mnt/c/openresty/conf, and nothing was tried or reloaded there" in report(site)


def test_a_directory_that_lies_where_no_drive_is_mounted_is_not_the_gateways(site: Site) -> None:
    site.wsl.run(["mkdir", "-p", "/mnt/c/openresty/conf"])
    site.good("backup", "--tags", "gateway")

    manifest: dict[str, Any] = json.loads((site.saved() / "manifest.json").read_text("utf-8"))
    assert manifest["sources"]["gateway"]["origin"] == r"C:\openresty\conf on gateway1"
    assert contents(site.saved() / "gateway") == contents(site.live)


def of(generation: str) -> dict[str, str]:
    """The variables that choose a generation of the gateway."""
    return {"flatnet_restore_area": "generations/gateway", "flatnet_restore_id": generation}


def report(site: Site) -> str:
    """What the last report says."""
    made = sorted(site.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    return " ".join(
        step["message"] for host in json.loads(made[-1].read_text("utf-8"))["hosts"] for step in host["steps"]
    )
