# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Timers and their files: what is installed works by itself, and what is as it should be is left alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import timers
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.timers import PROGRAMS, File, Installation, Timer, library

from tests.unit.plugins.module_utils.conftest import AddProgram

pytestmark = pytest.mark.unit

CHECK = Timer(
    "ours", "Look", "/bin/true", "hourly", environment={"PATH": "/bin", "A": "b c"}, on_failure="page@%n.service"
)
SHOW = """[ "$1" != show ] || printf 'LoadState=%s\\nUnitFileState=%s\\nActiveState=%s\\n' {} {} {}"""


def install(*files: File, units: tuple[Timer, ...] = ()) -> list[str]:
    """Make everything as it should be, and say what was run for that."""
    effects = Effects()
    Installation(files, units).install(effects)
    return [effect.target for effect in effects.log if effect.kind == "run"]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add_program: AddProgram) -> Path:
    """Where units are, on a host whose systemd says that all are enabled and active."""
    monkeypatch.setattr(timers, "UNITS", tmp_path / "units")
    add_program("systemctl", SHOW.format("loaded", "enabled", "active"))
    return tmp_path / "units"


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("program", PROGRAMS)
def test_library_needs_nothing_but_python(program: str, tmp_path: Path) -> None:
    install(*library(tmp_path))

    argv = [sys.executable, "-S", "-m", program, "--help"]
    done = subprocess.run(argv, env={"PYTHONPATH": str(tmp_path)}, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage:")


@pytest.mark.usefixtures("units")
def test_library_holds_nothing_that_is_not_imported(tmp_path: Path) -> None:
    install(*library(tmp_path))
    (package,) = {path.parent for path in tmp_path.rglob("*.py")}
    wanted = {path.name for path in package.glob("*.py")}
    (package / "forgotten.py").touch()

    install(*library(tmp_path))

    assert {path.name for path in package.glob("*.py")} == wanted
    assert not {"transport.py", "timers.py", "recorded.py"} & wanted


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("harm", ["content", "mode", "link", "missing"])
def test_file_is_mended(harm: str, tmp_path: Path) -> None:
    file = File(tmp_path / "new" / "program", "#!/bin/sh\n", 0o755)
    install(file)
    assert file.is_right()
    if harm == "content":
        file.path.write_text("#!/bin/false\n", "utf-8")
    elif harm == "mode":
        file.path.chmod(0o700)
    else:
        file.path.rename(tmp_path / "elsewhere")
    if harm == "link":
        file.path.symlink_to(tmp_path / "elsewhere")
    assert not file.is_right()

    install(file)

    assert file.is_right()


def test_units_say_what_they_are_for(units: Path) -> None:
    install(units=(CHECK,))

    service, timer = ((units / f"ours.{kind}").read_text("utf-8") for kind in ("service", "timer"))
    assert 'User=root\nEnvironment="PATH=/bin"\nEnvironment="A=b c"\nExecStart=/bin/true\n' in service
    assert "Description=Look\nOnFailure=page@%n.service\n\n[Service]\n" in service
    assert "OnCalendar=hourly\n" in timer
    assert "Description=Look\n\n[Service]\n" in (replace(CHECK, on_failure="").files()[0].content or "")


@pytest.mark.usefixtures("units")
def test_timer_is_started_once() -> None:
    starting = ["systemctl enable --quiet -- ours.timer", "systemctl restart -- ours.timer"]

    assert install(units=(CHECK,)) == ["systemctl daemon-reload", *starting]
    assert install(units=(CHECK,)) == ["systemctl daemon-reload"]
    assert install(units=(replace(CHECK, command="/bin/false"),)) == ["systemctl daemon-reload"]
    assert install(units=(replace(CHECK, calendar="daily"),)) == ["systemctl daemon-reload", *starting]


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("state", ["loaded disabled active", "loaded enabled inactive", "bad-setting enabled active"])
def test_timer_that_rests_is_started(state: str, add_program: AddProgram) -> None:
    install(units=(CHECK,))
    add_program("systemctl", SHOW.format(*state.split()))

    assert "systemctl restart -- ours.timer" in install(units=(CHECK,))


def test_timer_that_a_host_should_not_have_is_stopped_before_it_is_removed(units: Path) -> None:
    install(units=(CHECK,))
    gone = replace(CHECK, here=False)

    assert install(units=(gone,)) == ["systemctl disable --quiet --now -- ours.timer", "systemctl daemon-reload"]
    assert list(units.iterdir()) == []
    assert install(units=(gone,)) == ["systemctl daemon-reload"]
