# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was saved of one Grafana comes back on another one, whole or in part, and what stands in the way is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ContentDiffers,
    CredentialsRefused,
    RestoreIncomplete,
    SecretsNeeded,
    UnknownForm,
    UsersMissing,
    WouldOverwrite,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import SECRETS_NEEDED, dump
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import Policy, Step, Verdict, counts, of

from tests.grafana.site import (
    PROVISIONING,
    SECRETS,
    WRITING,
    a_dashboard,
    a_panel,
    a_rule,
    files,
    fill,
    planned,
    restore,
    save,
    servers,
)
from tests.lab.standins.grafana.control import Fault
from tests.lab.standins.grafana.seed import seed
from tests.lab.standins.grafana.server import Running

pytestmark = pytest.mark.grafana
UPDATE, KEEP = Policy(existing="update"), Policy(existing="keep")


@dataclass(frozen=True)
class Sites:
    """A Grafana with content, its files, and a new one."""

    old: Running
    new: Running
    tree: Path
    again: Path

    def same(self) -> bool:
        """Whether the new server gives the same files."""
        save(self.new, self.again)
        return files(self.again) == files(self.tree)


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    """Two servers; the old one is saved."""
    with servers(tmp_path, "old", "new") as (old, new):
        fill(old.client())
        save(old, tmp_path / "tree")
        yield Sites(old, new, tmp_path / "tree", tmp_path / "again")


def made(steps: list[Step]) -> set[tuple[str, str]]:
    """What is made or changed."""
    return {step.entry.id for step in steps if step.verdict in (Verdict.CREATE, Verdict.UPDATE)}


def writes(server: Running) -> int:
    """How many requests have come that change something."""
    return server.control.count(WRITING)


def test_everything_comes_back_and_gives_the_same_files(sites: Sites) -> None:
    restore(sites.new, sites.tree)
    assert sites.same()


def test_whole_site_comes_back_and_gives_the_same_files(tmp_path: Path) -> None:
    with servers(tmp_path, "old", "new") as (old, new):
        seed(old.url, old.password)
        save(old, tmp_path / "tree")
        needed = json.loads((tmp_path / "tree" / SECRETS_NEEDED).read_bytes())
        given = {
            kind: {key: dict.fromkeys(one["fields"], "a secret") for key, one in objects.items()}
            for kind, objects in needed.items()
        }
        restore(new, tmp_path / "tree", secrets=given)
        save(new, tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "tree")


def test_second_restore_only_reads(sites: Sites) -> None:
    restore(sites.new, sites.tree)
    before = writes(sites.new)
    steps, progress = restore(sites.new, sites.tree)
    assert made(steps) == set()
    assert progress.done == []
    assert writes(sites.new) == before


def test_onto_the_server_itself_nothing_is_written(sites: Sites) -> None:
    before = writes(sites.old)
    restore(sites.old, sites.tree, secrets={})
    assert writes(sites.old) == before


def test_what_was_deleted_comes_back(sites: Sites) -> None:
    client = sites.old.client()
    client.send("DELETE", "/api/dashboards/uid/gw2")
    client.send("DELETE", "/api/folders/spare")
    steps, _progress = restore(sites.old, sites.tree, secrets={})
    boards = {f"d{number}" for number in range(12)}
    assert {key for kind, key in made(steps) if kind == "dashboards"} == {"gw2", *boards}
    save(sites.old, sites.again)
    assert files(sites.again) == files(sites.tree)


