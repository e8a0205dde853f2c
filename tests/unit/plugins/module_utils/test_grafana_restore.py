# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is chosen of a Grafana's files, what is done about it, and in which order; whole restores are tested in tests/grafana."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import grafana_files
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CredentialsRefused,
    NoSuchSet,
    RestoreIncomplete,
    SetDamaged,
    UsageError,
    WouldOverwrite,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Entry, Named, Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import Thing
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import (
    GrafanaRestore,
    Policy,
    Selection,
    Verdict,
    counts,
    differing,
    select,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer

pytestmark = pytest.mark.unit


def a_folder(uid: str, parent: str = "", title: str = "") -> Thing:
    """A folder, in another one or not."""
    content = {"uid": uid, "title": title or uid, **({"parentUid": parent} if parent else {})}
    return Thing("folders", uid, title or uid, parent, content)


def a_dashboard(uid: str, folder: str = "", provisioned: bool = False, panel: str = "up", library: str = "") -> Thing:
    """A dashboard with a panel."""
    panels = [{"title": panel, **({"libraryPanel": {"uid": library}} if library else {})}]
    content = {"dashboard": {"uid": uid, "title": uid, "panels": panels}, "folderUid": folder}
    return Thing("dashboards", uid, uid, folder, content, provisioned)


def a_library_panel(uid: str, folder: str = "") -> Thing:
    """A library panel."""
    content = {"uid": uid, "name": uid, "kind": 1, "model": {}, "folderUid": folder}
    return Thing("library_panels", uid, uid, folder, content)


def some_permissions(of: Thing) -> Thing:
    """What roles may do with a folder or a dashboard."""
    content = {"items": [{"role": "Viewer", "permission": 1}]}
    return Thing(f"{of.kind.removesuffix('s')}_permissions", of.key, of.title, of.folder, content)


def a_tree(root: Path, *things: Thing) -> Tree:
    """These objects as files."""
    paths = grafana_files.paths(Named(one.kind, one.key, one.title, one.folder) for one in things)
    entries = []
    for one in things:
        path, data = paths[one.kind, one.key], grafana_files.dump(one.content)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        entries.append(
            Entry(one.kind, one.key, one.title, one.folder, path, grafana_files.sha256(data), one.provisioned)
        )
    (root / grafana_files.INDEX).write_bytes(grafana_files.dump_index(entries))
    return Tree(root)


@dataclass
class Server:
    """Folders and dashboards by uid, as a newer server has them; ``refuses`` says which writes fail, and how."""

    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Answer at once."""
        path = "/" + url.split("/", 3)[3]
        self.asked.append((method, path))
        status, found = self._read(path, params or {}) if method == "GET" else self._write(body)
        return Answer(method, url, status, json.dumps(found))

    def _read(self, path: str, params: Mapping[str, str]) -> tuple[int, Any]:
        if path == "/api/search":
            mine = self.folders if params["type"] == "dash-folder" else self.dashboards
            return 200, [{"uid": uid, "title": uid} for uid in mine]
        uid = path.rpartition("/")[2]
        found = (self.folders if "/folders/" in path else self.dashboards).get(uid)
        return (404, {"message": "not found"}) if found is None else (200, found)

    def _write(self, body: Any) -> tuple[int, Any]:
        uid = body["dashboard"]["uid"] if "dashboard" in body else body["uid"]
        if uid in self.refuses:
            status, words = self.refuses[uid]
            return status, {"message": words}
        if "dashboard" in body:
            self.dashboards[uid] = {"dashboard": body["dashboard"], "meta": {"folderUid": body["folderUid"]}}
        else:
            self.folders[uid] = dict(body)
        return 200, {}

    def has(self, thing: Thing, **meta: Any) -> None:
        """Have a dashboard already, in its third version."""
        shown = {"dashboard": {**thing.content["dashboard"], "version": 3}, "meta": {"folderUid": thing.folder, **meta}}
        self.dashboards[thing.key] = shown

    @property
    def written(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [one for one in self.asked if one[0] != "GET"]


def a_restore(server: Server, tree: Tree, policy: Policy | None = None, diff: bool = False) -> GrafanaRestore:
    """A restore that has not begun, with one thing after another."""
    return GrafanaRestore(Grafana("http://g", server, Effects()), tree, policy, workers=1, diff=diff)


def ids(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """What is chosen."""
    return {entry.id for entry in entries}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Folders in folders, two of one title, and something in each."""
    folders = [
        a_folder("a"),
        a_folder("b", "a"),
        a_folder("c", "b"),
        a_folder("d", title="same"),
        a_folder("e", "a", "same"),
    ]
    panel = a_library_panel("lib", "d")
    boards = [a_dashboard("in-c", "c"), a_dashboard("in-d", "d", library="lib"), a_dashboard("nowhere")]
    return a_tree(tmp_path, *folders, panel, *boards, *map(some_permissions, [*folders, *boards]))


def test_everything_is_chosen_where_nothing_is_said(tree: Tree) -> None:
    assert select(tree) == Selection(tree.entries)


def test_folder_is_chosen_with_those_below_it_and_what_they_hold(tree: Tree) -> None:
    chosen = ids(select(tree, folders=["b"]).chosen)
    assert chosen == {
        ("folders", "b"),
        ("folders", "c"),
        ("dashboards", "in-c"),
        ("folder_permissions", "b"),
        ("folder_permissions", "c"),
        ("dashboard_permissions", "in-c"),
    }


def test_dashboards_in_no_folder_are_those_in_general(tree: Tree) -> None:
    chosen = ids(select(tree, folders=["General"]).chosen)
    assert chosen == {("dashboards", "nowhere"), ("dashboard_permissions", "nowhere")}


def test_folders_and_objects_add_up_and_kinds_take_away(tree: Tree) -> None:
    chosen = ids(select(tree, kinds=["dashboards"], folders=["b"], objects=["nowhere"]).chosen)
    assert chosen == {("dashboards", "in-c"), ("dashboards", "nowhere")}


def test_chosen_objects_bring_the_folders_and_library_panels_that_they_need(tree: Tree) -> None:
    assert ids(select(tree, objects=["in-c"]).support) == {("folders", "c"), ("folders", "b"), ("folders", "a")}
    assert ids(select(tree, objects=["in-d"]).support) == {("folders", "d"), ("library_panels", "lib")}


def test_title_of_two_folders_is_refused_with_their_uids(tree: Tree) -> None:
    with pytest.raises(UsageError, match=r"called 'same', and 2 are: name a uid, [de], [de]"):
        select(tree, folders=["same"])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"folders": ["x"]}, "a folder 'x'"),
        ({"objects": ["x"]}, "an object 'x'"),
        ({"kinds": ["users"], "objects": ["in-c"]}, "objects of that choice"),
    ],
)
def test_choice_of_nothing_is_refused(tree: Tree, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(NoSuchSet, match=words):
        select(tree, **choice)


@pytest.mark.parametrize(
    ("wanted", "current", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "c": 2}}, ["a.b"]),
        (
            {"panels": [{"title": "x"}, {"title": "y"}]},
            {"panels": [{"title": "x"}, {"title": "z"}]},
            ["panels[1].title"],
        ),
        ({"panels": [1]}, {"panels": [1, 2, 3]}, ["panels[1]", "panels[2]"]),
        ({"a": None}, {}, ["a"]),
        ({"a": [1]}, {"a": {"b": 1}}, ["a"]),
        ({"a": 1}, {"a": True}, ["a"]),
    ],
)
def test_places_that_differ_are_named(wanted: Any, current: Any, paths: list[str]) -> None:
    assert list(differing(wanted, current)) == paths


