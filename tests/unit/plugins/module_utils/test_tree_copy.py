# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies on a real file system, and by the real rsync: everything is kept, what is unchanged is shared, and nothing of an earlier copy is written to."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, CopyFailed, DiskFull
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import MARGIN, Copied, Previous, TreeCopy

from tests.unit.plugins.module_utils.conftest import (
    UNPRIVILEGED,
    AddProgram,
    commands_on,
    grow,
    in_another_process,
    in_secret,
    next_tick,
    rewrite,
    until,
)

pytestmark = pytest.mark.unit

ODD = [
    "#hash",
    ";semi",
    "with space ",
    "日本語",
    "new\nline",
    "car\rriage",
    "-dash",
    "a:b",
    "*",
    "[x]",
    "back\\slash",
    "\udcff",
]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A tree with what trees have, whose files are older than the file system's last tick."""
    root = grow(tmp_path / "origin", {name: os.fsencode(name) for name in ODD})
    grow(root, {f"{name} d/{name}": b"below" for name in ODD})
    grow(root, {"journal": b"words", "other": b"other words"})
    (root / "journal").chmod(0o640)
    (root / "same").hardlink_to(root / "journal")
    (root / "points").symlink_to("new\nline")
    (root / "empty").mkdir(mode=0o711)
    (root / "to-dir").symlink_to("-dash d")
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as file:
        file.truncate(8 << 20)
        file.write(b"begin")
    os.utime(root / "other", ns=(0, 1234567891))
    next_tick()
    return root


def content(root: Path) -> dict[str, tuple[object, ...]]:
    """A tree with everything that a copy has to keep."""
    return {name: item.identity() for name, item in tree.list_tree(root, {}).items()}


def during(*changes: Callable[[], object]) -> Effects:
    """Effects with a change just before each time that something is copied, by us and then by a command."""
    to_come = iter(changes)

    def watch(effect: Effect) -> None:
        begun = [one.kind for one in effects.log if one.kind in ("copies", "run")]
        if effect.kind in ("copies", "run") and begun != ["copies", "run"]:
            next(to_come, lambda: None)()

    effects = Effects(watch)
    return effects


@contextmanager
def rest() -> Iterator[None]:
    """Nobody writes."""
    yield


def earlier(origin: Path) -> tuple[Previous, Copied]:
    """A copy to link to."""
    target = origin.parent / "earlier"
    copied = TreeCopy(Effects(), origin, target).take_resting()
    return Previous(target, copied.listing), copied


def shared(one: Path, other: Path) -> set[str]:
    """The files that two copies share."""
    inodes = {path.name: path.lstat().st_ino for path in one.iterdir()}
    files = [path for path in other.iterdir() if path.is_file() and not path.is_symlink()]
    return {path.name for path in files if path.lstat().st_ino == inodes.get(path.name)}


def test_a_copy_has_everything_that_its_source_has(origin: Path, tmp_path: Path) -> None:
    copied = TreeCopy(Effects(), origin, tmp_path / "copy").take_resting()

    assert content(tmp_path / "copy") == content(origin)
    assert {name: item.identity() for name, item in copied.listing.items()} == content(origin)
    assert (copied.linked_files, copied.linked_bytes, copied.changed_while_copied) == (0, 0, 0)
    assert (tmp_path / "copy/sparse").stat().st_blocks * 512 < 1 << 20