def change(server: Running) -> None:
    """Change an object of each kind that a recorded request changes."""
    client = server.client()
    body = a_dashboard("gw2", "Gateway", "odd", [a_panel("newer")])
    body["dashboard"]["version"] = 1
    client.send("POST", "/api/dashboards/db", body)
    client.send("PUT", "/api/folders/spare", {"title": "Newer", "version": 1})
    panel = {"name": "RAM", "kind": 1, "model": a_panel("newer"), "version": 1, "folderUid": ""}
    client.send("PATCH", "/api/library-elements/ram", panel)
    loki = {"name": "Loki", "type": "loki", "access": "proxy", "url": "http://newer"}
    client.send("PUT", "/api/datasources/uid/loki", loki)
    team = client.get("/api/teams/search")["teams"][0]["id"]
    client.send("PUT", f"/api/teams/{team}", {"name": "SRE", "email": "newer@example.org"})
    rule = {**a_rule("odd-d", "d", "odd", "gateway"), "for": "9m"}
    group = {"title": "gateway", "folderUid": "odd", "interval": 10, "rules": [rule]}
    client.send("PUT", f"{PROVISIONING}/folder/odd/rule-groups/gateway", group)
    client.send("PUT", f"{PROVISIONING}/templates/flat", {"template": '{{ define "flat" }}newer{{ end }}'})
    client.send(
        "PUT", f"{PROVISIONING}/mute-timings/nights", {"name": "nights", "time_intervals": [{"weekdays": ["monday"]}]}
    )
    mail = {"name": "ops", "type": "email", "settings": {"addresses": "newer@example.org"}}
    client.send("PUT", f"{PROVISIONING}/contact-points/mail", mail)
    client.send("PUT", f"{PROVISIONING}/policies", {"receiver": "ops"})
    client.send("POST", "/api/folders/odd/permissions", {"items": [{"role": "Editor", "permission": 4}]})
    client.send("PUT", "/api/org/preferences", {"theme": "dark"})
    correlation = client.get("/api/datasources/correlations")[0]["uid"]
    client.send("PATCH", f"/api/datasources/uid/prom/correlations/{correlation}", {"description": "newer"})


CHANGED = {
    ("dashboards", "gw2"),
    ("folders", "spare"),
    ("library_panels", "ram"),
    ("data_sources", "loki"),
    ("teams", "SRE"),
    ("rules", "odd/gateway"),
    ("templates", "flat"),
    ("mute_timings", "nights"),
    ("contact_points", "mail"),
    ("policies", "policies"),
    ("folder_permissions", "odd"),
    ("organization", "organization"),
    ("correlations", "prom-logs"),
}


def test_what_somebody_has_changed_is_not_replaced_unasked(sites: Sites) -> None:
    change(sites.old)
    before = writes(sites.old)
    with pytest.raises(WouldOverwrite, match=r"existing=update") as caught:
        restore(sites.old, sites.tree)
    assert {(one["kind"], one["key"]) for one in caught.value.values["would_overwrite"]} == CHANGED
    assert writes(sites.old) == before


def test_what_somebody_has_changed_is_replaced_when_asked(sites: Sites) -> None:
    change(sites.old)
    steps, _progress = restore(sites.old, sites.tree, UPDATE)
    assert made(steps) == CHANGED
    save(sites.old, sites.again)
    assert files(sites.again) == files(sites.tree)


def test_what_somebody_has_changed_is_kept_when_asked(sites: Sites) -> None:
    change(sites.old)
    sites.old.client().send("DELETE", "/api/dashboards/uid/lost")
    steps, _progress = restore(sites.old, sites.tree, KEEP)
    assert {step.entry.id for step in of(steps, Verdict.KEEP)} == CHANGED
    assert ("dashboards", "lost") in made(steps)
    assert sites.old.client().get("/api/dashboards/uid/gw2")["dashboard"]["panels"][0]["title"] == "newer"


def test_change_between_comparing_and_writing_is_refused_by_the_server(sites: Sites) -> None:
    change(sites.old)
    work, steps = planned(sites.old, sites.tree, UPDATE)
    newest = a_dashboard("gw2", "Gateway", "odd", [a_panel("newest")])
    newest["dashboard"]["version"] = 2
    sites.old.client().send("POST", "/api/dashboards/db", newest)
    sites.old.client().send("PUT", "/api/folders/spare", {"title": "Newest", "version": 2})
    with pytest.raises(RestoreIncomplete, match=r"changed by someone else") as caught:
        work.apply(steps)
    assert {one["key"] for one in caught.value.values["refused"]} == {"gw2", "spare"}
    assert sites.old.client().get("/api/dashboards/uid/gw2")["dashboard"]["panels"][0]["title"] == "newest"
    assert sites.old.client().get("/api/folders/spare")["title"] == "Newest"


