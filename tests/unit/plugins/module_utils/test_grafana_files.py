# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that every file system takes, never one for two objects; and a tree that is read back or refused."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, SetDamaged
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import (
    INDEX,
    NEXT_INDEX,
    Entry,
    Named,
    Tree,
    dump,
    dump_index,
    paths,
    sha256,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import Thing

pytestmark = pytest.mark.unit

RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³")}
TITLES = (
    *(
        "a",
        "A",
        "a/b",
        "a_b",
        "a\\b",
        "50%",
        "100% of 'it' \"quoted\"",
        " padded ",
        "padded",
        "dots...",
        "dots",
        "..",
        ".",
    ),
    *("", " ", "...", "CON", "con", "nul", "NUL.txt", "aux.json", "com1", "COM¹", "lpt9.x", "-rf", ".git", ".partial"),
    *("index.json", "not_saved", "organization", "a--b", "a--b--c", "a.json", "x:y*z?<>|", "tab\there", "line\nbreak"),
    *(
        "\x00",
        "\x7f",
        "\ud800",
        "\udfff lone",
        "監視",
        "運用 2",
        "ゲート/ウェイ",
        "が",
        "か\u3099",
        "é",
        "e\u0301",
        "🚀",
        "👩‍👩‍👧",
    ),
    *(
        "ß",
        "ss",
        "SS",
        "K",
        "\u212a",
        "x" * 300,
        "x" * 301,
        "監" * 100,
        "監" * 101,
        "x" * 78 + " . y",
        "General",
        "general",
    ),
)
KEYS = ("abc", "ABC", "aBc", "b--c", "c", "监", "u.json", "x" * 40, "a/b", "..", "con", "監" * 60)


def a_dashboard(key: str, title: str, folder: str = "") -> Named:
    """A dashboard."""
    return Named("dashboards", key, title, folder)


def a_folder(key: str, title: str, parent: str = "") -> Named:
    """A folder."""
    return Named("folders", key, title, parent)


def alike(text: str) -> str:
    """A path as a file system keeps it that tells neither case nor composition."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def expect_good(named: list[Named]) -> dict[tuple[str, str], str]:
    """The paths of objects, which are good on every file system."""
    made = paths(named)
    assert set(made) == {(one.kind, one.key) for one in named}
    files = {alike(path) for path in made.values()}
    assert len(files) == len(named)
    for path in made.values():
        parts = PurePosixPath(path).parts
        assert "/".join(parts) == path
        for part in parts:
            assert part.encode()[:256] == part.encode(), part
            assert part == part.strip(" ").rstrip(".")
            assert not set(part) & set('/\\:*?"<>|') and not any(ord(one) < 32 or ord(one) == 127 for one in part)
            assert part.split(".")[0].casefold() not in RESERVED, part
            assert part not in (".", "..") and part[0] not in ".-"
        for above in PurePosixPath(path).parents:
            assert alike(str(above)) not in files
    assert paths(reversed(named)) == made
    return made


def test_a_name_is_what_a_person_calls_the_object_and_what_makes_it_its_own() -> None:
    named = [
        a_folder("ops", "運用"),
        a_folder("gw", "Gateway", "ops"),
        a_dashboard("t1", "Traffic 50%/day", "gw"),
        a_dashboard("t2", "Traffic"),
        Named("rules", "gw/a b", "a b", "gw"),
        Named("teams", "SRE", "SRE", ""),
        Named("policies", "policies", "policies", ""),
        Named("organization", "organization", "organization", ""),
        Named("library_panels", "l", "CPU", "ops"),
        Named("folder_permissions", "gw", "Gateway", "ops"),
    ]

    assert list(paths(named).values()) == [
        "folders/運用--ops.json",
        "folders/Gateway--gw.json",
        "dashboards/運用--ops/Gateway--gw/Traffic 50%_day--t1.json",
        "dashboards/General/Traffic--t2.json",
        "alerting/rules/運用--ops/Gateway--gw/a b.json",
        "teams/SRE.json",
        "alerting/policies.json",
        "organization.json",
        "library_panels/運用--ops/CPU--l.json",
        "folder_permissions/Gateway--gw.json",
    ]


@pytest.mark.parametrize("kind", ["dashboards", "folders", "teams", "rules", "playlists"])
def test_whatever_a_title_is_its_file_has_a_name_of_its_own(kind: str) -> None:
    expect_good([Named(kind, title, title, "") for title in TITLES])


@pytest.mark.parametrize("title", TITLES)
def test_whatever_a_uid_is_its_file_has_a_name_of_its_own(title: str) -> None:
    expect_good([a_dashboard(key, title) for key in KEYS])


def test_titles_and_uids_go_together_in_every_way() -> None:
    pairs = itertools.product(TITLES[:30], KEYS)

    expect_good([a_dashboard(f"{number}{key}", title) for number, (title, key) in enumerate(pairs)])
    expect_good([a_dashboard("c", "a--b"), a_dashboard("b--c", "a"), a_dashboard("B--C", "A")])


@pytest.mark.parametrize("title", TITLES)
def test_whatever_a_folder_is_called_what_is_in_it_is_below_its_kind(title: str) -> None:
    folders = [a_folder(key, title, parent) for parent, key in itertools.pairwise(("", *KEYS))]
    made = expect_good([*folders, *(a_dashboard(f"in {key}", "x", key) for key in KEYS), a_dashboard("u", "u", "b--c")])

    assert {path.split("/")[0] for path in made.values()} == {"folders", "dashboards"}


def test_two_folders_never_share_a_directory() -> None:
    folders = [a_folder("abc", "Ops"), a_folder("ABC", "Ops"), a_folder("other", "Ops")]
    made = expect_good([*folders, *(a_dashboard(f"in {one.key}", "x", one.key) for one in folders)])

    assert len({alike(str(PurePosixPath(made["dashboards", f"in {one.key}"]).parent)) for one in folders}) == 3


@pytest.mark.parametrize(
    ("folders", "directory"),
    [
        ([("a", "A", "b"), ("b", "B", "a")], "B--b/A--a"),
        ([("a", "A", "a")], "A--a"),
        ([("a", "A", "missing")], "_--missing/A--a"),
        ([], "_--a"),
    ],
)
def test_parents_that_go_in_a_circle_or_are_missing_have_a_directory(
    folders: list[tuple[str, str, str]], directory: str
) -> None:
    made = paths([*(a_folder(*one) for one in folders), a_dashboard("x", "X", "a")])

    assert made["dashboards", "x"] == f"dashboards/{directory}/X--x.json"


def test_a_directory_never_has_the_name_of_a_file() -> None:
    expect_good([a_folder("x.json", "x.json"), a_dashboard("x", "x"), a_dashboard("y", "y", "x.json")])
    expect_good(
        [
            a_folder("p", "p"),
            a_folder("X.JSON", "X.JSON", "p"),
            a_dashboard("x", "x", "p"),
            a_dashboard("y", "y", "X.JSON"),
        ]
    )


def test_an_object_is_written_in_one_way_only() -> None:
    assert dump({"b": ["é", 1.5, None], "a": {"d": "\ud800", "c": {}}}) == (
        b'{\n  "a": {\n    "c": {},\n    "d": "\xed\xa0\x80"\n  },\n'
        b'  "b": [\n    "\xc3\xa9",\n    1.5,\n    null\n  ]\n}\n'
    )


def entry(kind: str, key: str, title: str, folder: str = "", **more: Any) -> Entry:
    """An entry whose file is called like its key, and holds its title."""
    return Entry(kind, key, title, folder, f"{kind}/{key}.json", sha256(dump({"title": title})), **more)


ENTRIES = [
    entry("dashboards", "b", "B", "ops", provisioned=True),
    entry("dashboards", "c", "A", "ops"),
    entry("dashboards", "z", "Z"),
    entry("folders", "ops", "Ops"),
    entry("teams", "SRE", "SRE"),
]


def plant(root: Path) -> Path:
    """Lay down the tree of the entries."""
    for one in ENTRIES:
        (root / one.path).parent.mkdir(parents=True, exist_ok=True)
        (root / one.path).write_bytes(dump({"title": one.title}))
    (root / INDEX).write_bytes(dump_index(ENTRIES))
    return root


def test_the_index_is_the_same_in_whatever_order_objects_are_read(tmp_path: Path) -> None:
    made = {dump_index(entries) for entries in itertools.permutations(ENTRIES)}

    assert len(made) == 1
    assert Tree(plant(tmp_path)).entries == tuple(ENTRIES[number] for number in (4, 3, 2, 1, 0))
    shown = json.loads(made.pop())
    assert (shown["format"], shown["kinds"]) == (1, {"dashboards": 3, "folders": 1, "teams": 1})
    assert ["provisioned" in one for one in shown["objects"]] == [False, False, False, False, True]


def test_an_object_is_read_back(tmp_path: Path) -> None:
    assert Tree(plant(tmp_path)).thing(ENTRIES[0]) == Thing("dashboards", "b", "B", "ops", {"title": "B"}, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda path: path.unlink(),
            "to hold dashboards 'B' as JSON, and cannot be read .*No such file.*leave the object out",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:9]), "to hold dashboards 'B' as JSON, and cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xfe{}"), "to hold dashboards 'B' as JSON, and cannot be read"),
        (lambda path: path.write_bytes(b'["B"]'), "to hold dashboards 'B' as JSON, and cannot be read .*no object"),
        (lambda path: (path.unlink(), path.mkdir()), "to hold dashboards 'B' as JSON, and cannot be read"),
    ],
)
@pytest.mark.parametrize("accept", [False, True])
def test_a_file_that_holds_no_object_is_refused(
    tmp_path: Path, change: Callable[[Path], object], words: str, accept: bool
) -> None:
    change(plant(tmp_path) / ENTRIES[0].path)

    with pytest.raises(SetDamaged, match=words):
        Tree(tmp_path, accept).thing(ENTRIES[0])


def test_a_file_that_was_edited_is_taken_if_that_is_wanted(tmp_path: Path) -> None:
    (plant(tmp_path) / ENTRIES[0].path).write_text('{"title": "B2"}', "utf-8")

    with pytest.raises(SetDamaged, match=r"as the backup has written it, and has changed since: .*accept_edited=true"):
        Tree(tmp_path).thing(ENTRIES[0])
    assert Tree(tmp_path, accept_edited=True).thing(ENTRIES[0]).content == {"title": "B2"}


def change_index(root: Path, **change: Any) -> None:
    """Change the first object of an index."""
    stored = json.loads((root / INDEX).read_bytes())
    stored["objects"][0].update(change)
    (root / INDEX).write_text(json.dumps(stored), "utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / INDEX).write_text('{"format": 2}', "utf-8"), "have format 1, and has 2: use the version"),
        (lambda root: (root / INDEX).write_text("{", "utf-8"), "index of a Grafana's files, and is not"),
        (lambda root: (root / INDEX).write_text("[]", "utf-8"), "index of a Grafana's files, and is not"),
        (lambda root: (root / INDEX).write_text('{"format": 1}', "utf-8"), "index of a Grafana's files, and is not"),
        (lambda root: ((root / INDEX).unlink(), (root / INDEX).mkdir()), "index of a Grafana's files, and is not"),
        (lambda root: change_index(root, more=1), "index of a Grafana's files, and is not"),
        (lambda root: change_index(root, path=5), "index of a Grafana's files, and is not"),
        (lambda root: change_index(root, kind=[]), "index of a Grafana's files, and is not"),
        (lambda root: change_index(root, path="/etc/passwd"), "name files below it, .*names '/etc/passwd'"),
        (
            lambda root: change_index(root, path="teams/../../x.json"),
            "name files below it, .*names 'teams/../../x.json'",
        ),
        (lambda root: change_index(root, kind="dashboard"), "of kinds that are known, .* of kind 'dashboard'"),
        (lambda root: (root / NEXT_INDEX).touch(), "the last backup into it did not end: run it again"),
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, change: Callable[[Path], object], words: str) -> None:
    change(plant(tmp_path))

    with pytest.raises(SetDamaged, match=words):
        Tree(tmp_path)


@pytest.mark.parametrize("name", ["", "missing", "file"])
def test_a_directory_without_an_index_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NoSuchSet, match=r"index\.json was expected, and is not there: name a directory"):
        Tree(tmp_path / name)
