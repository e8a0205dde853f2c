# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trees: what changed between two looks, what a copy must share, and the listing that keeps every name."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.tree import Item, Totals

from tests.unit.plugins.module_utils.conftest import grow, in_secret, next_tick, rewrite, unprivileged

pytestmark = pytest.mark.unit

LIST_UNREADABLE = """
import json, sys
from pathlib import Path
from ansible_collections.flatnet.ops.plugins.module_utils import tree

unreadable = {}
listing = tree.list_tree(Path(sys.argv[1]), {}, unreadable=unreadable)
print(json.dumps(unreadable))
print(json.dumps([name for name, item in listing.items() if item.type == "file" and item.sha256 is None]))
try:
    tree.list_tree(Path(sys.argv[1]), {})
except PermissionError as error:
    print(str(error).partition(":")[0])
"""
LONG_AGO = 0
FAR_AHEAD = 1 << 62
ITEM = Item("a", "file", 0o644, 1000, 1000, 5, 17, "ab" * 32, None, {"user.x": "eA=="}, 0, "1:2")


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """A tree with one name of every kind that needs no privilege."""
    root = grow(tmp_path / "varied", {"file": b"words", "deep/er/file": b"more words", "empty": b""})
    (root / "deep").chmod(0o750)
    (root / "same").hardlink_to(root / "file")
    (root / "points").symlink_to("deep")
    (root / "dangling").symlink_to("nowhere\n")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    return root


def test_a_scan_sees_every_name_and_follows_nothing(varied: Path) -> None:
    assert set(tree.scan(varied)) == {
        *(b".", b"file", b"same", b"empty", b"points", b"dangling", b"fifo", b"socket"),
        *(b"deep", b"deep/er", b"deep/er/file"),
    }


def test_a_scan_leaves_out_names_directly_below_the_root_alone(varied: Path) -> None:
    grow(varied, {"deep/empty": b"", "not\udcffutf8/below": b""})

    left_out = {b"empty", b"not\xffutf8", b"not\xffutf8/below"}
    assert set(tree.scan(varied, ["empty", "not\udcffutf8", "er"])) == set(tree.scan(varied)) - left_out