def test_extended_attributes_and_acls_are_kept(origin: Path, tmp_path: Path) -> None:
    try:
        os.setxattr(origin / "journal", "user.flatnet", b"\0\xff")
        os.setxattr(origin / "empty", "user.flatnet", b"directory")
        subprocess.run(["setfacl", "--modify", "user:1:rw", origin / "other"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no extended attributes and ACLs on the file system of {tmp_path}: {error}")
    TreeCopy(Effects(), origin, tmp_path / "copy").take_resting()

    assert os.getxattr(tmp_path / "copy/journal", "user.flatnet") == b"\0\xff"
    assert os.getxattr(tmp_path / "copy/other", "system.posix_acl_access")
    assert content(tmp_path / "copy") == content(origin)


def test_owners_are_kept_as_numbers(origin: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(origin / "journal", 12345, 54321)
    os.lchown(origin / "points", 12345, 54321)
    TreeCopy(Effects(), origin, tmp_path / "copy").take_resting()

    assert content(tmp_path / "copy") == content(origin)


def test_the_second_look_copies_what_has_changed_meanwhile(origin: Path, tmp_path: Path) -> None:
    def change() -> None:
        for name in ODD[2:]:
            rewrite(origin / f"{name} d" / name)
            (origin / name).unlink()
            grow(origin, {f"{name} new": b"new", f"{name} D/{name}": b"new"})
        rewrite(origin / "journal")
        (origin / "empty").rmdir()
        (origin / "empty").write_bytes(b"a file now")
        (origin / "other").unlink()
        grow(origin, {"other/file": b"a directory now"})
        (origin / "points").unlink()
        (origin / "points").symlink_to("elsewhere")
        (origin / "to-dir").unlink()
        (origin / "same").unlink()
        (origin / "again").hardlink_to(origin / "journal")

    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        next_tick()
        change()
        yield

    copied = TreeCopy(Effects(), origin, tmp_path / "copy").take_live(rest_after_changes())

    assert content(tmp_path / "copy") == content(origin)
    assert copied.changed_while_copied == 0


def test_what_changes_while_it_is_copied_is_counted_when_hot_and_refused_at_rest(origin: Path, tmp_path: Path) -> None:
    def changes() -> Effects:
        return during(lambda: grow(origin, {"again": b"new"}), lambda: grow(origin, {"again": b"newer"}))

    copied = TreeCopy(changes(), origin, tmp_path / "hot").take_live(None)
    assert copied.changed_while_copied == 1
    assert copied.listing["again"].size == len(b"newer")

    (origin / "again").unlink()
    words = rf"copy of {origin} was expected to equal it, and 1 names differ, first 'again': .*fuser -v -m {origin}"
    with pytest.raises(CopyFailed, match=words):
        TreeCopy(changes(), origin, tmp_path / "rest").take_live(rest())


def test_a_resting_copy_of_a_tree_that_changes_is_refused(origin: Path, tmp_path: Path) -> None:
    with pytest.raises(CopyFailed, match="'other'"):
        TreeCopy(during(lambda: grow(origin, {"other": b"x"})), origin, tmp_path / "copy").take_resting()


def test_the_containers_rest_for_the_second_copy_alone(origin: Path, tmp_path: Path) -> None:
    effects = during(lambda: grow(origin, {"again": b"new"}))

    @contextmanager
    def noted() -> Iterator[None]:
        effects.log.append(Effect("rest", ""))
        yield
        effects.log.append(Effect("work", ""))

    TreeCopy(effects, origin, tmp_path / "copy").take_live(noted())

    assert [effect.kind for effect in effects.log if effect.kind in ("run", "rest", "work")] == [
        "run",
        "rest",
        "run",
        "work",
    ]


def test_what_is_unchanged_is_shared(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    everything = content(origin)
    grow(origin, {"new": b"new"})
    rewrite(origin / "other")
    (origin / ODD[0]).chmod(0o600)
    copied = TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting()

    assert content(tmp_path / "copy") == content(origin)
    assert content(previous.path) == everything
    everything_but = {path.name for path in previous.path.iterdir() if path.is_file()} - {"other", ODD[0], "points"}
    assert shared(tmp_path / "copy", previous.path) == everything_but
    assert copied.linked_files == tree.totals(previous.listing).files - 2
    whole = tree.totals(copied.listing).bytes
    assert copied.linked_bytes == whole - len(b"new") - len(b"other words") - len(os.fsencode(ODD[0]))


def test_a_second_copy_of_the_same_tree_shares_it_all(origin: Path, tmp_path: Path) -> None:
    previous, first = earlier(origin)
    copied = TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_live(rest())

    totals = tree.totals(first.listing)
    assert (copied.linked_files, copied.linked_bytes) == (totals.files, totals.bytes)
    assert copied.listing == first.listing


@pytest.mark.parametrize("live", [True, False])
def test_a_change_under_the_same_size_and_time_is_not_shared(origin: Path, tmp_path: Path, live: bool) -> None:
    previous, _set = earlier(origin)
    rewrite(origin / "journal")
    copy = TreeCopy(Effects(), origin, tmp_path / "copy", previous)
    copied = copy.take_live(rest()) if live else copy.take_resting()

    assert [(tmp_path / "copy" / name).read_bytes() for name in ("journal", "same")] == [b"WORDS", b"WORDS"]
    assert (previous.path / "journal").read_bytes() == b"words"
    assert copied.listing["journal"].sha256 == tree.sha256(os.fsencode(origin / "journal"))
    assert content(tmp_path / "copy") == content(origin)


def test_a_tree_whose_files_never_change_may_be_touched(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    rewrite(origin / "journal")
    TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting(touched_counts=False)

    assert "journal" in shared(tmp_path / "copy", previous.path)


def test_what_was_copied_afresh_is_not_copied_again(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    grow(origin, {"other": b"longer than it was before"})
    effects = Effects()
    TreeCopy(effects, origin, tmp_path / "copy", previous).take_resting()

    assert len([effect for effect in effects.log if effect.kind == "run"]) == 1


def test_a_directory_that_became_a_file_is_copied(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    shutil.rmtree(origin / "-dash d")
    (origin / "-dash d").write_bytes(b"a file now")
    TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting()

    assert content(tmp_path / "copy") == content(origin)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_no_matter_where_only_it_has_changed(origin: Path, tmp_path: Path, name: str) -> None:
    previous, _set = earlier(origin)
    rewrite(origin / f"{name} d" / name)
    TreeCopy(Effects(), origin, tmp_path / "linked", previous).take_resting()
    assert content(tmp_path / "linked") == content(origin)

    next_tick()
    effects = during(lambda: grow(origin, {f"{name} d/late": b"late", f"{name} late/late": b"late"}))
    copied = TreeCopy(effects, origin, tmp_path / "copy").take_live(None)
    assert content(tmp_path / "copy") == content(origin)
    assert copied.changed_while_copied == 0


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(lambda origin: grow(origin, {"new": b"new"}), id="a name"),
        pytest.param(lambda origin: origin.chmod(0o711), id="the root alone"),
    ],
)
def test_a_late_change_does_not_reach_the_earlier_copy(
    origin: Path, tmp_path: Path, first: Callable[[Path], object]
) -> None:
    previous, _set = earlier(origin)
    everything = content(previous.path)
    effects = during(lambda: first(origin), lambda: (origin / "other").chmod(0o666))
    TreeCopy(effects, origin, tmp_path / "copy", previous).take_live(None)

    assert content(previous.path) == everything
    assert (tmp_path / "copy").stat().st_mode == origin.stat().st_mode


def test_a_name_that_vanishes_before_the_second_copy_is_no_failure(origin: Path, tmp_path: Path) -> None:
    effects = during(lambda: grow(origin, {"new": b"1"}), (origin / "new").unlink)
    TreeCopy(effects, origin, tmp_path / "copy").take_live(None)

    assert not (tmp_path / "copy/new").exists()


def test_the_disk_is_synced_before_anything_is_copied(origin: Path, tmp_path: Path) -> None:
    late = origin / "written back"

    def watch(effect: Effect) -> None:
        if effect.kind == "syncfs":
            late.touch()

    effects = Effects(watch)
    copied = TreeCopy(effects, origin, tmp_path / "copy").take_live(rest())
    assert effects.log[0] == Effect("syncfs", str(origin))
    assert [effect.kind for effect in effects.log].count("syncfs") == 1
    assert copied.listing["written back"].origin is None


def test_only_what_was_settled_before_a_live_copy_says_where_it_came_from(origin: Path, tmp_path: Path) -> None:
    effects = during(lambda: rewrite(origin / "journal"))
    copied = TreeCopy(effects, origin, tmp_path / "copy").take_live(rest())

    def origins(listing: dict[str, tree.Item]) -> set[str]:
        return {name for name, item in listing.items() if item.origin}

    everything = {name for name, item in copied.listing.items() if item.type == "file"}
    assert everything - origins(copied.listing) == {"journal", "same"}
    assert origins(TreeCopy(Effects(), origin, tmp_path / "resting").take_resting().listing) == everything


@dataclass
class MappedFile:
    """A file to which another process writes through its memory, as databases do."""

    path: Path
    pid: int
    orders: int
    done: int

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[MappedFile]:
        """Start the process."""
        path.write_bytes(b"0" * mmap.PAGESIZE)
        (read_order, order), (read_done, done) = os.pipe(), os.pipe()

        def write() -> None:
            with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
                while True:
                    memory[:1] = os.read(read_order, 1)
                    os.write(done, b".")

        process = in_another_process(write)
        assert process.pid is not None
        try:
            yield cls(path, process.pid, order, read_done)
        finally:
            process.kill()
            process.join()
            for descriptor in (read_order, order, read_done, done):
                os.close(descriptor)

    def write(self, byte: bytes) -> None:
        """Let it write, and wait until it has."""
        os.write(self.orders, byte)
        os.read(self.done, 1)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Keep it from writing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def changed_at(self) -> int:
        """When the file has changed, as far as the file system knows."""
        return self.path.stat().st_ctime_ns


def test_what_is_written_through_memory_is_not_missed(origin: Path, tmp_path: Path) -> None:
    with MappedFile.open(origin / "mapped") as mapped:
        mapped.write(b"1")
        subprocess.run(["sync", "--file-system", origin], check=True)
        next_tick()
        dirty_since = mapped.changed_at()
        mapped.write(b"2")
        if mapped.changed_at() == dirty_since:
            pytest.skip(f"the file system of {origin} does not say when memory is written")
        next_tick()

        @contextmanager
        def rest_after_a_write() -> Iterator[None]:
            mapped.write(b"3")
            with mapped.at_rest():
                yield

        first = TreeCopy(Effects(), origin, tmp_path / "first").take_live(rest_after_a_write())
        mapped.write(b"4")
        previous = Previous(tmp_path / "first", first.listing)
        TreeCopy(Effects(), origin, tmp_path / "second", previous).take_live(mapped.at_rest())

    assert [(tmp_path / name / "mapped").read_bytes()[:1] for name in ("first", "second")] == [b"3", b"4"]


def set_attribute(path: Path) -> None:
    """Give a file an extended attribute."""
    try:
        os.setxattr(path, "user.flatnet", b"1")
    except OSError as error:
        pytest.skip(f"no extended attributes on the file system of {path}: {error}")


def without_attributes(add_program: AddProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be copied as to a disk that does not take extended attributes."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse)
    add_program("rsync", f"shift 4; exec '{shutil.which('rsync')}' --archive --hard-links \"$@\"\n")


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(("name", "named"), [("other", "other"), ("journal", "(journal|same)")])
def test_a_copy_without_the_attributes_does_not_pass(
    origin: Path,
    tmp_path: Path,
    add_program: AddProgram,
    monkeypatch: pytest.MonkeyPatch,
    live: bool,
    name: str,
    named: str,
) -> None:
    set_attribute(origin / name)
    next_tick()
    without_attributes(add_program, monkeypatch)
    copy = TreeCopy(Effects(), origin, tmp_path / "copy")

    words = f"the extended attributes and ACLs of '{named}', and has not: the disk of {tmp_path} does not take them"
    with pytest.raises(CopyFailed, match=words):
        copy.take_live(rest()) if live else copy.take_resting()


def test_an_attribute_that_a_live_tree_has_got_since_is_no_failure(origin: Path, tmp_path: Path) -> None:
    effects = during(lambda: grow(origin, {"new": b"new"}), lambda: set_attribute(origin / "other"))
    copied = TreeCopy(effects, origin, tmp_path / "copy").take_live(None)

    assert "user.flatnet" not in (copied.listing["other"].xattrs or {})


@contextmanager
def limited(bytes: int) -> Iterator[None]:
    """No file grows beyond this size, as on a bad disk: neither ours nor one of a command."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("linked", [True, False])
def test_nobody_else_sees_a_copy_in_the_making(origin: Path, tmp_path: Path, linked: bool) -> None:
    origin.chmod(0o755)
    previous = earlier(origin)[0] if linked else None
    modes: list[int] = []
    effects = during(lambda: modes.append((tmp_path / "copy").stat().st_mode & 0o7777))
    TreeCopy(effects, origin, tmp_path / "copy", previous).take_resting()
    assert modes == [0o700]


def test_a_change_at_rest_does_not_reach_the_earlier_copy(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    everything = content(previous.path)

    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        rewrite(origin / "journal")
        (origin / "other").chmod(0o600)
        yield

    TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_live(rest_after_changes())

    assert content(tmp_path / "copy") == content(origin)
    assert content(previous.path) == everything


@pytest.mark.parametrize("touched_counts", [True, False])
def test_a_damaged_file_of_the_earlier_copy_is_copied_afresh(
    origin: Path, tmp_path: Path, touched_counts: bool
) -> None:
    previous, first = earlier(origin)
    rewrite(previous.path / "journal")
    known = Previous(previous.path, previous.listing, {"journal", "same"})
    copied = TreeCopy(Effects(), origin, tmp_path / "copy", known).take_resting(touched_counts)

    assert (tmp_path / "copy/journal").read_bytes() == b"words"
    assert (previous.path / "journal").read_bytes() == b"WORDS"
    assert copied.listing == first.listing
    assert not shared(tmp_path / "copy", previous.path) & {"journal", "same"}
    assert "other" in shared(tmp_path / "copy", previous.path)


@pytest.mark.parametrize("linked", [False, True])
def test_what_lies_at_the_target_and_does_not_belong_there_does_not_pass(
    origin: Path, tmp_path: Path, linked: bool
) -> None:
    copy = TreeCopy(Effects(), origin, grow(tmp_path / "copy", {"stray": b"1"}), earlier(origin)[0] if linked else None)

    with pytest.raises(CopyFailed, match="and 1 names differ, first 'stray'"):
        copy.take_resting()
    with pytest.raises(CopyFailed, match=r"and 1 names differ, first '\.'"):
        copy.take_live(rest())


def test_a_file_that_vanishes_while_everything_is_copied_is_no_failure(origin: Path, tmp_path: Path) -> None:
    TreeCopy(during((origin / "other").unlink), origin, tmp_path / "copy").take_live(rest())

    assert content(tmp_path / "copy") == content(origin)


@pytest.mark.parametrize("hot", [False, True])
def test_a_file_that_we_could_not_copy_is_copied_all_the_same(
    origin: Path, tmp_path: Path, add_program: AddProgram, hot: bool
) -> None:
    grow(origin, {"big": os.urandom(64 << 10)})
    next_tick()
    add_program("rsync", f"ulimit -S -f unlimited; exec '{shutil.which('rsync')}' \"$@\"\n")
    with limited(16 << 10):
        copied = TreeCopy(Effects(), origin, tmp_path / "copy").take_live(None if hot else rest())

    assert content(tmp_path / "copy") == content(origin)
    assert copied.changed_while_copied == 0


def test_a_copy_that_is_cut_off_does_not_pass(origin: Path, tmp_path: Path) -> None:
    grow(origin, {"big": os.urandom(64 << 10)})

    with limited(16 << 10), pytest.raises(CommandFailed, match=r"ended with 11, expected 0 or 24: .*File too large"):
        TreeCopy(Effects(), origin, tmp_path / "copy").take_resting()


def test_a_file_that_nobody_can_read_does_not_pass_silently(
    origin: Path, tmp_path: Path, add_program: AddProgram
) -> None:
    if os.getuid() == 0:
        # Else root reads everything; a file with two names is copied by rsync.
        add_program("rsync", f"exec {' '.join(UNPRIVILEGED)} '{shutil.which('rsync')}' \"$@\"\n")
    (origin / "journal").chmod(0)
    next_tick()

    with pytest.raises(CommandFailed, match=r"ended with 23, expected 0 or 24: rsync: .*journal.*Permission denied"):
        TreeCopy(Effects(), origin, tmp_path / "copy").take_live(None)


def needs(copy: TreeCopy) -> int:
    """How much room a copy asks for where there is none."""
    with pytest.raises(DiskFull, match=r"has 0 bytes free, .* needs [\d,]+ bytes: .* nothing was written") as caught:
        copy.take_resting()
    return int(str(caught.value).partition(" needs ")[2].partition(" ")[0].replace(",", ""))


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    origin = grow(tmp_path / "origin", {"big": os.urandom(1 << 20)})
    os.sync()
    previous, _set = earlier(origin)
    # No room is free on the kernel's own file system.
    full = Path("/proc/flatnet-copy")
    effects = Effects()

    whole = needs(TreeCopy(effects, origin, full))
    assert MARGIN + (1 << 20) <= whole < MARGIN + (2 << 20)
    assert whole - needs(TreeCopy(effects, origin, full, previous)) >= 1 << 20
    os.utime(origin / "big")
    assert needs(TreeCopy(effects, origin, full, previous)) == whole
    assert effects.log == []


@pytest.mark.parametrize(
    ("words", "error", "named"),
    [
        ("rsync: write failed: No space left on device (28)", DiskFull, r"bytes free while .*origin was copied: make"),
        ("rsync: connection unexpectedly closed", CommandFailed, "with 11, expected 0 or 24: rsync: connection"),
    ],
)
def test_a_program_that_fails_is_named(
    origin: Path, tmp_path: Path, add_program: AddProgram, words: str, error: type[Exception], named: str
) -> None:
    # A disk that runs full under the real one needs a disk: the faults do that.
    add_program("rsync", f'echo "{words}" >&2; exit 11\n')

    with pytest.raises(error, match=named):
        TreeCopy(Effects(), origin, tmp_path / "copy").take_resting()


@pytest.mark.parametrize(
    ("number", "error", "named"),
    [
        (errno.ENOSPC, DiskFull, r"bytes free while .*origin was copied: make room there and run again"),
        (errno.ECHILD, ChildProcessError, "No child"),
    ],
)
def test_what_ends_our_own_copying_is_named(
    origin: Path, tmp_path: Path, number: int, error: type[Exception], named: str
) -> None:
    def watch(effect: Effect) -> None:
        if effect.kind == "copies-begun":
            raise OSError(number, os.strerror(number))

    with pytest.raises(error, match=named):
        TreeCopy(Effects(watch), origin, tmp_path / "copy").take_resting()


def test_a_copy_ends_with_its_run(origin: Path, tmp_path: Path, add_program: AddProgram) -> None:
    followed = tmp_path / "followed"
    followed.touch()
    # It ends by itself where its output is a pipe that nobody reads any more.
    add_program("rsync", f"exec tail -f '{followed}' >/dev/null\n")

    process = in_another_process(TreeCopy(Effects(), origin, tmp_path / "copy").take_resting)
    until(lambda: commands_on(followed) == [b"tail"])
    process.kill()
    process.join()

    until(lambda: not commands_on(followed))


def without(origin: Path, *names: str) -> dict[str, tuple[object, ...]]:
    """What a copy has to keep of a tree, without these names directly below it."""
    return {path: kept for path, kept in content(origin).items() if path.partition("/")[0] not in names}


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("exclude", [(), (ODD[0], "empty", "*", "\udcff d"), ("[x]", "none")])
def test_names_that_are_left_out_are_in_no_copy(
    origin: Path, tmp_path: Path, exclude: tuple[str, ...], linked: bool, live: bool
) -> None:
    origin.chmod(0o711)
    grow(origin, {f"-dash d/{name}": b"not directly below" for name in exclude})
    previous = earlier(origin)[0] if linked else None
    copy = TreeCopy(Effects(), origin, tmp_path / "copy", previous, exclude)
    copied = copy.take_live(rest()) if live else copy.take_resting()

    assert content(tmp_path / "copy") == without(origin, *exclude)
    assert {name: item.identity() for name, item in copied.listing.items()} == without(origin, *exclude)
    assert (tmp_path / "copy").stat().st_mode & 0o7777 == 0o711
    assert copied.changed_while_copied == 0


def test_what_is_left_out_may_change_at_any_time(origin: Path, tmp_path: Path) -> None:
    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        rewrite(origin / "cache/file")
        grow(origin, {"cache/new": b"new", "late cache/new": b"new", "journal 2": b"new"})
        yield

    grow(origin, {"cache/file": b"words"})
    copy = TreeCopy(Effects(), origin, tmp_path / "copy", exclude=["cache", "late cache"])
    copy.take_live(rest_after_changes())

    assert content(tmp_path / "copy") == without(origin, "cache", "late cache")


def test_everything_may_be_left_out(tmp_path: Path) -> None:
    origin = grow(tmp_path / "origin", {"cache": b"words"})
    TreeCopy(Effects(), origin, tmp_path / "copy", exclude=["cache"]).take_resting()

    assert content(tmp_path / "copy") == without(origin, "cache")


@pytest.mark.parametrize("touched_counts", [True, False])
def test_names_of_one_file_are_shared_together_or_not_at_all(
    origin: Path, tmp_path: Path, touched_counts: bool
) -> None:
    for name in ("one", "two", "part"):
        grow(origin, {name: b"same words"})
        os.utime(origin / name, ns=(0, 1234567891))
    (origin / "parted").hardlink_to(origin / "part")
    next_tick()
    previous, _set = earlier(origin)
    for name, kept in (("two", "one"), ("parted", "part")):
        (origin / name).unlink()
        shutil.copy2(origin / kept, origin / name)
    (origin / "two").unlink()
    (origin / "two").hardlink_to(origin / "one")
    copied = TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting(touched_counts)

    assert content(tmp_path / "copy") == content(origin)
    assert {name: item.identity() for name, item in copied.listing.items()} == content(origin)
    assert not shared(tmp_path / "copy", previous.path) & {"one", "two", "part", "parted"}
    assert {"journal", "same"} <= shared(tmp_path / "copy", previous.path)


@pytest.mark.parametrize("touched_counts", [True, False])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda copy: (copy / "other").chmod(0o666),
        lambda copy: os.utime(copy / "other", ns=(0, 5)),
        lambda copy: in_secret(copy, lambda path: (path / "other").unlink()),
        lambda copy: set_attribute(copy / "other"),
    ],
)
def test_a_file_that_is_not_as_the_earlier_copy_had_it_is_copied_afresh(
    origin: Path, tmp_path: Path, touched_counts: bool, spoil: Callable[[Path], object]
) -> None:
    previous, _set = earlier(origin)
    spoil(previous.path)
    TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting(touched_counts)

    assert content(tmp_path / "copy") == content(origin)


def test_an_attribute_under_the_same_size_and_time_is_not_shared_away(origin: Path, tmp_path: Path) -> None:
    previous, _set = earlier(origin)
    set_attribute(origin / "other")
    TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting(touched_counts=False)

    assert content(tmp_path / "copy") == content(origin)


def test_an_earlier_copy_on_another_disk_is_no_failure(origin: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == tmp_path.stat().st_dev:
            pytest.skip(f"{elsewhere} and {tmp_path} are on one file system")
        earlier_copy = TreeCopy(Effects(), origin, Path(elsewhere) / "earlier").take_resting()
        previous = Previous(Path(elsewhere) / "earlier", earlier_copy.listing)
        copied = TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_resting()

    assert content(tmp_path / "copy") == content(origin)
    assert (copied.linked_files, copied.linked_bytes) == (0, 0)


def test_what_changes_after_it_was_linked_is_read_again(origin: Path, tmp_path: Path) -> None:
    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        rewrite(origin / "journal")
        yield

    previous, first = earlier(origin)
    copied = TreeCopy(Effects(), origin, tmp_path / "copy", previous).take_live(rest_after_changes())

    assert {name: item.identity() for name, item in copied.listing.items()} == content(origin)
    assert copied.linked_files == tree.totals(first.listing).files - 2


def test_a_directory_that_becomes_a_link_to_another_does_not_bring_its_files(origin: Path, tmp_path: Path) -> None:
    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        (origin / "was").rename(origin / "is")
        (origin / "was").symlink_to("is")
        yield

    grow(origin, {"was/file": b"words"})
    TreeCopy(Effects(), origin, tmp_path / "copy").take_live(rest_after_changes())

    assert content(tmp_path / "copy") == content(origin)


def test_names_that_vanish_before_find_gets_there_do_not_hide_others(
    origin: Path, tmp_path: Path, add_program: AddProgram
) -> None:
    # The real find ends so where a name that it has read is gone; here it misses all the others as well.
    add_program("find", "echo \"find: 'x': No such file or directory\" >&2; exit 1\n")

    @contextmanager
    def rest_after_changes() -> Iterator[None]:
        rewrite(origin / "journal")
        (origin / "other").unlink()
        grow(origin, {"new": b"new"})
        yield

    TreeCopy(Effects(), origin, tmp_path / "copy").take_live(rest_after_changes())

    assert content(tmp_path / "copy") == content(origin)


def test_what_changes_just_before_or_after_find_sees_it_is_not_missed(
    origin: Path, tmp_path: Path, add_program: AddProgram
) -> None:
    script = f"""first=$(mkdir '{tmp_path}/once' 2>&- && echo first)
if [ "$first" ]; then echo longer than it was >'{origin}/journal'; fi
'{shutil.which("find")}' "$@"
if [ "$first" ]; then echo longer than it was before >'{origin}/other'; fi
"""
    add_program("find", script)
    copied = TreeCopy(Effects(), origin, tmp_path / "copy").take_live(rest())

    assert content(tmp_path / "copy") == content(origin)
    assert copied.listing["other"].origin is None


def test_a_copy_may_be_read_back(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "sha256", lambda path: os.path.basename(path).hex())
    copied = TreeCopy(Effects(), origin, tmp_path / "copy").take_resting(read_back=True)

    assert copied.listing["other"].sha256 == b"other".hex()


def test_what_was_copied_is_not_read_again_unless_it_was_touched_since(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    read: list[str] = []

    def noted(path: bytes) -> str:
        read.append(os.path.relpath(os.fsdecode(path), copy))
        return summed(path)

    def spoil(effect: Effect) -> None:
        if effect.kind == "run":
            # As a bad disk does, or somebody who puts the time back.
            rewrite(copy / "other")

    summed = tree.sha256
    monkeypatch.setattr(tree, "sha256", noted)
    # A name elsewhere makes a file no less its own here.
    (tmp_path / "elsewhere").hardlink_to(origin / ODD[0])
    copied = TreeCopy(Effects(spoil), origin, copy).take_resting()

    assert sorted(read) == ["journal", "other", "sparse"]
    assert copied.listing["other"].sha256 == summed(os.fsencode(copy / "other"))
    assert copied.listing[ODD[0]].sha256 == summed(os.fsencode(origin / ODD[0]))
