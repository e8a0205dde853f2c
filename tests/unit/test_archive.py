# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive that users install: what is in it, and that its playbooks are found by their full names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.build

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ALLOWED = re.compile(
    r"""
      MANIFEST\.json | FILES\.json | LICENSE | README(\.ja)?\.md | CONTRIBUTING\.md | CHANGELOG\.md
    | changelogs/(changelog|config)\.yaml | changelogs/fragments/[^/]+\.yml
    | docs/.+\.(md|json)
    | inventory/.+\.yml
    | meta/runtime\.yml
    | playbooks/\w+\.yml
    | plugins/(action|doc_fragments|module_utils|modules)/(\w+/)*\w+\.py
    | plugins/plugin_utils/(\w+/)*[\w.]+\.(py|j2|ps1)
    | roles/\w+/(defaults|handlers|meta|tasks|vars)/(\w+/)*\w+\.yml
    | roles/\w+/templates/(\w+/)*[\w.]+\.j2
    | scripts/\w+\.sh
    | tests/config\.yml
    | tests/(unit|integration)/(\w+/)*[\w.]+\.(py|yml|json)
    | tests/integration/targets/\w+/files/\w+
    """,
    re.VERBOSE,
)
SHIPPED = (
    "LICENSE",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "scripts",
    "docs",
    "inventory",
    "tests/unit",
    "tests/integration",
)


def ansible(program: str, *arguments: str | Path, home: Path) -> str:
    """Run a program of Ansible's as a user who has nothing but their home, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / program, *arguments],
        cwd=home,
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("archive")
    ansible("ansible-galaxy", "collection", "build", ROOT, "--output-path", directory, home=directory)
    (built,) = directory.glob("flatnet-ops-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as content:
        return {member.name for member in content if not member.isdir()}


@pytest.fixture(scope="module")
def user(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of somebody who has installed the archive."""
    home = tmp_path_factory.mktemp("user")
    ansible("ansible-galaxy", "collection", "install", archive, "--offline", "--no-deps", home=home)
    return home


def test_archive_holds_nothing_that_is_not_allowed(names: set[str]) -> None:
    assert not sorted(name for name in names if not ALLOWED.fullmatch(name))


def test_archive_holds_no_caches(archive: Path) -> None:
    with tarfile.open(archive) as content:
        assert not [name for name in content.getnames() if "cache" in name]


def test_archive_holds_all_that_users_need(names: set[str]) -> None:
    listing = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *SHIPPED)
    listed = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
    present = {name for name in listed if name and (ROOT / name).exists()}

    assert {"LICENSE", "meta/runtime.yml"} <= present
    assert not sorted(present - names)


def test_there_are_playbooks() -> None:
    assert PLAYBOOKS


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_installed_playbook_has_tasks_by_its_full_name(playbook: str, user: Path) -> None:
    listed = ansible("ansible-playbook", f"flatnet.ops.{playbook}", "--list-tasks", "--inventory", "wsl1,", home=user)

    assert "TAGS:" in listed.partition("tasks:")[2], listed