@contextmanager
def vanishing(path: Path, call: str, nth: int) -> Iterator[None]:
    """Let a directory vanish just before the so many-th call of this function."""
    calls: list[str] = []

    def watch(_frame: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == call:
            calls.append(call)
            if len(calls) == nth:
                shutil.rmtree(path)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not path.exists()


@pytest.mark.parametrize(("call", "nth"), [("stat", 1), ("stat", 2), ("scandir", 2), ("scandir", 3)])
def test_a_scan_bears_that_names_vanish(tmp_path: Path, call: str, nth: int) -> None:
    root = grow(tmp_path / "root", {"vanishing/deep/file": b"words"})
    with vanishing(root / "vanishing", call, nth):
        found = tree.scan(root)

    assert b"." in found
    assert b"vanishing/deep/file" not in found


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree.scan(tmp_path / "none")
    with vanishing(grow(tmp_path / "root", {}), "scandir", 1), pytest.raises(FileNotFoundError):
        tree.scan(tmp_path / "root")


def look_again(root: Path, change: Callable[[Path], object], began_ns: int) -> tree.Changes:
    """What a second look finds after a change, of a tree whose first look is its copy."""
    before = tree.scan(root)
    next_tick()
    change(root)
    return tree.changes(before, tree.scan(root), before, began_ns)


def swap_kinds(root: Path) -> None:
    (root / "deep/er/file").unlink()
    (root / "deep/er").rmdir()
    (root / "deep/er").write_bytes(b"a file now")
    (root / "empty").unlink()
    (root / "empty").mkdir()


@pytest.mark.parametrize(
    ("change", "changed", "superfluous"),
    [
        (lambda _root: None, set(), set()),
        (lambda root: rewrite(root / "file"), {b"file", b"same"}, set()),
        (lambda root: (root / "file").chmod(0o600), {b"file", b"same"}, set()),
        (lambda root: (root / "new").touch(), {b".", b"new"}, set()),
        (lambda root: (root / "empty").unlink(), {b"."}, {b"empty"}),
        (lambda root: (root / "empty").rename(root / "deep" / "empty"), {b".", b"deep", b"deep/empty"}, {b"empty"}),
        (swap_kinds, {b".", b"deep", b"deep/er", b"empty"}, {b"deep/er", b"deep/er/file", b"empty"}),
    ],
)
def test_changes_are_found_by_change_time(
    varied: Path, change: Callable[[Path], object], changed: set[bytes], superfluous: set[bytes]
) -> None:
    found = look_again(varied, change, FAR_AHEAD)

    assert (set(found.changed), set(found.superfluous)) == (changed, superfluous)


def test_a_change_in_the_same_tick_as_the_first_look_is_not_missed(varied: Path) -> None:
    there = tree.scan(varied)
    youngest = max(status.st_ctime_ns for status in there.values())

    def found(began_ns: int) -> frozenset[bytes]:
        return tree.changes(there, there, there, began_ns).changed

    assert found(youngest + tree.RACY_NS + 1) == frozenset()
    assert found(youngest + tree.RACY_NS)
    assert found(LONG_AGO) == set(there)


def test_a_copy_of_what_was_there_between_the_looks_is_put_right(varied: Path) -> None:
    there = tree.scan(varied)
    copy = {**there, b"vanished": there[b"file"], b"fifo": there[b"deep"]}
    del copy[b"empty"]

    found = tree.changes(there, there, copy, FAR_AHEAD)
    assert (set(found.changed), set(found.superfluous)) == ({b"empty", b"fifo"}, {b"vanished", b"fifo"})


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda copy: os.truncate(copy / "file", 2), {b"file", b"same"}),
        (lambda copy: (copy / "deep").chmod(0o700), {b"deep"}),
        (lambda copy: (copy / "empty").chmod(0o600), {b"empty"}),
        (lambda copy: os.utime(copy / "deep/er/file", ns=(0, 5)), {b"deep/er/file"}),
        (lambda copy: os.utime(copy / "points", ns=(0, 5), follow_symlinks=False), {b"points"}),
        (lambda copy: os.chown(copy / "empty", 12345, 12345), {b"empty"}),
    ],
)
def test_what_is_unlike_its_copy_is_copied_again(
    varied: Path, change: Callable[[Path], object], changed: set[bytes]
) -> None:
    there = tree.scan(varied)
    try:
        change(varied)
    except PermissionError as error:
        pytest.skip(f"only root may give files away: {error}")

    found = tree.changes(there, there, tree.scan(varied), FAR_AHEAD)
    assert (set(found.changed), set(found.superfluous)) == (changed, set())


def test_names_come_with_the_directories_above_them() -> None:
    assert tree.with_parents([b"a/b/c", b"a/d", b"."]) == {b".", b"a", b"a/b", b"a/b/c", b"a/d"}
    assert tree.with_parents([]) == {b"."}


def test_a_file_is_known_with_all_its_names(varied: Path) -> None:
    names = sorted(map(sorted, tree.names_of_files(tree.scan(varied)).values()))

    assert names == [[b"deep/er/file"], [b"empty"], [b"file", b"same"]]


@pytest.mark.parametrize(
    ("change", "different"),
    [
        (lambda _copy: None, []),
        (lambda copy: (copy / "deep").chmod(0o700), [b"deep"]),
        (lambda copy: os.utime(copy / "file", ns=(0, 5)), [b"file", b"same"]),
        (lambda copy: os.utime(copy / "deep", ns=(0, 5)), [b"deep"]),
        (lambda copy: in_secret(copy / "empty", lambda path: path.write_bytes(b"1")), [b"empty"]),
        (lambda copy: in_secret(copy, lambda path: (path / "empty").unlink()), [b"empty"]),
        (lambda copy: in_secret(copy, lambda path: (path / "more").touch()), [b"more"]),
        (lambda copy: in_secret(copy, lambda path: (path / "empty").rename(path / "f")), [b"empty", b"f"]),
    ],
)
def test_a_copy_that_is_not_like_its_source_is_named(
    varied: Path, change: Callable[[Path], object], different: list[bytes]
) -> None:
    source = tree.scan(varied)
    change(varied)

    assert tree.differences(source, tree.scan(varied)) == different


