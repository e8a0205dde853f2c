# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup set is on disk: which names count, what can be read, and sums that ``sha256sum`` takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, SetDamaged, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Manifest, Probe

from tests.unit.plugins.module_utils.conftest import Backups, a_source, grow

pytestmark = pytest.mark.unit

ID = "20261124T021500Z"
LATER = "20261125T021500Z"
DIGEST = hashlib.sha256(b"words").hexdigest()
ODD_NAMES = [b"plain", "日本 ".encode(), b"-dash", b"new\nline", b"back\\slash", b"\\n", b"car\rriage", b"not\xffutf8"]


@pytest.mark.parametrize("name", ["prometheus", "volumes/app_notes_data", "node-1/A.b-c_D", "v/0"])
def test_a_source_may_be_named(name: str) -> None:
    assert sets.check_source_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "/etc",
            "../sets",
            "volumes/..",
            "volumes/../..",
            "volumes/.hidden",
            "volumes/a/b",
            "volumes/",
        ),
        *(
            "listings",
            "listings/a",
            "volumes//a",
            "Volumes/a",
            ".sources",
            "-rf",
            "a\n",
            "volumes/a\n",
            "volumes/a b",
            "volumes/日本",
            "a\0",
        ),
    ],
)
def test_a_source_cannot_leave_its_set(name: str) -> None:
    with pytest.raises(UsageError, match="was expected to be named like"):
        sets.check_source_name(name)


def test_only_a_whole_name_is_a_set(tmp_path: Path) -> None:
    others = [f"{ID}.set-aside", f".{ID}.partial", f".removed-{ID}", "2026", f"x{ID}", "before-restore"]
    for name in [LATER, ID, *others]:
        (tmp_path / name).mkdir()
    (tmp_path / "20261126T021500Z").touch()

    assert Area(tmp_path).ids() == [ID, LATER]
    assert Area(tmp_path).partials() == [ID]
    assert Area(tmp_path, "before-restore").ids() == []


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    area = Area(tmp_path / "none")

    assert (area.ids(), area.partials(), area.good_ids(), area.damaged(ID)) == ([], [], [], frozenset())


def test_a_set_is_found_by_name_and_the_newest_as_latest(backups: Backups) -> None:
    for name in (LATER, ID):
        backups.plant(name)

    assert backups.area().find(ID) == ID
    assert backups.area().find("latest") == LATER


def test_a_set_of_some_sources_is_the_latest_only_where_there_is_no_other(backups: Backups) -> None:
    backups.plant(LATER, purpose=sets.PARTLY)
    assert backups.area().find("latest") == LATER
    backups.plant(ID)

    assert backups.area().find("latest") == ID
    (backups.area().path(ID) / sets.MANIFEST).write_text("{")
    assert backups.area().find("latest") == ID


@pytest.mark.parametrize("wanted", ["latest", "../etc", f"{ID}.set-aside", "20261126T021500Z"])
def test_a_set_that_is_not_there_is_named_with_those_that_are(backups: Backups, wanted: str) -> None:
    with pytest.raises(NoSuchSet, match="which holds no set"):
        backups.area().find(wanted)
    backups.plant(ID)
    if wanted != "latest":
        with pytest.raises(NoSuchSet, match=f"set '{wanted}' was expected .* holds {ID}"):
            backups.area().find(wanted)


def test_a_manifest_comes_back_as_it_was(backups: Backups) -> None:
    probes = (Probe('count({__name__=~".+"})', 1715947200.0, "9"),)
    source = a_source("prometheus", containers=("日本",), probes=probes, guard={"forced": None}, facts={"blocks": 7})
    manifest = Manifest(ID, "sets", "r", "backup", "東京", "wsl1", "t", 1.0, 2.0, None, {"prometheus": source})

    assert sets.load_manifest(sets.dump(manifest)) == manifest
    assert backups.area().manifest(backups.plant(ID, source, a_source(bytes=24)).name).bytes == 1024


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"format": "1"},
        {"run": ...},
        {"format": ...},
        {"sources": ...},
        {"surprise": 1},
        {"sources": {"prometheus": None}},
        {"sources": {"prometheus": {"name": "prometheus"}}},
        {"sources": {"prometheus": {"probes": [{"question": "up"}], "containers": []}}},
    ],
    ids=str,
)
def test_a_manifest_of_another_kind_is_damage(backups: Backups, change: dict[str, object]) -> None:
    path = backups.plant(ID) / sets.MANIFEST
    stored = {**json.loads(path.read_bytes()), **change}
    path.write_text(json.dumps({name: value for name, value in stored.items() if value is not ...}), "utf-8")

    with pytest.raises(SetDamaged, match=rf"{path} was expected to be the manifest of a set in format 1"):
        backups.area().manifest(ID)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"7", b'"words"', b"\xff\xfe", b"\0" * 512])
def test_garbage_is_damage(backups: Backups, content: bytes) -> None:
    path = backups.plant(ID, a_source("prometheus"))
    backups.plant(LATER)
    grow(path, {"manifest.json": content, "listings/prometheus.jsonl": content or b"\n"})

    with pytest.raises(SetDamaged, match="use another set"):
        backups.area().manifest(ID)
    with pytest.raises(SetDamaged, match="use another set"):
        sets.load_listing(path, "prometheus")
    assert backups.area().good_ids() == [LATER]