@pytest.mark.parametrize(
    ("existing", "verdict"), [("refuse", Verdict.WOULD_OVERWRITE), ("update", Verdict.UPDATE), ("keep", Verdict.KEEP)]
)
def test_what_is_done_about_another_dashboard_of_that_uid(tmp_path: Path, existing: str, verdict: Verdict) -> None:
    server = Server()
    server.has(a_dashboard("x", panel="newer"))
    server.has(a_dashboard("same"))
    tree = a_tree(tmp_path, a_dashboard("fresh"), a_dashboard("same"), a_dashboard("x"))
    steps = a_restore(server, tree, Policy(existing=existing)).plan(select(tree))
    assert [(step.entry.key, step.verdict) for step in steps] == [
        ("fresh", Verdict.CREATE),
        ("same", Verdict.SAME),
        ("x", verdict),
    ]
    assert (steps[2].version, steps[2].differs) == (3, ("dashboard.panels[0].title",))


def test_overwriting_is_refused_by_name_and_place(tmp_path: Path) -> None:
    server = Server()
    server.has(a_dashboard("x", panel="newer"))
    tree = a_tree(tmp_path, a_dashboard("x"))
    restore = a_restore(server, tree)
    steps = restore.plan(select(tree))
    with pytest.raises(WouldOverwrite, match=r"dashboards 'x': dashboard\.panels\[0\]\.title: see what would be lost"):
        restore.check(steps)
    restore.check(steps, overwriting=False)


def test_texts_of_both_sides_are_there_for_diff_mode_alone(tmp_path: Path) -> None:
    server = Server()
    server.has(a_dashboard("x", panel="newer"))
    tree = a_tree(tmp_path, a_dashboard("x"))
    (step,) = a_restore(server, tree, diff=True).plan(select(tree))
    assert '"title": "newer"' in step.before
    assert '"title": "up"' in step.after
    (step,) = a_restore(server, tree).plan(select(tree))
    assert (step.before, step.after) == ("", "")


