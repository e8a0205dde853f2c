# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a Grafana as a source of a set: what is asked when it is saved, and what counts as the same later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.applications import SETTLED_SECONDS, Asked, Question
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import GrafanaBackup
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import KINDS
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_source import GrafanaApplication, save_into
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import DAY
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Manifest, Probe

from tests.unit.plugins.module_utils.conftest import RUN, Answers, Backups, Given, Server, vector

pytestmark = pytest.mark.unit

NOW = 1795475119.5
AT = NOW - SETTLED_SECONDS
PROXY = "/api/datasources/proxy/uid/prom/api/v1/query"
PROVISIONING = "/api/v1/provisioning"
EVERY_KIND = [kind.name for kind in KINDS]
# A Grafana with nothing in it, where each kind is listed.
NOTHING: dict[str, Any] = {
    "/api/health": {"database": "ok", "version": "9.4.0"},
    "/api/org/users": [],
    "/api/teams/search": {"teams": []},
    "/api/serviceaccounts/search": {"serviceAccounts": []},
    "/api/library-elements": {"result": {"elements": []}},
    f"{PROVISIONING}/templates": [],
    f"{PROVISIONING}/mute-timings": [],
    f"{PROVISIONING}/contact-points": [],
    f"{PROVISIONING}/policies": {"receiver": "grafana-default-email"},
    f"{PROVISIONING}/alert-rules": [],
    "/api/org/preferences": {},
    "/api/playlists": [],
    "/api/annotations": [],
    "/api/datasources/correlations": [],
}
PROMETHEUS = {"uid": "prom", "name": "Prometheus", "type": "prometheus", "isDefault": True}


@dataclass
class Site:
    """Dashboards, by uid the expressions of their panels, and which of these have data; one that is not said fails."""

    boards: dict[str, list[str]] = field(default_factory=lambda: {"a": ["up", "down"], "b": ["up"], "c": []})
    data: dict[str, bool] = field(default_factory=lambda: {"up": True, "down": False})

    def server(self) -> Server:
        """One that answers so."""
        answers: Answers = {path: (200, shown) for path, shown in NOTHING.items()}
        answers["/api/datasources"] = (200, [PROMETHEUS])
        answers["/api/datasources/uid/prom"] = (200, PROMETHEUS)
        answers["/api/search"] = self._search
        answers[PROXY] = self._query
        for uid, expressions in self.boards.items():
            panels = [{"type": "stat", "targets": [{"expr": one}]} for one in expressions]
            shown = {"uid": uid, "title": uid.upper(), "panels": panels}
            answers[f"/api/dashboards/uid/{uid}"] = (200, {"meta": {}, "dashboard": shown})
            answers[f"/api/dashboards/uid/{uid}/permissions"] = (200, [])
        # One that is gone.
        answers.setdefault("/api/dashboards/uid/b", (404, {"message": "Dashboard not found"}))
        return Server(answers)

    def _search(self, params: Mapping[str, str]) -> Given:
        listed = [{"uid": uid, "title": uid.upper()} for uid in self.boards]
        return 200, listed if params["type"] == "dash-db" else []

    def _query(self, params: Mapping[str, str]) -> Given:
        if params["query"] not in self.data:
            return 400, {"message": "parse error"}
        return vector("1") if self.data[params["query"]] else vector()


def asking(server: Server) -> GrafanaApplication:
    """A Grafana that is asked, at a time."""
    return GrafanaApplication(grafana(server), 2, lambda: NOW)


def grafana(server: Server) -> Grafana:
    """The client of a server."""
    return Grafana("http://h:3000", server, Effects())


def probes(site: Site) -> dict[str, Probe]:
    """What is noted of a site, by question."""
    return {probe.question: probe for probe in asking(site.server()).examine([]).probes}


def queries(server: Server) -> list[str]:
    """The expressions that a data source was asked for."""
    return sorted(params["query"] for _method, path, params in server.asked if path == PROXY)


