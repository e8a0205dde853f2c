# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The effects seam: every change is announced before it happens, and one that fails says what the operator can do."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.file_copy import FileCopy
from ansible_collections.flatnet.ops.plugins.module_utils.shares import LITTLE

from tests.unit.plugins.module_utils.conftest import (
    AddProgram,
    Server,
    Stopped,
    commands_on,
    files,
    full_disk,
    in_another_process,
    is_free,
    on_a_small_disk,
    stop_at,
    until,
)

pytestmark = pytest.mark.unit

FILL_A_DISK = """
import sys
from pathlib import Path
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import DiskFull

disk = Path(sys.argv[1])
Effects().write(disk / "manifest.json", b"old")
try:
    Effects().write(disk / "manifest.json", bytes(2 << 20))
except DiskFull as error:
    print(error)
print(*((path.name, path.read_text()) for path in disk.iterdir()))
"""


def log_of(change: Callable[[Effects], object]) -> list[tuple[str, str]]:
    """What a change announces: kind, and the last part of the target."""
    effects = Effects()
    change(effects)
    return [(effect.kind, effect.target.rpartition("/")[2]) for effect in effects.log]


def test_a_directory_has_exactly_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        announced = log_of(lambda effects: effects.make_directory(tmp_path / "new", 0o755))
    finally:
        os.umask(before)

    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o755
    assert announced == [("mkdir", "new")]


def test_a_directory_that_exists_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)

    assert log_of(lambda effects: effects.make_directory(tmp_path, 0o700)) == []
    assert tmp_path.stat().st_mode & 0o7777 == 0o711


def test_a_file_gets_one_more_name(tmp_path: Path) -> None:
    Effects().write(tmp_path / "m", b"words")

    assert log_of(lambda effects: effects.link(tmp_path / "m", tmp_path / "n")) == [("link", "n")]
    assert (tmp_path / "n").samefile(tmp_path / "m")


def test_files_of_a_tree_get_the_same_names_in_another_and_what_is_refused_is_left(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source / "a", source / "deep/er/b", source / "taken", target / "taken"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path), "utf-8")
    linked: set[bytes] = set()

    def link(effects: Effects) -> None:
        linked.update(effects.link_files(source, target, [b"missing", b"taken", b"deep/er/b", b"a"]))

    assert log_of(link) == [("links", "target"), ("links-begun", "target")]
    assert linked == {b"deep/er/b", b"a"}
    assert all((target / name).samefile(source / name) for name in ("deep/er/b", "a"))
    assert (target / "taken").read_text("utf-8") == str(target / "taken")


def test_files_of_a_tree_are_copied_by_several_and_what_is_refused_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    source, target = tmp_path / "source", tmp_path / "target"
    sizes = dict.fromkeys((b"gone", b"taken", b"deep/er/b", b"\xff", b"below/taken", b"a"), LITTLE)
    for path in [*(source / os.fsdecode(name) for name in sizes), target / "taken", target / "below"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path.parent), "utf-8")
    (source / "gone").unlink()
    copies: dict[bytes, FileCopy] = {}

    def copy(effects: Effects) -> None:
        copies.update(effects.copy_files(source, target, sizes))

    assert log_of(copy) == [("copies", "target"), ("copies-begun", "target")]
    assert set(copies) == {b"deep/er/b", b"\xff", b"a"}
    for name, made in copies.items():
        path = target / os.fsdecode(name)
        assert path.read_bytes() == (source / os.fsdecode(name)).read_bytes()
        assert made == FileCopy(tree.change_mark(path.stat()), tree.sha256(os.fsencode(path)))
    assert (target / "taken").read_text("utf-8") == str(target)


def test_a_file_has_exactly_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Effects().write(tmp_path / "m", b"words", 0o755)
    finally:
        os.umask(before)

    assert (tmp_path / "m").stat().st_mode & 0o7777 == 0o755