@pytest.mark.parametrize(("panel", "words"), [("up", "is the same"), ("newer", "is different"), (None, "is missing")])
def test_provisioned_dashboard_is_only_compared(tmp_path: Path, panel: str | None, words: str) -> None:
    server = Server()
    if panel:
        server.has(a_dashboard("x", panel=panel), provisioned=True)
    tree = a_tree(tmp_path, a_dashboard("x", provisioned=True))
    restore = a_restore(server, tree, Policy(existing="update"))
    (step,) = restore.plan(select(tree))
    restore.apply([step])
    assert step.verdict is Verdict.PROVISIONED
    assert words in step.reason
    assert server.written == []


def test_provisioned_dashboard_is_restored_when_asked(tmp_path: Path) -> None:
    tree = a_tree(tmp_path, a_dashboard("x", provisioned=True))
    (step,) = a_restore(Server(), tree, Policy(provisioned="restore")).plan(select(tree))
    assert step.verdict is Verdict.CREATE


def test_dashboard_that_files_make_on_the_server_is_not_written(tmp_path: Path) -> None:
    server = Server()
    server.has(a_dashboard("x", panel="newer"), provisioned=True)
    tree = a_tree(tmp_path, a_dashboard("x"))
    (step,) = a_restore(server, tree, Policy(existing="update", provisioned="restore")).plan(select(tree))
    assert step.verdict is Verdict.PROVISIONED


def test_permissions_of_what_is_not_restored_are_left_out(tmp_path: Path) -> None:
    board = a_dashboard("x", provisioned=True)
    tree = a_tree(tmp_path, board, some_permissions(board))
    _board, permissions = a_restore(Server(), tree).plan(select(tree))
    assert permissions.verdict is Verdict.LEAVE_OUT
    assert permissions.reason == "needs dashboards 'x', which is left out"


def test_damaged_file_is_found_before_anything_is_written(tmp_path: Path) -> None:
    server = Server()
    tree = a_tree(tmp_path, a_dashboard("x"), a_dashboard("y"))
    (tmp_path / tree.entries[1].path).write_text("{}")
    with pytest.raises(SetDamaged, match="accept_edited"):
        a_restore(server, tree).plan(select(tree))
    assert server.written == []


def test_folders_are_made_before_those_in_them(tmp_path: Path) -> None:
    # From source, not observed: 9.4 has no nested folders.
    server = Server()
    tree = a_tree(tmp_path, a_folder("a", "z"), a_folder("m", "a"), a_folder("z"))
    restore = a_restore(server, tree)
    restore.apply(restore.plan(select(tree)))
    assert list(server.folders) == ["z", "a", "m"]


def test_everything_is_read_once_where_nothing_is_to_be_written(tmp_path: Path) -> None:
    server = Server()
    server.has(a_dashboard("x"))
    tree = a_tree(tmp_path, a_dashboard("x"))
    restore = a_restore(server, tree)
    restore.apply(restore.plan(select(tree)))
    assert server.asked == [("GET", "/api/search"), ("GET", "/api/dashboards/uid/x")]


def test_what_needs_a_refused_folder_is_not_tried(tmp_path: Path) -> None:
    server = Server(refuses={"a": (409, "same name already exists")})
    tree = a_tree(
        tmp_path,
        a_folder("a"),
        a_folder("b", "a"),
        a_dashboard("in-a", "a"),
        a_dashboard("in-b", "b"),
        a_dashboard("x"),
    )
    restore = a_restore(server, tree)
    with pytest.raises(
        RestoreIncomplete, match=r"refused folders 'a' \(.*same name already exists\); 3 that need them"
    ) as caught:
        restore.apply(restore.plan(select(tree)))
    told = caught.value.values
    assert [one["key"] for one in told["done"]] == ["x"]
    assert {one["key"]: one["reason"] for one in told["not_tried"]} == {
        "b": "needs folders 'a', which was not restored",
        "in-a": "needs folders 'a', which was not restored",
        "in-b": "needs folders 'b', which was not restored",
    }


def test_credentials_that_expire_end_it_at_once(tmp_path: Path) -> None:
    server = Server(refuses={"y": (401, "expired")})
    tree = a_tree(tmp_path, a_dashboard("x"), a_dashboard("y"), a_dashboard("z"))
    restore = a_restore(server, tree)
    with pytest.raises(CredentialsRefused, match=r"1 of 3 objects were written before: run again") as caught:
        restore.apply(restore.plan(select(tree)))
    assert [one["key"] for one in caught.value.values["done"]] == ["x"]
    assert [one["key"] for one in caught.value.values["not_tried"]] == ["y", "z"]
    assert "z" not in server.dashboards


def test_counts_are_by_kind(tmp_path: Path) -> None:
    server = Server()
    server.has(a_dashboard("x"))
    tree = a_tree(tmp_path, a_folder("a"), a_dashboard("x"), a_dashboard("y"))
    steps = a_restore(server, tree).plan(select(tree))
    none = {"created": 0, "updated": 0, "unchanged": 0, "kept": 0, "left_out": 0}
    assert counts(steps) == {"folders": {**none, "created": 1}, "dashboards": {**none, "created": 1, "unchanged": 1}}
