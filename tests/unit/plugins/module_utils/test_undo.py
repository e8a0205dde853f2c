# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Undo guards: what was promised is done when the run ends without calling it off, however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed
from ansible_collections.flatnet.ops.plugins.module_utils.undo import guarded, only_if_status, quote, undo_leftovers

from tests.unit.plugins.module_utils.conftest import (
    AddProgram,
    PodmanHost,
    expect_no_guard,
    grow,
    in_another_process,
    is_free,
    until,
)

pytestmark = pytest.mark.unit

LONG = 3600


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where guards live; it does not exist yet."""
    return tmp_path / "state" / "undo"


def promise(path: Path) -> str:
    """A command that shows that it has run, and how often."""
    return f"echo undone >> {quote([str(path)])}"


@pytest.mark.usefixtures("systemd_run")
def test_what_is_called_off_is_not_done(base: Path, tmp_path: Path) -> None:
    with guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise([promise(tmp_path / "done")])
        guard.keep()

    assert not (tmp_path / "done").exists()
    expect_no_guard(base)
    assert [path.stat().st_mode & 0o7777 for path in (base, base.parent)] == [0o700, 0o700]


@pytest.mark.usefixtures("systemd_run")
def test_what_was_promised_last_is_done_once_when_the_block_ends(base: Path, tmp_path: Path) -> None:
    with guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise([promise(tmp_path / "first")])
        guard.promise([promise(tmp_path / "sec ond"), promise(tmp_path / "third")])
        assert not (tmp_path / "first").exists()

    assert [(tmp_path / name).exists() for name in ("first", "sec ond", "third")] == [False, True, True]
    assert (tmp_path / "third").read_text("utf-8") == "undone\n"
    expect_no_guard(base)


@pytest.mark.usefixtures("systemd_run")
def test_it_is_done_when_the_block_fails(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise([promise(tmp_path / "done")])
        raise RuntimeError

    assert (tmp_path / "done").exists()


@pytest.mark.usefixtures("systemd_run")
def test_it_is_done_by_the_guard_when_the_run_is_killed(base: Path, tmp_path: Path) -> None:
    def work() -> None:
        with guarded(Effects(), "paused", LONG, base) as guard:
            guard.promise([promise(tmp_path / "done")])
            os.kill(os.getpid(), signal.SIGKILL)

    process = in_another_process(work)
    process.join()

    assert process.exitcode == -signal.SIGKILL
    until(lambda: list(base.iterdir()) == [])
    assert (tmp_path / "done").read_text("utf-8") == "undone\n"


@pytest.mark.usefixtures("systemd_run")
def test_a_run_that_is_killed_with_nothing_promised_leaves_nothing(base: Path) -> None:
    def work() -> None:
        with guarded(Effects(), "paused", LONG, base):
            os.kill(os.getpid(), signal.SIGKILL)

    in_another_process(work).join()

    until(lambda: list(base.iterdir()) == [])


@pytest.mark.usefixtures("systemd_run")
def test_the_undo_does_not_overtake_a_command_of_the_run(base: Path, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def work() -> None:
        with guarded(Effects(), "paused", LONG, base) as guard:
            guard.promise([f"echo undone >> '{order}'"])
            guard.run(["sh", "-c", f"echo begun >> '{order}'; sleep 0.5; echo ended >> '{order}'"])

    process = in_another_process(work)
    until(order.exists)
    process.kill()
    process.join()

    until(lambda: list(base.iterdir()) == [])
    assert order.read_text("utf-8").split() == ["begun", "ended", "undone"]


@pytest.mark.usefixtures("systemd_run")
def test_what_a_command_has_started_does_not_hold_up_the_undo(base: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"

    def work() -> None:
        with guarded(Effects(), "stopped", LONG, base) as guard:
            guard.promise([promise(tmp_path / "done")])
            # As the monitor of a container that was started; descriptor 3, as the shell itself replaces the input.
            service = f"exec 3<&0; sleep 600 >/dev/null 2>&1 & echo \"$!\" > '{started}'"
            guard.run(["sh", "-c", service])
            os.kill(os.getpid(), signal.SIGKILL)

    in_another_process(work).join()
    left = int(started.read_text("ascii"))
    try:
        until(lambda: list(base.iterdir()) == [])
        assert (tmp_path / "done").read_text("utf-8") == "undone\n"
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.usefixtures("systemd_run")
def test_a_guard_is_its_own_lock(base: Path) -> None:
    with guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise(["false"])
        (directory,) = base.iterdir()
        assert [path.name for path in directory.iterdir()] == ["undo.sh"]
        assert not is_free(directory)
        guard.keep()


def test_what_the_undo_starts_outlives_its_service(base: Path, tmp_path: Path, add_program: AddProgram) -> None:
    add_program("systemd-run", f"printf '%s\\n' \"$@\" > '{tmp_path}/arguments'\n")
    with guarded(Effects(), "paused", LONG, base):
        (directory,) = base.iterdir()

    options = (tmp_path / "arguments").read_text("utf-8").partition("\n--\n")[0].splitlines()
    assert "--property=KillMode=process" in options
    assert f"--unit=flatnet-undo-{directory.name}" in options


@pytest.mark.usefixtures("systemd_run")
def test_a_run_that_hangs_is_undone_while_it_lives(base: Path, tmp_path: Path) -> None:
    with guarded(Effects(), "paused", 2, base) as guard:
        guard.promise([promise(tmp_path / "done"), promise(tmp_path / "all")])
        until((tmp_path / "all").exists)
        guard.keep()

    assert (tmp_path / "done").read_text("utf-8") == "undone\n"


def test_without_a_guard_no_work_begins(base: Path, add_program: AddProgram) -> None:
    add_program("systemd-run", "echo 'Failed to connect to bus' >&2; exit 1\n")

    with pytest.raises(CommandFailed, match="Failed to connect to bus"), guarded(Effects(), "paused", LONG, base):
        pytest.fail("work without a guard")
    assert undo_leftovers(Effects(), base) == []
    assert list(base.iterdir()) == []


@pytest.mark.usefixtures("systemd_run")
def test_an_undo_that_fails_is_named_and_stays_due(base: Path, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    words = r"undo\.sh' ended with 3, expected 0: no such container"
    with pytest.raises(CommandFailed, match=words), guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise([promise(tries), "echo 'no such container' >&2; exit 3", promise(tmp_path / "later")])
    until(lambda: len(tries.read_bytes().splitlines()) == 2)

    assert [path.name.partition("-")[0] for path in base.iterdir()] == ["paused"]
    assert not (tmp_path / "later").exists()
    with pytest.raises(CommandFailed, match="no such container"):
        undo_leftovers(Effects(), base)


def test_a_script_can_be_run_by_hand(base: Path, tmp_path: Path, add_program: AddProgram) -> None:
    # Stands for a systemd whose service has not come to anything.
    add_program("systemd-run", "exit 0\n")
    with guarded(Effects(), "paused", LONG, base) as guard:
        guard.promise([promise(tmp_path / "not\udcffutf8 'quoted'\n")])
        (script,) = base.glob("*/undo.sh")
        subprocess.run([script], check=True)
        guard.keep()

    assert (tmp_path / "not\udcffutf8 'quoted'\n").exists()
    assert base.name in str(script)


def test_what_a_reboot_left_is_undone(base: Path, tmp_path: Path) -> None:
    grow(base / "command-1", {"undo.sh": promise(tmp_path / "first").encode()})
    grow(base / "paused-2", {"undo.sh": promise(tmp_path / "second").encode()})
    grow(base / "restore-3", {})
    (base / "a file").touch()
    os.utime(base / "command-1", (1, 1))

    assert undo_leftovers(Effects(), base) == ["paused-2", "command-1"]
    assert [(tmp_path / name).exists() for name in ("first", "second")] == [True, True]
    assert [path.name for path in base.iterdir()] == ["a file"]


def test_what_another_run_holds_is_not_undone(base: Path, tmp_path: Path) -> None:
    grow(base / "paused-1", {"undo.sh": promise(tmp_path / "done").encode()})

    lock = os.open(base / "paused-1", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert undo_leftovers(Effects(), base) == []
    finally:
        os.close(lock)
    assert not (tmp_path / "done").exists()
    assert undo_leftovers(Effects(), base) == ["paused-1"]


def test_where_there_were_never_guards_nothing_is_left(base: Path) -> None:
    assert undo_leftovers(Effects(), base) == []
    assert not base.exists()


@pytest.mark.parametrize(
    ("status", "becomes"), [("paused", "running"), ("running", "running"), ("exited", "exited"), (None, None)]
)
def test_a_command_acts_only_in_its_states(podman_host: PodmanHost, status: str | None, becomes: str | None) -> None:
    if status:
        podman_host.add("app", status)
    subprocess.run(
        ["sh", "-euc", only_if_status("app", ("paused", "frozen"), ["podman", "unpause", "app"])], check=True
    )

    assert podman_host.calls() == (["unpause app"] if status == "paused" else [])
    assert becomes is None or podman_host.status("app") == becomes


@pytest.mark.parametrize("answers", ["exit 125", 'case "$2" in exists) exit 0 ;; *) exit 125 ;; esac'])
def test_a_podman_that_cannot_answer_fails_the_undo(add_program: AddProgram, answers: str) -> None:
    add_program("podman", f"{answers}\n")
    command = only_if_status("app", ("paused",), ["podman", "unpause", "app"])

    assert subprocess.run(["sh", "-euc", command], check=False).returncode != 0