def test_a_file_is_durable_before_it_has_its_name(tmp_path: Path) -> None:
    announced = log_of(lambda effects: effects.write(tmp_path / "m", b"words"))

    assert [kind for kind, _target in announced] == ["write", "fsync", "rename", "fsync-directory"]
    assert announced[1] == ("fsync", ".m.new")
    assert (tmp_path / "m").read_bytes() == b"words"
    assert (tmp_path / "m").stat().st_mode & 0o7777 == 0o400
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_what_is_announced_as_synced_is_synced(tmp_path: Path) -> None:
    calls: list[str] = []

    def note(_frame: object, event: str, called: object) -> None:
        if event == "c_call":
            calls.append(getattr(called, "__name__", ""))

    sys.setprofile(note)
    try:
        Effects().write(tmp_path / "m", b"words")
    finally:
        sys.setprofile(None)

    order = [call for call in calls if call in ("write", "flush", "fsync", "rename")]
    assert order == ["write", "flush", "fsync", "rename", "fsync"]


def test_a_file_that_cannot_be_written_for_another_reason_is_not_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Effects().write(tmp_path / "none" / "m", b"words")


@pytest.mark.parametrize(("error", "raised"), [(errno.ENOSPC, DiskFull), (errno.EIO, OSError)])
def test_a_write_that_fails_leaves_nothing_beside_the_file(tmp_path: Path, error: int, raised: type[Exception]) -> None:
    Effects().write(tmp_path / "m", b"old")

    with pytest.raises(raised):
        full_disk(lambda: True, error).write(tmp_path / "m", b"new")
    assert files(tmp_path) == {"m": b"old"}


@pytest.mark.parametrize("kind", ["write", "fsync", "rename"])
def test_a_file_is_replaced_wholly_or_not_at_all(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m"
    Effects().write(path, b"old")

    def watch(effect: Effect) -> None:
        if effect.kind == kind:
            raise Stopped

    with pytest.raises(Stopped):
        Effects(watch).write(path, b"new")
    assert path.read_bytes() == b"old"
    Effects().write(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert [left.name for left in tmp_path.iterdir()] == ["m"]


def test_a_full_disk_is_named_with_what_is_free_and_the_old_file_stays(tmp_path: Path) -> None:
    message, left = on_a_small_disk(FILL_A_DISK, tmp_path).splitlines()
    assert message.startswith(f"writing {tmp_path}/manifest.json failed")
    assert "bytes are free there; make room and run again" in message
    assert left == "('manifest.json', 'old')"


@pytest.mark.parametrize("first", ["file", "directory", "link"])
def test_a_tree_may_be_found_half_removed(tmp_path: Path, first: str) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    doomed = tmp_path / "doomed"
    (doomed / "b").mkdir(parents=True)
    if first == "file":
        (doomed / "a").touch()
    elif first == "directory":
        (doomed / "a" / "deep").mkdir(parents=True)
    else:
        (doomed / "a").symlink_to(kept)

    with pytest.raises(Stopped):
        stop_at("remove-begun", "doomed").remove_tree(doomed)
    assert [path.name for path in doomed.iterdir()] == ["b"]
    assert log_of(lambda effects: effects.remove_tree(os.fsencode(doomed)))[0] == ("remove", "doomed")
    assert not doomed.exists()
    assert (kept / "file").exists()


def test_an_effect_that_is_not_stopped_has_happened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert log_of(lambda effects: effects.rename(tmp_path / "file", tmp_path / "moved")) == [("rename", "moved")]
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]
    assert log_of(lambda effects: effects.unlink(os.fsencode(tmp_path / "moved"))) == [("unlink", "moved")]
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_is_synced_once(tmp_path: Path, add_program: AddProgram) -> None:
    add_program("sync", f"echo \"$*\" >> '{tmp_path}/synced'\n")

    assert log_of(lambda effects: effects.sync_filesystem(tmp_path / "x")) == [("syncfs", "x")]
    assert (tmp_path / "synced").read_text("utf-8") == f"--file-system {tmp_path}/x\n"


def test_the_names_of_a_directory_are_synced(tmp_path: Path) -> None:
    open_files = os.listdir("/proc/self/fd")

    assert log_of(lambda effects: effects.sync_directory(tmp_path)) == [("fsync-directory", tmp_path.name)]
    # The kernel's own file system has nothing to sync, and says so.
    with pytest.raises(OSError, match="Invalid argument"):
        Effects().sync_directory(Path("/proc"))
    assert os.listdir("/proc/self/fd") == open_files


def test_an_effect_that_is_stopped_has_not_happened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    changes: dict[str, Callable[[Effects], object]] = {
        "mkdir": lambda effects: effects.make_directory(tmp_path / "new", 0o700),
        "rename": lambda effects: effects.rename(tmp_path / "file", tmp_path / "moved"),
        "unlink": lambda effects: effects.unlink(tmp_path / "file"),
        "remove": lambda effects: effects.remove_tree(tmp_path),
        "run": lambda effects: effects.run(["rm", str(tmp_path / "file")]),
    }

    def stop(_effect: Effect) -> None:
        raise Stopped

    for kind, change in changes.items():
        effects = Effects(stop)
        with pytest.raises(Stopped):
            change(effects)
        assert [effect.kind for effect in effects.log] == [kind]
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_request_that_changes_something_is_announced() -> None:
    server = Server({"/-/reload": (200, "")})

    assert log_of(lambda effects: effects.http(server, "POST", "http://h/-/reload")) == [("http", "reload")]
    assert server.asked == [("POST", "/-/reload", {})]


def test_a_command_is_announced_before_it_begins_and_once_it_runs() -> None:
    effects = Effects()
    done = effects.run(["tr", "a", "b"], b"a\xff")

    assert [(effect.kind, effect.target) for effect in effects.log] == [("run", "tr a b"), ("run-begun", "tr a b")]
    assert (done.code, os.fsencode(done.stdout)) == (0, b"b\xff")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo out; echo 'no  room' >&2; exit 3", "ended with 3, expected 0 or 24: no room"),
        ("echo only out; exit 1", "ended with 1, expected 0 or 24: only out"),
        ("exit 2", "ended with 2, expected 0 or 24: no message"),
        ("kill -9 $$", "ended with -9"),
    ],
)
def test_a_command_that_fails_is_named_with_its_words(script: str, words: str) -> None:
    with pytest.raises(CommandFailed, match=words) as caught:
        run(["sh", "-c", script], expect=(0, 24))
    assert str(caught.value).startswith(f"'sh -c {script}'")


