# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The private environment: what its set-up refuses, and that everything in it is pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.environment.bundle import unpack

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "tests" / "environment"
NOBODY = 65534
NOTHING_INSTALLED = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A checkout that an unprivileged user can write to, on a machine whose dpkg knows of no package."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        shutil.copytree(ENVIRONMENT, root / "tests" / "environment")
        (root / "bin").mkdir()
        (root / "bin" / "dpkg-query").write_text(NOTHING_INSTALLED)
        (root / "bin" / "dpkg-query").chmod(0o755)
        root.chmod(0o777)
        yield root


def set_up(checkout: Path, purpose: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up as somebody who is not root."""
    environment = {**os.environ, "HOME": str(checkout), "FLATNET_OPS_CACHE": str(checkout / "cache")}
    environment["PATH"] = f"{checkout / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [checkout / "tests" / "environment" / "setup", purpose],
        user=NOBODY if os.geteuid() == 0 else None,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("purpose", "package"), [("work", "shellcheck"), ("drill", "podman"), ("test", "chromium")])
def test_without_root_missing_packages_are_named_and_nothing_is_made(
    checkout: Path, purpose: str, package: str
) -> None:
    done = set_up(checkout, purpose)

    assert done.returncode == 1
    assert re.search(rf"apt-get install --no-install-recommends .*\b{package}\b", done.stderr), done.stderr
    assert not list((checkout / "cache").glob("venv-*"))


def test_without_root_the_drill_says_so_at_once(checkout: Path) -> None:
    installed = "#!/bin/sh\nshift 3\nprintf 'installed %s\\n' \"$@\"\n"
    (checkout / "bin" / "dpkg-query").write_text(installed)

    done = set_up(checkout, "drill")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "takes root" in done.stderr


def test_unknown_purpose_is_refused(checkout: Path) -> None:
    done = set_up(checkout, "bench")

    assert (done.returncode, done.stderr) == (2, "setup: expected work, drill or test, got 'bench'\n")


def test_bundle_of_another_version_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ansible.whl", "w") as wheel:
        wheel.writestr("ansible_collections/a/b/MANIFEST.json", '{"collection_info": {"version": "2.0.0"}}')
        wheel.writestr("ansible_collections/a/b/README.md", "")
        wheel.writestr("ansible_collections/a/bc/README.md", "")

        with pytest.raises(SystemExit, match=r"a\.b 1\.0\.0 was expected .* which has 2\.0\.0"):
            unpack(wheel, "a.b", "1.0.0", tmp_path / "collections")
        unpack(wheel, "a.b", "2.0.0", tmp_path / "collections")

    assert [path.name for path in (tmp_path / "collections" / "ansible_collections" / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("lock", ["requirements.lock", "bundle.lock"])
def test_lock_pins_everything_by_hash_and_names_no_place(lock: str) -> None:
    text = (ENVIRONMENT / lock).read_text("utf-8")
    requirements = re.findall(r"^[^\s#].*(?:\n .*)*", text, re.MULTILINE)

    assert requirements
    assert not [each for each in requirements if not re.match(r"\S+==\S+(?s:.*)--hash=sha256:[0-9a-f]{64}", each)]
    assert "://" not in text


def test_pinned_collections_are_those_that_ours_depends_on() -> None:
    pinned = yaml.safe_load((ROOT / "requirements.yml").read_text("utf-8"))["collections"]
    wanted = yaml.safe_load((ROOT / "galaxy.yml").read_text("utf-8"))["dependencies"]

    assert {each["name"] for each in pinned} == wanted.keys()
    assert not [each for each in pinned if each["version"] not in SpecifierSet(wanted[each["name"]])]
