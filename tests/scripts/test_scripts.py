# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scripts as a person runs them on a WSL2 host: what they show, what they ask, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Lab
from tests.lab.host import COLLECTION, Host
from tests.lab.image.data import GRAFANA_LOGIN

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = f"{COLLECTION}/scripts"
BACKUPS = "/backup/flatnet"
LOGS = "/var/log/flatnet-ops"
FILES = "volumes/app_files_data"
VOLUMES = 3
SITE = {"flatnet_site": "tokyo", "flatnet_grafana": GRAFANA_LOGIN}
USAGE = [
    (["backup.sh", "--nonsense"], "got '--nonsense'"),
    (["backup.sh", "--source"], "--source was expected to have a value"),
    (["backup.sh", "--source", "prometeus"], "got 'prometeus'"),
    (["backup.sh", "--inventory", "/nowhere"], "/nowhere, which is not there"),
    (["backup.sh", "--host", "wsl9"], "wsl9 was expected to be in the group wsl, which has 'wsl1'"),
    (["backup.sh", "--inventory", "/root/two.json"], "got 'wsl1 wsl2': give --host"),
    (["restore.sh", "--id"], "--id was expected to have a value"),
    (["restore.sh", "--area", "nowhere", "--yes"], "value of flatnet_restore_area must be one of"),
    (["restore.sh"], "a terminal was expected"),
    (["drill.sh", "--source", "stack"], "got '--source'"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(f"scripts-{os.getpid()}") as lab:
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """A host that is its own controller, with one set."""
    host = lab.new_host("wsl1", admin_api=True)
    host.install_collection()
    host.run(["mkdir", "-p", "/root/flatnet", BACKUPS])
    host.write("/root/flatnet/hosts.json", inventory("wsl1"))
    host.write("/root/two.json", inventory("wsl1", "wsl2"))
    done = script(host, "backup.sh")
    assert done.returncode == 0, said(done)
    return host


def inventory(*names: str) -> bytes:
    """An inventory of WSL2 hosts."""
    return json.dumps({"wsl": {"hosts": dict.fromkeys(names, SITE)}}).encode()


def script(host: Host, *argv: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script without a terminal."""
    name, *options = argv
    settings = [f"{key}={value}" for key, value in environment.items()]
    return host.run(["env", *settings, f"{SCRIPTS}/{name}", *options], check=False)


def at_terminal(host: Host, keys: str, command: str, logs: str = LOGS) -> subprocess.CompletedProcess[bytes]:
    """Run a script at a terminal; what the shell script ``keys`` prints is typed there."""
    session = f"({keys}) | script -qefc 'exec env FLATNET_LOGS={logs} {SCRIPTS}/{command}' /dev/null"
    return host.run(["sh", "-c", session], check=False)


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a script printed."""
    return (done.stdout + done.stderr).decode()


def sets(host: Host) -> list[str]:
    """The complete sets and those in the making."""
    return host.output("find", BACKUPS, "-maxdepth", "1", "-name", "*Z*").split()


def manifest(host: Host, path: str) -> Any:
    """What a set says about itself."""
    return json.loads(host.read(f"{path}/manifest.json"))


def path_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """The set that a script has named at its end."""
    return str(re.findall(r"^set: (\S+)\r?$", said(done), re.MULTILINE)[-1])


@pytest.mark.parametrize("name", ["backup.sh", "restore.sh", "drill.sh"])
def test_help_tells_options_and_exit_codes(name: str, host: Host) -> None:
    done = script(host, name, "--help")

    assert done.returncode == 0
    assert f"usage: {name}" in said(done)
    assert re.findall(r"^ .*(\d) ", said(done), re.MULTILINE)[-4:] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(("argv", "words"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_usage(argv: list[str], words: str, host: Host) -> None:
    before = sets(host)

    done = script(host, *argv)

    assert done.returncode == 2, said(done)
    assert words in said(done)
    assert sets(host) == before


def test_environment_without_ansible(host: Host) -> None:
    done = script(host, "backup.sh", PATH="/usr/bin:/bin")

    assert done.returncode == 2
    assert "install ansible-core" in said(done)


def test_environment_without_the_collection(host: Host) -> None:
    done = script(host, "backup.sh", ANSIBLE_COLLECTIONS_PATH="/nowhere")

    assert done.returncode == 2
    assert "flatnet.ops.backup" in said(done)
    assert "nothing was done" in said(done)


def test_environment_of_somebody_else(host: Host) -> None:
    done = host.run(["setpriv", "--reuid", "65534", "--clear-groups", f"{SCRIPTS}/backup.sh"], check=False)

    assert done.returncode == 2
    assert "run it as root" in said(done)


def test_backup_shows_each_step_and_ends_with_the_set(host: Host) -> None:
    done = script(host, "backup.sh")

    words = said(done)
    assert done.returncode == 0, words
    assert re.search(rf"^ +\d+\.\d s  Save a volume: {FILES}$", words, re.MULTILINE)
    assert words.splitlines()[-1].startswith("WARNING: backup is done on wsl1")
    assert manifest(host, path_of(done))["site"] == "tokyo"
    (log,) = re.findall(r"the whole output: (\S+)$", words, re.MULTILINE)
    assert b"PLAY RECAP" in host.read(log)
    assert host.output("stat", "--format", "%a", log, LOGS).split() == ["600", "700"]


def test_backup_shows_a_step_when_it_ends(host: Host) -> None:
    first = f'grep -q "Save a volume"; ls {BACKUPS}/.*.partial/.sources/volumes; cat >/dev/null'

    saved = host.output("sh", "-c", f"{SCRIPTS}/backup.sh | ({first})").split()

    assert 1 <= len(saved) < VOLUMES


def test_backup_of_one_source(host: Host) -> None:
    done = script(host, "backup.sh", "--source", "cni")

    assert done.returncode == 0, said(done)
    assert manifest(host, path_of(done))["sources"].keys() == {"cni/bin", "cni/net.d"}


def test_check_changes_nothing(host: Host) -> None:
    before = sets(host)

    done = script(host, "backup.sh", "--check", "--inventory", "/root/two.json", "--host", "wsl1")

    assert done.returncode == 0, said(done)
    assert "nothing was changed" in said(done)
    assert sets(host) == before


@pytest.mark.parametrize(
    ("argv", "variables", "words"),
    [
        (["backup.sh"], {"flatnet_grafana": {}}, "flatnet_grafana is not set"),
        (["restore.sh", "--source", "grafana"], {"flatnet_grafana": {}}, "flatnet_grafana is not set"),
        (["restore.sh"], {"flatnet_restore_grafana_folders": ["Gateway"]}, "all of them by their volume"),
        (["restore.sh", "--source", "stack"], {"flatnet_restore_grafana_objects": ["large"]}, "leave them alone"),
    ],
    ids=["backup by nobody", "restore by nobody", "a part of the volume", "a part of nothing"],
)
def test_grafana_is_refused_before_anything_is_done(
    argv: list[str], variables: dict[str, object], words: str, host: Host
) -> None:
    before = sets(host)
    host.write("/root/short.json", json.dumps({"wsl": {"hosts": {"wsl1": {**SITE, **variables}}}}).encode())

    done = script(host, *argv, "--check", "--inventory", "/root/short.json")

    assert done.returncode == 1, said(done)
    assert words in said(done)
    assert sets(host) == before


def test_failure(host: Host) -> None:
    before = sets(host)
    host.run(["podman", "stop", "flatnet-prometheus"])
    try:
        done = script(host, "backup.sh")
    finally:
        host.run(["podman", "start", "flatnet-prometheus"])

    assert done.returncode == 1, said(done)
    assert "Save Prometheus: FAILED" in said(done)
    assert said(done).count("FAILED: wsl1: ") == 1
    assert sets(host) == before


@pytest.mark.parametrize("name", ["backup.sh", "restore.sh"])
def test_other_run_holds_the_lease(name: str, host: Host) -> None:
    before = sets(host)
    lease = {"format": 1, "run": "20261124T021458Z-backup-3f9a", "purpose": "backup", "host": "other", "boot_id": ""}
    host.write(f"{BACKUPS}/.lease.json", json.dumps({**lease, "seconds": 300, "expires": time.time() + 300}).encode())
    try:
        done = script(host, name, *(["--yes"] if name == "restore.sh" else []))
    finally:
        host.run(["rm", f"{BACKUPS}/.lease.json"])

    assert done.returncode == 3, said(done)
    assert "20261124T021458Z-backup-3f9a" in said(done)
    assert sets(host) == before


def test_guard_refuses_a_clock_that_is_behind(host: Host) -> None:
    host.run(["mkdir", f"{BACKUPS}/20991231T000000Z"])
    try:
        done = script(host, "backup.sh")
    finally:
        host.run(["rmdir", f"{BACKUPS}/20991231T000000Z"])

    assert done.returncode == 4, said(done)
    assert "error: ClockBehind" in said(done)


def test_guard_refuses_an_empty_source_that_is_not_forced(host: Host) -> None:
    files = host.volume(FILES.rpartition("/")[2])
    aside = files.with_name("aside")
    before = sets(host)
    files.rename(aside)
    files.mkdir()
    try:
        refused = script(host, "backup.sh")
        after = sets(host)
        forced = script(host, "backup.sh", "--force", FILES)
    finally:
        files.rmdir()
        aside.rename(files)

    assert refused.returncode == 4, said(refused)
    assert "error: SourceRefused" in said(refused)
    assert after == before
    assert forced.returncode == 0, said(forced)


def test_restore_asks_and_takes_no_for_an_answer(host: Host) -> None:
    changed = host.volume("app_notes_data") / "changed"
    changed.write_text("since")

    done = at_terminal(host, "echo no", "restore.sh --source volumes/app_notes_data")

    assert done.returncode == 2, said(done)
    assert "nothing was restored" in said(done)
    assert changed.exists()
    changed.unlink()


def test_restore_replaces_what_it_has_shown(host: Host) -> None:
    done = script(host, "backup.sh")
    changed = host.volume("app_notes_data") / "changed"
    changed.write_text("since")

    restored = at_terminal(host, "echo yes", "restore.sh --source volumes/app_notes_data")

    words = said(restored)
    name = path_of(done).rpartition("/")[2]
    assert restored.returncode == 0, words
    shown = rf"volumes/app_notes_data of set {name} would replace {re.escape('/var/lib/containers')}\S+/_data: now \d+ files, "
    assert re.search(shown, words), words
    assert not changed.exists()
    assert path_of(restored).startswith(f"{BACKUPS}/before-restore/")
    assert f"verified: {path_of(done)}" in words


def test_restore_without_asking(host: Host) -> None:
    changed = host.volume("app_notes_data") / "changed"
    changed.write_text("since")

    foretold = script(host, "restore.sh", "--source", "volumes/app_notes_data", "--check")
    there = changed.exists()
    done = script(host, "restore.sh", "--source", "volumes/app_notes_data", "--yes")

    assert foretold.returncode == 0, said(foretold)
    assert "would replace" in said(foretold)
    assert there
    assert done.returncode == 0, said(done)
    assert not changed.exists()


def test_interrupt_reaches_ansible(host: Host) -> None:
    before = sets(host)
    logs = "/tmp/interrupted"
    begun = f'for _ in $(seq 600); do ! grep -qs "^TASK.*Save Prometheus" {logs}/* || break; sleep 0.1; done'
    keys = f'{begun}; printf "\\003"'

    done = at_terminal(host, keys, "backup.sh", logs)

    assert done.returncode == 1, said(done)
    assert "INTERRUPTED" in said(done)
    assert "PLAY RECAP" not in host.output("sh", "-c", f"cat {logs}/*")
    assert "ansible-playbook" not in host.output("ps", "-eo", "args")
    assert set(before) <= set(sets(host))


def test_kinds_are_those_of_the_role() -> None:
    specs = yaml.safe_load((ROOT / "roles/flatnet_backup/meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    (kinds,) = re.findall(r"^kinds='(.*)'$", (ROOT / "scripts" / "backup.sh").read_text("utf-8"), re.MULTILINE)

    assert kinds.split() == specs["main"]["options"]["flatnet_backup_sources"]["choices"]