@pytest.mark.parametrize("sources", [[], None, "words", {"prometheus": None}, {"prometheus": {"probes": [[]]}}])
def test_a_manifest_of_another_shape_is_damage(backups: Backups, sources: object) -> None:
    manifest = backups.plant(ID, a_source("prometheus")) / sets.MANIFEST
    backups.plant(LATER)
    stored = {**json.loads(manifest.read_bytes()), "sources": sources}
    grow(manifest.parent, {sets.MANIFEST: json.dumps(stored).encode()})

    with pytest.raises(SetDamaged, match=rf"{manifest} was expected to be the manifest .*: use another set"):
        backups.area().manifest(ID)
    assert backups.area().good_ids() == [LATER]


@pytest.mark.parametrize("noted", [b"", b"{", b"[]", b"7", b'{"20261124T021500Z": 7}', b"\xff"])
def test_a_note_of_damage_that_cannot_be_read_has_a_way_out(backups: Backups, noted: bytes) -> None:
    backups.plant(ID)
    grow(backups.root, {sets.DAMAGE: noted})

    words = rf"{backups.root}/{sets.DAMAGE} was expected to say .* remove it, and verify the sets again"
    with pytest.raises(SetDamaged, match=words):
        backups.area().damaged(ID)
    with pytest.raises(SetDamaged, match=words):
        backups.area().good_ids()


def test_a_link_to_a_set_is_no_set(backups: Backups, tmp_path: Path) -> None:
    moved = backups.plant(ID).rename(tmp_path / "another disk")
    backups.area().path(ID).symlink_to(moved)

    assert (backups.area().ids(), backups.area().good_ids()) == ([], [])


def test_a_file_that_is_missing_is_damage(backups: Backups) -> None:
    path = backups.plant(ID)
    with pytest.raises(SetDamaged, match="No such file"):
        sets.load_listing(path, "prometheus")
    (path / sets.MANIFEST).unlink()
    with pytest.raises(SetDamaged, match="No such file"):
        backups.area().manifest(ID)


def test_a_set_with_a_damaged_file_is_not_good(backups: Backups) -> None:
    for name in (ID, LATER):
        backups.plant(name)
    grow(backups.root, {sets.DAMAGE: json.dumps({ID: ["volumes/notes/journal"]}).encode()})

    assert backups.area().damaged(ID) == {"volumes/notes/journal"}
    assert backups.area().damaged(LATER) == frozenset()
    assert backups.area().good_ids() == [LATER]


def test_the_two_areas_know_nothing_of_each_other(backups: Backups) -> None:
    backups.plant(ID)
    backups.plant(LATER, area="before-restore")
    grow(backups.root, {sets.DAMAGE: json.dumps({LATER: ["x"]}).encode()})

    assert backups.area().ids() == [ID]
    assert backups.area("before-restore").good_ids() == [LATER]


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"content of " + name)
    argv = [b"sha256sum", b"--", *ODD_NAMES]
    printed = subprocess.run(argv, cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout

    ours = {tree.text(name): tree.sha256(os.fsencode(tmp_path / os.fsdecode(name))) for name in ODD_NAMES}
    assert b"".join(sets.sum_line(name, digest) for name, digest in ours.items()) == printed
    assert sets.load_sums(printed) == ours


def test_sums_are_verified_by_hand(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    lines = [sets.sum_line(tree.text(name), hashlib.sha256(name).hexdigest()) for name in ODD_NAMES]
    (tmp_path / "SHA256SUMS").write_bytes(b"".join(lines))
    argv = ["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"]

    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "new\nline").write_bytes(b"flipped")
    failed = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)
    assert (failed.returncode, failed.stdout) == (1, b"\\new\\nline: FAILED\n")


@pytest.mark.parametrize(
    "line",
    [
        "",
        DIGEST,
        f"{DIGEST} plain",
        f"{DIGEST} *plain",
        f"{DIGEST[:-1]}  plain",
        f"{DIGEST.upper()}  plain",
        f"{DIGEST}  ",
        "manifest.json",
    ],
)
def test_a_line_that_is_no_sum_is_named(line: str) -> None:
    good = sets.sum_line("manifest.json", DIGEST)
    with pytest.raises(ValueError, match="SHA256SUMS has a line that is not a sum"):
        sets.load_sums(good + line.encode() + b"\n")


def test_a_cut_file_of_sums_is_named() -> None:
    with pytest.raises(ValueError, match="not a sum"):
        sets.load_sums(sets.sum_line("manifest.json", DIGEST)[:-1])


def test_what_is_in_a_partial_set_is_read_back(backups: Backups) -> None:
    opening = backups.open()
    backups.enter(
        a_source("prometheus"), a_source("volumes/x.json"), a_source("volumes/b", probes=(Probe("q", 1, "a"),))
    )
    partial = backups.area().partial(opening.id)
    grow(partial, {".sources/.prometheus.json.new": b"half"})

    assert sets.load_opening(partial) == opening
    assert sets.load_sources(partial) == {
        "prometheus": a_source("prometheus"),
        "volumes/x.json": a_source("volumes/x.json"),
        "volumes/b": a_source("volumes/b", probes=(Probe("q", 1, "a"),)),
    }