def test_one_dashboard_comes_with_the_folder_and_the_library_panel_that_it_needs(sites: Sites) -> None:
    steps, _progress = restore(sites.new, sites.tree, Policy(missing_users="leave_out"), objects=["gw"])
    assert made(steps) == {
        ("folders", "ops"),
        ("library_panels", "cpu"),
        ("dashboards", "gw"),
        ("dashboard_permissions", "gw"),
    }
    assert {step.entry.key: step.left_out for step in steps if step.left_out} == {
        "gw": ("teams 'SRE'", "users 'hanako'", "users 'sa-report-robot'")
    }


def test_folder_that_is_there_is_not_touched_for_a_dashboard(sites: Sites) -> None:
    client = sites.old.client()
    client.send("PUT", "/api/folders/odd", {"title": "Newer", "version": 1})
    client.send("DELETE", "/api/dashboards/uid/gw2")
    steps, _progress = restore(sites.old, sites.tree, objects=["gw2"])
    assert made(steps) == {("dashboards", "gw2"), ("dashboard_permissions", "gw2")}
    assert client.get("/api/folders/odd")["title"] == "Newer"


@pytest.mark.parametrize("name", ["odd", "a/b c?d%"])
def test_folder_comes_with_what_is_in_it(sites: Sites, name: str) -> None:
    steps, _progress = restore(sites.new, sites.tree, folders=[name])
    assert made(steps) == {
        ("folders", "odd"),
        ("dashboards", "gw2"),
        ("rules", "odd/gateway"),
        ("folder_permissions", "odd"),
        ("dashboard_permissions", "gw2"),
    }


def test_kinds_alone(sites: Sites) -> None:
    steps, _progress = restore(sites.new, sites.tree, kinds=["templates", "mute_timings"])
    assert made(steps) == {("templates", "flat"), ("mute_timings", "nights")}


def test_missing_secrets_are_named_before_anything_is_written(sites: Sites) -> None:
    with pytest.raises(
        SecretsNeeded, match=r"Prometheus' \(prom\): needs basicAuthPassword.*'ops' \(hook\): needs password"
    ):
        restore(sites.new, sites.tree, secrets={"users": SECRETS["users"]})
    assert writes(sites.new) == 0


def test_objects_without_their_secrets_are_left_out_when_asked(sites: Sites) -> None:
    policy = Policy(missing_secrets="leave_out")
    steps, _progress = restore(sites.new, sites.tree, policy, secrets={"users": SECRETS["users"]})
    left_out = {step.entry.id for step in of(steps, Verdict.LEAVE_OUT)}
    # The policies need the name of the contact points, which the other receiver has.
    assert left_out == {("data_sources", "prom"), ("contact_points", "hook"), ("correlations", "prom-logs")}
    assert [one["uid"] for one in sites.new.client().get("/api/datasources")] == ["loki", "provisioned-prom"]


def test_secrets_that_the_server_has_are_kept(sites: Sites) -> None:
    client = sites.old.client()
    hook = {"name": "ops", "type": "webhook", "settings": {"url": "http://newer", "password": "[REDACTED]"}}
    client.send("PUT", f"{PROVISIONING}/contact-points/hook", hook)
    prometheus = client.get("/api/datasources/uid/prom")
    client.send("PUT", "/api/datasources/uid/prom", {**prometheus, "url": "http://newer"})
    steps, _progress = restore(sites.old, sites.tree, UPDATE, secrets={})
    assert made(steps) == {("contact_points", "hook"), ("data_sources", "prom")}
    save(sites.old, sites.again)
    assert files(sites.again) == files(sites.tree)