def test_each_kind_and_each_dashboard_with_queries_is_noted() -> None:
    noted = probes(Site())

    assert list(noted) == [*EVERY_KIND, "dashboard a", "dashboard b"]
    assert {probe.at for probe in noted.values()} == {AT}
    assert noted["dashboard a"].answer == "1 of 2 panel queries have data"
    assert noted["dashboard b"].answer == "1 of 1 panel queries have data"
    assert noted["dashboards"].answer.startswith("3 objects, ")
    assert noted["folders"].answer.startswith("0 objects, ")


def test_counts_and_version_are_noted_as_well() -> None:
    examined = asking(Site({"a": ["up", "down", "bad"]}).server()).examine([])

    assert examined.software == {"grafana": "9.4.0"}
    assert examined.facts == {
        "objects": {"data_sources": 1, "dashboards": 1, "policies": 1, "dashboard_permissions": 1, "organization": 1},
        "panel_queries": 3,
        "panel_queries_with_data": 1,
        "panel_queries_failed": 1,
        "panels_not_asked": 0,
    }


def test_only_a_grafanas_own_objects_are_asked_about() -> None:
    with pytest.raises(
        UsageError, match=r"Grafana at http://h:3000 .* and 'up' was to be asked: ask the server whose data"
    ):
        asking(Site().server()).examine([Question("up", 1.0)])


def test_a_query_is_asked_once_however_many_panels_have_it() -> None:
    server = Site({"a": ["up", "up"], "b": ["up", "down"]}).server()
    GrafanaApplication(grafana(server), 1, lambda: NOW).examine([])

    assert queries(server) == ["down", "up"]


def test_a_dashboard_of_the_form_v2_is_not_asked_and_is_counted() -> None:
    # From source, not observed.
    path = "/apis/dashboard.grafana.app/v2/namespaces/default/dashboards/a"
    server = Site({"a": []}).server()
    data = {"kind": "QueryGroup", "spec": {"queries": [{"kind": "PanelQuery"}, {"kind": "PanelQuery"}]}}
    elements = {"panel-1": {"kind": "Panel", "spec": {"data": data}}, "panel-2": {"kind": "LibraryPanel", "spec": {}}}
    spec = {"title": "A", "elements": elements}
    shown = {"apiVersion": "dashboard.grafana.app/v2", "metadata": {"resourceVersion": "7"}, "spec": spec}
    server.answers["/api/dashboards/uid/a"] = (406, {"message": f"not supported, use {path} instead"})
    server.answers[path] = (200, shown)
    server.answers["/api/dashboards/uid/a/public-dashboards"] = (404, {"message": "not found"})

    examined = asking(server).examine([])
    assert (examined.facts["panels_not_asked"], examined.facts["objects"]["dashboards"]) == (2, 1)
    assert "dashboard a" not in {probe.question for probe in examined.probes}


def test_a_dashboard_that_no_page_shows_is_saved_and_not_asked() -> None:
    server = Site({"a": ["up"]}).server()
    shown = {"uid": "a", "title": "A", "panels": [{"targets": ["up"]}]}
    server.answers["/api/dashboards/uid/a"] = (200, {"meta": {}, "dashboard": shown})

    examined = asking(server).examine([])
    assert (examined.facts["panels_not_asked"], examined.facts["objects"]["dashboards"]) == (1, 1)


def test_a_grafana_with_the_same_content_and_data_answers_the_same() -> None:
    noted = list(probes(Site()).values())
    server = Site().server()

    assert asking(server).ask(noted, {}) == [Asked(one.question, one.at, one.answer, one.answer, True) for one in noted]
    times = {params["time"] for _method, path, params in server.asked if path == PROXY}
    assert times == {f"{AT:.3f}"}