def test_a_listing_holds_every_name_with_all_its_metadata(varied: Path) -> None:
    (varied / "file").chmod(0o4711)
    os.utime(varied / "file", ns=(1, 1795486499120000001))
    listing = tree.list_tree(varied, {})
    file = listing["file"]

    assert list(listing) == sorted(listing, key=tree.raw)
    assert (file.type, file.mode, file.size, file.mtime_ns) == ("file", 0o4711, 5, 1795486499120000001)
    assert (file.uid, file.gid, file.origin) == (os.getuid(), os.getgid(), None)
    assert file.sha256 == hashlib.sha256(b"words").hexdigest()
    assert listing["same"] == replace(file, path="same")
    assert file.link is not None
    assert listing["deep/er/file"].link is None
    assert (listing["deep"].type, listing["deep"].mode, listing["deep"].size) == ("directory", 0o750, 0)
    assert (listing["points"].target, listing["dangling"].target) == ("deep", "nowhere\n")
    assert [listing[name].type for name in ("points", "fifo", "socket")] == ["symlink", "fifo", "socket"]
    assert {name for name, item in listing.items() if item.sha256} == {"file", "same", "empty", "deep/er/file"}


def test_names_of_one_file_are_numbered_the_same_in_every_copy(tmp_path: Path) -> None:
    for order in (("a", "b"), ("b", "a")):
        root = grow(tmp_path / "".join(order), {name: name.encode() for name in order})
        for name in order:
            (root / f"{name}-again").hardlink_to(root / name)
        (root / "outside").hardlink_to(grow(tmp_path / f"of-{order[0]}", {"x": b""}) / "x")
        links = {name: item.link for name, item in tree.list_tree(root, {}).items()}
        assert links == {".": None, "a": 0, "a-again": 0, "b": 1, "b-again": 1, "outside": None}


def test_a_sum_that_is_known_is_not_read_again(varied: Path) -> None:
    known = {b"file": "0" * 64}
    listing = tree.list_tree(varied, known)

    assert listing["file"].sha256 == "0" * 64
    assert listing["same"].sha256 == hashlib.sha256(b"words").hexdigest()


def test_a_file_keeps_where_it_came_from(varied: Path) -> None:
    origins = tree.scan(varied)
    listing = tree.list_tree(varied, {}, origins)

    status = (varied / "file").stat()
    assert listing["file"].origin == f"{status.st_ino}:{status.st_ctime_ns}"
    assert listing["deep"].origin is None
    next_tick()
    rewrite(varied / "file")
    assert tree.change_mark((varied / "file").stat()) != listing["file"].origin


def test_extended_attributes_are_listed(varied: Path) -> None:
    try:
        os.setxattr(varied / "file", "user.flatnet", b"\0\xff")
    except OSError as error:
        pytest.skip(f"the file system of {varied} keeps no extended attributes: {error}")

    assert (tree.list_tree(varied, {})["file"].xattrs or {})["user.flatnet"] == base64.b64encode(b"\0\xff").decode()


def test_the_label_of_a_host_does_not_belong_to_a_file() -> None:
    assert tree.kept({"security.selinux": "eA==", "security.capability": "eA==", "user.x": "eQ=="}) == {
        "security.capability": "eA==",
        "user.x": "eQ==",
    }
    assert tree.kept(None) == {}


def test_a_file_that_cannot_be_read_is_named_where_that_is_asked_for(varied: Path) -> None:
    (varied / "file").chmod(0)

    printed = unprivileged(LIST_UNREADABLE, varied)
    unreadable, missing, error = printed.splitlines()
    assert json.loads(unreadable).popitem() in [(name, "Permission denied") for name in ("file", "same")]
    assert json.loads(missing) == ["file", "same"]
    assert error == "[Errno 13] Permission denied"