def test_another_code_may_be_expected() -> None:
    assert run(["sh", "-c", "exit 24"], expect=(0, 24)).code == 24


def test_a_program_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(
        CommandFailed, match=r"'no-such-program' was expected on this host and is not there: install it$"
    ):
        run(["no-such-program"])


@pytest.mark.parametrize("when", ["before it is bound", "at once", "later"])
def test_a_bound_command_ends_with_its_run(tmp_path: Path, add_program: AddProgram, when: str) -> None:
    followed, gone = tmp_path / "followed", tmp_path / "gone"
    followed.touch()
    if when == "before it is bound":
        wait = f"until [ -e '{gone}' ]; do sleep 0.02; done"
        add_program("setpriv", f"{wait}; exec '{shutil.which('setpriv')}' \"$@\"\n")

    def die(effect: Effect) -> None:
        if effect.kind == "run-begun" and when != "later":
            os.kill(os.getpid(), signal.SIGKILL)

    # It ends by itself where its output is a pipe that nobody reads any more.
    command = ["sh", "-c", 'exec tail -f "$1" >/dev/null', "sh", str(followed)]
    process = in_another_process(lambda: Effects(die).run(command, bound=True))
    if when == "later":
        until(lambda: commands_on(followed) == [b"tail"])
        process.kill()
    process.join()
    gone.touch()

    assert process.exitcode == -signal.SIGKILL
    until(lambda: not commands_on(followed))


def test_a_lock_is_held_until_the_command_has_ended(tmp_path: Path) -> None:
    lock, started, finish = tmp_path / "lock", tmp_path / "started", tmp_path / "finish"

    def work() -> None:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            script = f": > '{started}'; until [ -e '{finish}' ]; do sleep 0.02; done"
            Effects().run(["sh", "-c", script], held=file.fileno())

    process = in_another_process(work)
    until(started.exists)
    process.kill()
    process.join()

    assert not is_free(lock)
    finish.touch()
    until(lambda: is_free(lock))


def test_what_a_command_leaves_behind_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # A shell gives what it starts in the background another input, but not another descriptor 3.
        service = 'exec 3<&0; sleep 600 >/dev/null 2>&1 & echo "$!"'
        left = int(run(["sh", "-c", service], held=file.fileno()).stdout)
    try:
        until(lambda: Path(f"/proc/{left}/comm").read_text("ascii") == "sleep\n")
        assert is_free(lock)
    finally:
        os.kill(left, signal.SIGKILL)
