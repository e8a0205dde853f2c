# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file is copied with all that belongs to it, or nothing of it lies there afterwards."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.file_copy import BUFFER, FileCopy, copy_file

from tests.unit.plugins.module_utils.conftest import on_a_small_disk

pytestmark = pytest.mark.unit

FILL_A_DISK = """
import os
import sys
from pathlib import Path
from ansible_collections.flatnet.ops.plugins.module_utils.file_copy import copy_file

disk, origin = map(Path, sys.argv[1:])
try:
    copy_file(os.fsencode(origin), os.fsencode(disk / "copy"))
except OSError as error:
    print(error.errno, os.listdir(disk))
"""


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A file of more than one part, older than now, that not everybody may read."""
    path = tmp_path / "origin"
    path.write_bytes(os.urandom(2 * BUFFER + 1))
    path.chmod(0o640)
    os.utime(path, ns=(1234567891, 1234567892))
    return path


def copied(origin: Path, copy: Path) -> FileCopy | None:
    """One copy."""
    return copy_file(os.fsencode(origin), os.fsencode(copy))


def test_a_copy_has_all_that_its_file_has_and_is_summed_up(origin: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    made = copied(origin, copy)

    assert made == FileCopy(tree.change_mark(copy.stat()), hashlib.sha256(origin.read_bytes()).hexdigest())
    assert copy.read_bytes() == origin.read_bytes()
    assert not tree.unlike(origin.stat(), copy.stat())


@pytest.mark.parametrize("size", [0, 1, BUFFER])
def test_a_file_of_any_size_is_whole(tmp_path: Path, size: int) -> None:
    origin, copy = tmp_path / "origin", tmp_path / "copy"
    origin.write_bytes(b"x" * size)

    assert copied(origin, copy) is not None
    assert copy.read_bytes() == b"x" * size


def test_what_an_owner_may_and_a_program_can_do_is_kept(origin: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(origin, 12345, 54321)
    origin.chmod(0o6755)
    try:
        os.setxattr(origin, "user.flatnet", b"\0\xff")
        subprocess.run(["setfacl", "--modify", "user:1:rw", origin], check=True)
        subprocess.run(["setcap", "cap_net_raw=ep", origin], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no attributes, ACLs and capabilities on the file system of {tmp_path}: {error}")
    copied(origin, tmp_path / "copy")

    assert not tree.unlike(origin.stat(), (tmp_path / "copy").stat())
    kept = tree.xattrs(os.fsencode(tmp_path / "copy"))
    assert set(kept or {}) >= {"user.flatnet", "system.posix_acl_access", "security.capability"}
    assert kept == tree.xattrs(os.fsencode(origin))


def test_attributes_keep_their_order(origin: Path, tmp_path: Path) -> None:
    names = [f"user.flatnet{number}" for number in (3, 1, 4, 5, 2, 6)]
    try:
        for name in names:
            os.setxattr(origin, name, b"1")
    except OSError as error:
        pytest.skip(f"no extended attributes on the file system of {tmp_path}: {error}")
    copied(origin, tmp_path / "copy")

    assert os.listxattr(tmp_path / "copy") == os.listxattr(origin)


def test_a_copy_gets_no_acl_from_its_directory(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    argv = ["setfacl", "--default", "--modify", "user:1:rwx", str(tmp_path / "shared")]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip(f"no ACLs on the file system of {tmp_path}")
    copied(origin, tmp_path / "shared/copy")

    assert not tree.unlike(origin.stat(), (tmp_path / "shared/copy").stat())
    assert tree.xattrs(os.fsencode(tmp_path / "shared/copy")) == tree.xattrs(os.fsencode(origin))


def a_pipe(path: Path) -> None:
    """A name that keeps whoever opens it waiting."""
    path.unlink()
    os.mkfifo(path)


def a_link(path: Path) -> None:
    """A name that leads elsewhere."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_file_with_holes(path: Path) -> None:
    """A file that takes less room than it is long."""
    path.write_bytes(b"")
    os.truncate(path, 8 << 20)


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        a_pipe,
        a_link,
        a_file_with_holes,
    ],
)
def test_what_is_no_plain_file_is_left_to_others(
    origin: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    change(origin)

    assert copied(origin, tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()


def test_a_name_that_is_taken_is_not_written_to(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("words")

    assert copied(origin, tmp_path / "copy") is None
    assert (tmp_path / "copy").read_text("utf-8") == "words"


def test_what_fails_half_way_leaves_nothing(origin: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BUFFER, hard))
    try:
        made = copied(origin, tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert made is None
    assert not (tmp_path / "copy").exists()


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "origin").write_bytes(os.urandom(2 << 20))
    (tmp_path / "disk").mkdir()

    assert on_a_small_disk(FILL_A_DISK, tmp_path / "disk", tmp_path / "origin") == f"{errno.ENOSPC} []\n"


def test_who_goes_on_writing_is_not_followed(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_and_grow(copy: int, part: bytes) -> int:
        with origin.open("ab") as file:
            file.write(b"x" * BUFFER)
        return write(copy, part)

    write = os.write
    size = origin.stat().st_size
    monkeypatch.setattr(os, "write", write_and_grow)
    copied(origin, tmp_path / "copy")

    assert (tmp_path / "copy").stat().st_size == size