def test_missing_user_without_a_password_is_named(sites: Sites) -> None:
    secrets = {kind: SECRETS[kind] for kind in ("data_sources", "contact_points")}
    with pytest.raises(UsersMissing, match=r"users 'hanako': secrets\.users\['hanako'\]\.password is not given"):
        restore(sites.new, sites.tree, secrets=secrets)
    assert writes(sites.new) == 0


def test_token_cannot_make_users_and_restores_the_rest_without_them_when_asked(sites: Sites) -> None:
    token = sites.new.token()
    with pytest.raises(UsersMissing, match=r"takes a server administrator's name and password"):
        restore(sites.new, sites.tree, token=token)
    chosen = ["folders", "folder_permissions"]
    restore(sites.new, sites.tree, Policy(missing_users="leave_out"), token=token, kinds=chosen)
    shown = sites.new.client().get("/api/folders/ops/permissions")
    assert [(one.get("role"), one["permission"]) for one in shown] == [("Viewer", 1)]


def test_server_that_refuses_one_object_gets_all_that_does_not_need_it(sites: Sites) -> None:
    client = sites.new.client()
    client.send("POST", "/api/folders", {"uid": "other", "title": "Spare"})
    with pytest.raises(
        RestoreIncomplete, match=r"refused folders 'Spare' \(spare\) .*same name already exists"
    ) as caught:
        restore(sites.new, sites.tree)
    told = caught.value.values
    assert [one["key"] for one in told["refused"]] == ["spare"]
    boards = {f"d{number}" for number in range(12)}
    assert {(one["kind"], one["key"]) for one in told["not_tried"]} == {
        ("folder_permissions", "spare"),
        *(("dashboards", board) for board in boards),
        *(("dashboard_permissions", board) for board in boards),
    }
    assert {one["key"] for one in told["done"] if one["kind"] == "dashboards"} == {"gw", "gw2", "lost"}
    client.send("DELETE", "/api/folders/other")
    restore(sites.new, sites.tree)
    assert sites.same()


def test_run_that_was_interrupted_goes_on(sites: Sites) -> None:
    sites.new.control.faults.append(
        Fault(method="POST", path="/permissions$", after=1, status=401, body='{"message": "x"}')
    )
    with pytest.raises(CredentialsRefused, match=r"objects were written before: run again") as caught:
        restore(sites.new, sites.tree)
    assert caught.value.values["done"]
    assert caught.value.values["not_tried"]
    sites.new.control.reset()
    restore(sites.new, sites.tree)
    assert sites.same()


def test_what_the_server_has_made_of_an_object_is_compared_with_its_file(sites: Sites) -> None:
    tampered = '{"meta": {"folderUid": "odd"}, "dashboard": {"uid": "gw2", "title": "Gateway", "panels": []}}'
    sites.new.control.faults.append(Fault(method="GET", path="/api/dashboards/uid/gw2$", status=200, body=tampered))
    with pytest.raises(ContentDiffers, match=r"dashboards 'Gateway' \(gw2\) in dashboard\.panels\[0\]"):
        restore(sites.new, sites.tree)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault(method="GET", path="/api/org/users$", status=200, body='[{"login": "admin"}]'),
            r"^of users 'admin', 'name' was expected, and ",
        ),
        (
            Fault(method="POST", path="/api/teams$", status=200, body="{}"),
            r"^of teams 'SRE', 'teamId' .*POST .*; 1 of 58 .* before",
        ),
    ],
)
def test_server_that_answers_in_another_form_ends_it_with_a_sentence(sites: Sites, fault: Fault, words: str) -> None:
    sites.new.control.faults.append(fault)
    with pytest.raises(UnknownForm, match=words):
        restore(sites.new, sites.tree)
    sites.new.control.reset()
    restore(sites.new, sites.tree, UPDATE)
    assert sites.same()


def test_server_that_lists_those_whom_objects_name_in_another_form_is_told_of(sites: Sites) -> None:
    body = '{"serviceAccounts": [{"login": "sa-x"}]}'
    sites.new.control.faults.append(Fault(method="GET", path="/api/serviceaccounts/search", status=200, body=body))
    with pytest.raises(UnknownForm, match=r"^of teams 'SRE', 'id' was expected, and GET .*/api/serviceaccounts/search"):
        restore(sites.new, sites.tree, kinds=["teams"])