def test_a_big_file_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * (tree.CHUNK // 256) + b"the rest"
    (tmp_path / "big").write_bytes(data)

    assert tree.sha256(os.fsencode(tmp_path / "big")) == hashlib.sha256(data).hexdigest()


def test_a_tree_of_which_every_core_reads_a_share_has_every_sum(tmp_path: Path) -> None:
    contents = {f"{number:02}": bytes([number]) * (1 << 21) for number in range(16)}
    listing = tree.list_tree(grow(tmp_path / "great", contents), {})

    sums = {name: item.sha256 for name, item in listing.items() if item.type == "file"}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_a_tree_in_numbers_counts_a_file_with_two_names_once(varied: Path) -> None:
    assert tree.count(varied) == Totals(files=4, entries=11, bytes=15)
    assert tree.totals(tree.list_tree(varied, {})) == Totals(files=4, entries=11, bytes=15)
    assert tree.totals({}) == Totals(0, 0, 0)


@pytest.mark.parametrize("name", [b"plain", "日本".encode(), b"new\nline", b"-", b"not\xffutf8", b"\\", b'"'])
def test_every_name_survives_the_listing(tmp_path: Path, name: bytes) -> None:
    grow(tmp_path, {os.fsdecode(name): b"words"})
    (tmp_path / "points").symlink_to(os.fsdecode(name))
    listing = tree.list_tree(tmp_path, {})
    dumped = tree.dump(listing)

    assert dumped.isascii()
    assert dumped.count(b"\n") == len(listing) == 3
    assert tree.load(dumped.splitlines()) == listing
    assert tree.raw(listing["points"].target or "") == name
    assert name in map(tree.raw, listing)


def test_keys_without_a_value_are_left_out() -> None:
    line = tree.dump({"a": replace(ITEM, sha256=None, xattrs=None, link=None, origin=None)})

    assert line == b'{"gid": 1000, "mode": 420, "mtime_ns": 17, "path": "a", "size": 5, "type": "file", "uid": 1000}\n'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "symlink"}, "has type symlink, expected file"),
        ({"sha256": "cd" * 32}, f"has sha256 {'cd' * 32}, expected {'ab' * 32}"),
        ({"size": 6}, "has size 6, expected 5"),
        ({"mode": 0o600}, "has mode 0o600, expected 0o644"),
        ({"uid": 0}, "has uid 0, expected 1000"),
        ({"gid": 0}, "has gid 0, expected 1000"),
        ({"mtime_ns": 18}, "has mtime_ns 18, expected 17"),
        ({"xattrs": {"user.x": "eQ=="}}, "has xattrs {'user.x': 'eQ=='}, expected {'user.x': 'eA=='}"),
        ({"link": 1}, "has link 1, expected 0"),
        ({"sha256": "cd" * 32, "size": 6, "mtime_ns": 18}, f"has sha256 {'cd' * 32}, expected {'ab' * 32}"),
    ],
)
def test_what_is_not_as_the_listing_says_is_named(change: dict[str, Any], words: str) -> None:
    assert list(tree.compare({"a": ITEM}, {"a": replace(ITEM, **change)})) == [("a", words)]


def test_a_link_that_points_elsewhere_is_named_on_one_line_of_text() -> None:
    link = replace(ITEM, type="symlink", target="not\udcffutf8")
    found = list(tree.compare({"a": link}, {"a": replace(link, target="new\nline")}))

    assert found == [("a", r"has target new\nline, expected not\xffutf8")]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("volumes/日本 é/a b", "volumes/日本 é/a b"),
        ("new\nline", r"new\nline"),
        ("car\rriage", r"car\rriage"),
        ("back\\slash", r"back\\slash"),
        (r"\x41", r"\\x41"),
        ("\udcff", r"\xff"),
        ("\udce3\udc81 cut off", r"\xe3\x81 cut off"),
    ],
)
def test_a_path_is_shown_as_text_of_one_line(path: str, shown: str) -> None:
    assert tree.shown(path) == shown
    assert tree.unshown(shown) == path


@pytest.mark.parametrize("words", [r"\q", r"\x4", r"\xZZ", "\\"])
def test_what_is_no_escape_of_ours_stays_as_it_is(words: str) -> None:
    assert tree.unshown(words) == words


def test_every_path_that_is_shown_can_be_told_from_every_other() -> None:
    parts = (b"\\", b"n", b"x", b"4", b"f", b"\n", b"\r", b"\xff", b"\xe3", b"\x81", b"\x82")
    shown: dict[str, bytes] = {}
    for letters in itertools.product(parts, repeat=4):
        path = b"".join(letters)
        words = tree.shown(tree.text(path))
        assert shown.setdefault(words, path) == path
        assert words.encode("utf-8").splitlines() == [words.encode("utf-8")]
        assert tree.raw(tree.unshown(words)) == path


@pytest.mark.parametrize("change", [{"origin": "3:4"}, {"origin": None}])
def test_where_it_came_from_is_no_difference(change: dict[str, Any]) -> None:
    assert list(tree.compare({"a": ITEM}, {"a": replace(ITEM, **change)})) == []


def test_missing_and_superfluous_names_are_named() -> None:
    found = list(tree.compare({"a": ITEM, "b": ITEM}, {"b": ITEM, "c": ITEM}))

    assert found == [("a", "is missing"), ("c", "does not belong there")]


def test_no_attributes_and_none_known_are_the_same() -> None:
    assert list(tree.compare({"a": replace(ITEM, xattrs=None)}, {"a": replace(ITEM, xattrs={})})) == []
