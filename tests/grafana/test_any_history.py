# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever people have done to a Grafana, what is saved of it comes back on a new one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import part
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grafana.site import PROVISIONING, a_dashboard, a_panel, a_person, a_rule, files, restore, save, servers
from tests.lab.standins.grafana.client import Client

pytestmark = pytest.mark.grafana
NUMBERS = st.integers(0, 2)
NAMES = st.sampled_from(["Gateway", "gateway", " Gateway", "運用", "a/b", "a_b", "100%", '"', "con", "General"])
TITLES = st.one_of(NAMES, st.just("."))
PERMISSIONS = st.sampled_from([1, 2, 4])
GROUPS = st.sampled_from(["gateway", "a/b 監視"])
SECRETS = {
    "data_sources": {f"s{number}": {"basicAuthPassword": "secret"} for number in range(3)},
    "contact_points": {f"c{number}": {"password": "p4ss"} for number in range(3)},
    "users": {f"u{number}": {"password": "password"} for number in range(3)},
}


@dataclass
class Person:
    """Somebody who tries things; what the server refuses has not happened."""

    client: Client

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Send a request; the answer, whatever it is."""
        return self.client.ask(method, path, body)[1]

    def known(self, path: str) -> dict[str, Any]:
        """An object, or nothing."""
        status, found = self.client.ask("GET", path)
        return dict(found) if status == 200 else {}

    def team(self, number: int) -> dict[str, Any]:
        """A team as the list has it, or nothing."""
        found = self.client.get("/api/teams/search")["teams"]
        return next((team for team in found if team["name"] == f"Team {number}"), {})

    def user(self, number: int) -> int:
        """The number that the server has given a user; 0 for nobody."""
        found = self.client.get("/api/org/users")
        return next((int(one["userId"]) for one in found if one["login"] == f"u{number}"), 0)


@dataclass(frozen=True)
class Deed:
    """Something that a person does."""

    what: Callable[..., object]
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.what.__name__}{self.values}"


def deed(*arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., object]], st.SearchStrategy[Deed]]:
    """Let a function be something that people do, with any arguments."""
    return lambda function: st.tuples(*arguments).map(partial(Deed, function))


@deed(NUMBERS, TITLES)
def save_folder(person: Person, number: int, title: str) -> object:
    """Make or rename a folder."""
    known = person.known(f"/api/folders/f{number}")
    if not known:
        return person.send("POST", "/api/folders", {"uid": f"f{number}", "title": title})
    return person.send("PUT", f"/api/folders/f{number}", {"title": title, "version": known["version"]})


@deed(NUMBERS)
def delete_folder(person: Person, number: int) -> object:
    """Delete a folder with everything in it."""
    return person.send("DELETE", f"/api/folders/f{number}?forceDeleteRules=true")


@deed(st.integers(0, 5), TITLES, st.integers(-1, 2), TITLES, st.integers(-1, 2))
def save_dashboard(person: Person, number: int, title: str, folder: int, panel: str, library: int) -> object:
    """Make, change, rename or move a dashboard."""
    panels = [a_panel(panel)]
    if person.known(f"/api/library-elements/l{library}"):
        panels.append(
            {"id": 2, "gridPos": {"h": 1, "w": 1, "x": 0, "y": 0}, "libraryPanel": {"uid": f"l{library}", "name": "L"}}
        )
    body = a_dashboard(f"d{number}", title, f"f{folder}" if folder >= 0 else "", panels)
    known = person.known(f"/api/dashboards/uid/d{number}")
    body["dashboard"]["version"] = known["dashboard"]["version"] if known else 0
    return person.send("POST", "/api/dashboards/db", body)


@deed(st.integers(0, 5))
def delete_dashboard(person: Person, number: int) -> object:
    """Delete a dashboard."""
    return person.send("DELETE", f"/api/dashboards/uid/d{number}")


@deed(NUMBERS, TITLES, st.integers(-1, 2), TITLES)
def save_library_panel(person: Person, number: int, name: str, folder: int, panel: str) -> object:
    """Make, change or move a library panel."""
    body = {"name": name, "kind": 1, "folderUid": f"f{folder}" if folder >= 0 else "", "model": a_panel(panel)}
    known = person.known(f"/api/library-elements/l{number}")
    if not known:
        return person.send("POST", "/api/library-elements", {**body, "uid": f"l{number}"})
    return person.send("PATCH", f"/api/library-elements/l{number}", {**body, "version": known["result"]["version"]})


@deed(NUMBERS)
def delete_library_panel(person: Person, number: int) -> object:
    """Delete a library panel."""
    return person.send("DELETE", f"/api/library-elements/l{number}")


@deed(NUMBERS, st.booleans(), st.booleans(), TITLES)
def save_data_source(person: Person, number: int, default: bool, secret: bool, url: str) -> object:
    """Make or change a data source."""
    auth = {"basicAuth": True, "secureJsonData": {"basicAuthPassword": "secret"}} if secret else {}
    source = {"uid": f"s{number}", "name": f"Source {number}", "type": "prometheus", "access": "proxy", "url": url}
    known = person.known(f"/api/datasources/uid/s{number}")
    method, path = ("PUT", f"/api/datasources/uid/s{number}") if known else ("POST", "/api/datasources")
    return person.send(method, path, {**source, "isDefault": default, **auth})


@deed(NUMBERS)
def delete_data_source(person: Person, number: int) -> object:
    """Delete a data source."""
    return person.send("DELETE", f"/api/datasources/uid/s{number}")


@deed(NUMBERS, NUMBERS, TITLES)
def save_correlation(person: Person, source: int, target: int, label: str) -> object:
    """Lead from one data source to another."""
    body = {"targetUID": f"s{target}", "label": label, "config": {"type": "query", "field": "f", "target": {}}}
    return person.send("POST", f"/api/datasources/uid/s{source}/correlations", body)


@deed(NUMBERS)
def save_user(person: Person, number: int) -> object:
    """Make somebody, or another role of theirs."""
    if known := person.user(number):
        return person.send("PATCH", f"/api/org/users/{known}", {"role": "Editor"})
    return person.send("POST", "/api/admin/users", {**a_person(f"u{number}"), "password": "password"})


@deed(NUMBERS, st.integers(-1, 2), TITLES)
def save_team(person: Person, number: int, user: int, email: str) -> object:
    """Make or change a team, with one more member."""
    body = {"name": f"Team {number}", "email": email}
    team = person.team(number)
    if not team:
        person.send("POST", "/api/teams", body)
        team = person.team(number)
    person.send("PUT", f"/api/teams/{team['id']}", body)
    member = person.user(user)
    return member and person.send("POST", f"/api/teams/{team['id']}/members", {"userId": member})


@deed(NUMBERS)
def delete_team(person: Person, number: int) -> object:
    """Delete a team."""
    team = person.team(number)
    return team and person.send("DELETE", f"/api/teams/{team['id']}")


@deed(NUMBERS, st.integers(0, 5))
def prefer(person: Person, number: int, dashboard: int) -> object:
    """Give a team, and the organization, a dashboard to begin with."""
    if not person.known(f"/api/dashboards/uid/d{dashboard}"):
        return None
    team, wanted = person.team(number), {"theme": "dark", "homeDashboardUID": f"d{dashboard}"}
    if team:
        person.send("PUT", f"/api/teams/{team['id']}/preferences", wanted)
    return person.send("PUT", "/api/org/preferences", wanted)


@deed(st.sampled_from(["folders/f", "dashboards/uid/d"]), NUMBERS, PERMISSIONS, NUMBERS, PERMISSIONS, NUMBERS)
def allow(person: Person, owner: str, number: int, one: int, user: int, other: int, team: int) -> object:
    """Let a role, a user and a team do something with a folder or a dashboard."""
    items: list[dict[str, Any]] = [{"role": "Viewer", "permission": one}]
    if known := person.user(user):
        items.append({"userId": known, "permission": other})
    if found := person.team(team):
        items.append({"teamId": found["id"], "permission": one})
    return person.send("POST", f"/api/{owner}{number}/permissions", {"items": items})


@deed(NUMBERS, NUMBERS, GROUPS, st.sampled_from([10, 60, 90]), TITLES)
def save_rule(person: Person, number: int, folder: int, group: str, interval: int, title: str) -> object:
    """Make or change a rule, or move it to another group, with whatever rules are there."""
    if not person.known(f"/api/folders/f{folder}"):
        return None
    rule = a_rule(f"r{number}", title, f"f{folder}", group)
    path = f"{PROVISIONING}/folder/f{folder}/rule-groups/{part(group)}"
    person.send("POST", f"{PROVISIONING}/alert-rules", rule)
    others = [one for one in person.known(path).get("rules", []) if one["uid"] != rule["uid"]]
    return person.send(
        "PUT", path, {"title": group, "folderUid": f"f{folder}", "interval": interval, "rules": [*others, rule]}
    )


@deed(NUMBERS)
def delete_rule(person: Person, number: int) -> object:
    """Delete a rule."""
    return person.send("DELETE", f"{PROVISIONING}/alert-rules/r{number}")


@deed(NUMBERS, st.booleans(), st.booleans(), TITLES)
def save_contact_point(person: Person, number: int, shared: bool, secret: bool, url: str) -> object:
    """Make or change a receiver, of its own name or of one that several have."""
    settings = {"url": url, **({"password": "p4ss"} if secret else {})}
    body = {
        "uid": f"c{number}",
        "name": "shared" if shared else f"Point {number}",
        "type": "webhook",
        "settings": settings,
    }
    known = [one["uid"] for one in person.client.get(f"{PROVISIONING}/contact-points")]
    if f"c{number}" in known:
        return person.send("PUT", f"{PROVISIONING}/contact-points/c{number}", body)
    return person.send("POST", f"{PROVISIONING}/contact-points", body)


@deed(NUMBERS)
def delete_contact_point(person: Person, number: int) -> object:
    """Delete a receiver."""
    return person.send("DELETE", f"{PROVISIONING}/contact-points/c{number}")


@deed(st.sampled_from(["shared", "Point 0", "Point 1"]), st.sampled_from([[], ["Gateway"]]))
def save_policies(person: Person, receiver: str, muted: list[str]) -> object:
    """Notify somebody else."""
    inner = {"receiver": receiver, "object_matchers": [["a", "=", "b"]], "mute_time_intervals": muted}
    tree = {"receiver": "grafana-default-email", "routes": [{"receiver": receiver, "routes": [inner]}]}
    return person.send("PUT", f"{PROVISIONING}/policies", tree)


@deed(NAMES, TITLES)
def save_template(person: Person, name: str, text: str) -> object:
    """Make or change a template and a mute timing of one name."""
    person.send("POST", f"{PROVISIONING}/mute-timings", {"name": name, "time_intervals": [{"weekdays": ["sunday"]}]})
    return person.send(
        "PUT", f"{PROVISIONING}/templates/{part(name)}", {"template": f'{{{{ define "x" }}}}{text}{{{{ end }}}}'}
    )


@deed(NAMES)
def delete_template(person: Person, name: str) -> object:
    """Delete a template."""
    return person.send("DELETE", f"{PROVISIONING}/templates/{part(name)}")


@deed(st.integers(0, 5), st.integers(0, 2), TITLES)
def annotate(person: Person, dashboard: int, month: int, text: str) -> object:
    """Note something on the time axis, of a dashboard where there is one."""
    place = {"dashboardUID": f"d{dashboard}", "panelId": 1} if person.known(f"/api/dashboards/uid/d{dashboard}") else {}
    begun = 1790000000000 + month * 2_600_000_000
    return person.send(
        "POST", "/api/annotations", {**place, "time": begun, "timeEnd": begun + month, "text": text, "tags": []}
    )


@deed(TITLES, st.integers(0, 5))
def save_playlist(person: Person, name: str, dashboard: int) -> object:
    """Make a playlist."""
    item = {"type": "dashboard_by_uid", "value": f"d{dashboard}", "order": 1, "title": name}
    return person.send("POST", "/api/playlists", {"name": name, "interval": "5m", "items": [item]})


DEEDS = st.one_of(
    save_folder,
    delete_folder,
    save_dashboard,
    save_dashboard,
    delete_dashboard,
    save_library_panel,
    delete_library_panel,
    save_data_source,
    delete_data_source,
    save_correlation,
    save_user,
    save_team,
    delete_team,
    prefer,
    allow,
    save_rule,
    delete_rule,
    save_contact_point,
    delete_contact_point,
    save_policies,
    save_template,
    delete_template,
    annotate,
    save_playlist,
)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(DEEDS, min_size=5, max_size=40))
def test_whatever_was_done_comes_back(deeds: list[Deed]) -> None:
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory), "old", "new") as (old, new):
        person = Person(old.client())
        for one in deeds:
            one.what(person, *one.values)
        tree, again = Path(directory, "tree"), Path(directory, "again")
        save(old, tree)
        restore(new, tree, secrets=SECRETS)
        save(new, again)
        assert files(again) == files(tree)
        before = new.control.count("POST|PUT|PATCH|DELETE")
        restore(new, tree, secrets={})
        assert new.control.count("POST|PUT|PATCH|DELETE") == before