def test_file_that_somebody_has_edited_on_purpose_is_what_the_server_gets(sites: Sites) -> None:
    board = next((sites.tree / "dashboards").rglob("*--lost.json"))
    folder = sites.tree / "folders/Spare--spare.json"
    board.write_bytes(dump({**json.loads(board.read_bytes()), "folderUid": "odd"}))
    folder.write_bytes(dump({**json.loads(folder.read_bytes()), "title": "Edited"}))
    restore(sites.old, sites.tree, UPDATE, accept_edited=True)
    assert sites.old.client().get("/api/dashboards/uid/lost")["meta"]["folderUid"] == "odd"
    assert sites.old.client().get("/api/folders/spare")["title"] == "Edited"


def test_folder_that_an_old_server_does_not_nest_is_named(sites: Sites) -> None:
    path = sites.tree / "folders/Spare--spare.json"
    path.write_bytes(dump({**json.loads(path.read_bytes()), "parentUid": "ops"}))
    with pytest.raises(ContentDiffers, match=r"folders 'Spare' \(spare\) in parentUid"):
        restore(sites.new, sites.tree, accept_edited=True)


def test_old_server_locks_what_it_was_asked_not_to(sites: Sites) -> None:
    _steps, progress = restore(sites.new, sites.tree)
    assert {kind for kind, _key in progress.locked} == {
        "templates",
        "mute_timings",
        "contact_points",
        "policies",
        "rules",
    }


def test_rules_that_another_group_has_now_are_not_moved_unasked(sites: Sites) -> None:
    client = sites.old.client()
    rule = a_rule("odd-d", "d", "odd", "other")
    group = {"title": "other", "folderUid": "odd", "interval": 90, "rules": [rule]}
    client.send("PUT", f"{PROVISIONING}/folder/odd/rule-groups/other", group)
    with pytest.raises(WouldOverwrite, match=r"takes from others .*odd/other"):
        restore(sites.old, sites.tree)
    restore(sites.old, sites.tree, UPDATE)
    save(sites.old, sites.again)
    assert files(sites.again) == files(sites.tree)


def test_default_data_source_is_not_taken_from_another_one_unasked(sites: Sites) -> None:
    other = {"uid": "other", "name": "Other", "type": "loki", "access": "proxy", "url": "http://x", "isDefault": True}
    sites.new.client().send("POST", "/api/datasources", other)
    with pytest.raises(WouldOverwrite, match=r"Prometheus' \(prom\): takes from others .*other"):
        restore(sites.new, sites.tree)


def test_annotations_are_added_and_never_removed(sites: Sites) -> None:
    client = sites.old.client()
    client.send("DELETE", "/api/annotations/1")
    client.send("POST", "/api/annotations", {"time": 1790000000001, "text": "newer", "tags": []})
    steps, _progress = restore(sites.old, sites.tree)
    assert {kind for kind, _key in made(steps)} == {"annotations"}
    texts = [one["text"] for one in client.get("/api/annotations?type=annotation&limit=100")]
    assert sorted(texts) == ["newer", "window", "window"]


def test_titles_that_others_have_are_free_when_those_are_written(sites: Sites) -> None:
    client = sites.old.client()
    for uid, title in (("d0", "Board x"), ("d1", "Board 0"), ("d2", "Board 1")):
        body = a_dashboard(uid, title, "spare")
        body["dashboard"]["version"] = 1
        client.send("POST", "/api/dashboards/db", body)
    restore(sites.old, sites.tree, UPDATE)
    save(sites.old, sites.again)
    assert files(sites.again) == files(sites.tree)


def test_counts_say_what_has_become_of_each_kind(sites: Sites) -> None:
    steps, _progress = restore(sites.new, sites.tree)
    assert counts(steps)["dashboards"] == {"created": 15, "updated": 0, "unchanged": 0, "kept": 0, "left_out": 0}