LATER: dict[str, tuple[Site, dict[str, tuple[str, bool]]]] = {
    "more has data": (Site(data={"up": True, "down": True}), {"dashboard a": ("2 of 2 panel queries have data", True)}),
    "less has data": (
        Site(data={"up": False, "down": False}),
        {
            "dashboard a": ("0 of 2 panel queries have data", False),
            "dashboard b": ("0 of 1 panel queries have data", False),
        },
    ),
    "it does not answer": (
        Site(data={"down": False}),
        {
            "dashboard a": ("0 of 2 panel queries have data", False),
            "dashboard b": ("0 of 1 panel queries have data", False),
        },
    ),
    "a dashboard is gone": (
        Site({"a": ["up", "down"], "c": []}),
        {
            "dashboard b": ("nothing", False),
            "dashboards": ("2 objects", False),
            "dashboard_permissions": ("2 obj", False),
        },
    ),
    "a query is another one": (
        Site({"a": ["up", "down"], "b": ["1"], "c": []}, {"1": True, "up": True, "down": False}),
        {"dashboards": ("3 objects", False)},
    ),
    "a query has come": (
        Site({"a": ["up", "down"], "b": ["up", "down"], "c": []}),
        {"dashboard b": ("1 of 2 panel queries have data", False), "dashboards": ("3 objects", False)},
    ),
}


@pytest.mark.parametrize(("later", "differing"), LATER.values(), ids=LATER)
def test_what_is_not_as_it_was_is_told(later: Site, differing: dict[str, tuple[str, bool]]) -> None:
    asked = asking(later.server()).ask(list(probes(Site()).values()), {})

    found = {one.question: one for one in asked if one.answer != one.expected}
    assert set(found) == set(differing)
    for question, (words, good) in differing.items():
        assert str(found[question].answer).startswith(words)
        assert found[question].same is good


def saved(backups: Backups, server: Server, kinds: list[str] | None = None) -> Manifest:
    """Save a Grafana into a set of its own; the next day begins."""
    names = EVERY_KIND if kinds is None else kinds
    chosen = [kind for kind in KINDS if kind.name in names]
    backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        save_into(filling, GrafanaBackup(grafana(server), chosen, 2), asking(server), names, Effects())
    manifest = backups.commit("grafana")
    backups.now += DAY
    return manifest


def test_a_set_holds_the_files_and_what_was_asked(backups: Backups) -> None:
    manifest = saved(backups, Site().server())
    source, root = manifest.sources["grafana"], backups.area().path(manifest.id) / "grafana"

    assert {probe.question: probe for probe in source.probes} == probes(Site())
    assert (source.kind, source.origin, source.software) == ("grafana", "http://h:3000", {"grafana": "9.4.0"})
    assert source.files == len([path for path in root.rglob("*") if path.is_file()])
    assert source.facts["objects"] == json.loads((root / "index.json").read_bytes())["kinds"]
    assert {Tree(root).thing(entry).key for entry in Tree(root).entries if entry.kind == "dashboards"} == {
        "a",
        "b",
        "c",
    }


def test_what_was_saved_is_not_read_again_to_ask_about_it(backups: Backups) -> None:
    server = Site().server()
    saved(backups, server)

    read = [path for _method, path, _params in server.asked if path.startswith("/api/dashboards/uid/")]
    assert sorted(read) == sorted(f"/api/dashboards/uid/{uid}{what}" for uid in "abc" for what in ("", "/permissions"))


def test_a_set_shares_the_files_that_have_not_changed(backups: Backups) -> None:
    saved(backups, Site().server())

    source = saved(backups, Site({"a": ["up"], "b": ["up"], "c": []}).server()).sources["grafana"]
    # All objects but the one that has changed; what is written about them is not linked.
    assert (source.linked_files, source.files) == (source.files - 4, sum(source.facts["objects"].values()) + 3)
    assert 0 < source.linked_bytes < source.bytes


def test_only_the_kinds_that_were_saved_are_asked_about(backups: Backups) -> None:
    source = saved(backups, Site().server(), ["data_sources", "dashboards"]).sources["grafana"]

    assert [probe.question for probe in source.probes] == ["data_sources", "dashboards", "dashboard a", "dashboard b"]
