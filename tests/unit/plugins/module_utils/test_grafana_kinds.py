# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every kind of object in its one form; numbers name the recorded exchanges with a real 9.4, whose answers these are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ReadingIncomplete,
    RightMissing,
    ServerError,
    UnknownForm,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    KINDS,
    PAGE,
    SEARCH_PAGE,
    Ref,
    Thing,
    all_annotations,
    refs_of,
    secret_fields,
    thing_of,
)

from tests.unit.plugins.module_utils.conftest import Answers, Given, Server

pytestmark = pytest.mark.unit

KIND = {kind.name: kind for kind in KINDS}
NOT_FOUND = (404, {"message": "not found"})
PICTURE = {"avatarUrl": "/public/img/user_profile.png"}
BY = {"id": 1, "name": "admin", **PICTURE}
TIMES = {"created": "2026-11-23T21:37:44Z", "updated": "2026-11-23T21:37:44Z"}
MAY = {"canSave": True, "canEdit": True, "canAdmin": True, "canDelete": True, "hasAcl": False}


def asking(answers: Answers) -> Grafana:
    """A Grafana with these answers."""
    return Grafana("http://h", Server(answers), Effects(), lambda _seconds: None)


def things(kind: str, answers: Answers) -> list[Thing]:
    """Everything of a kind."""
    server = asking(answers)
    read = [KIND[kind].read(server, ref) for ref in KIND[kind].refs(server)]
    assert None not in read
    return [thing for thing in read if thing is not None]


def ok(*listed: Any) -> Given:
    """A list."""
    return 200, list(listed)


def team(number: int, name: str) -> dict[str, Any]:
    """029"""
    counted = {"memberCount": 2, "permission": 0, "accessControl": None}
    return {"id": number, "orgId": 1, "name": name, "email": "sre@example.org", **PICTURE, **counted}


def member(number: int, login: str, permission: int) -> dict[str, Any]:
    """030"""
    about = {"auth_module": "", "email": f"{login}@example.org", "name": "", "labels": [], **PICTURE}
    return {"orgId": 1, "teamId": 1, "userId": number, "login": login, "permission": permission, **about}


def permission(level: int, inherited: bool = False, **holder: Any) -> dict[str, Any]:
    """095"""
    nobody = {"userId": 0, "userLogin": "", "userEmail": "", "teamId": 0, "teamEmail": "", "team": ""}
    about = {"folderId": 2, "uid": "ops", "title": "運用 2", "isFolder": True, **TIMES, "permissionName": "View"}
    return {**about, **nobody, **holder, "permission": level, "inherited": inherited}


def panel(number: int, uid: str, folder: str = "") -> dict[str, Any]:
    """062, changes/039"""
    meta = {
        "folderName": "General",
        "folderUid": folder,
        "connectedDashboards": 0,
        **TIMES,
        "createdBy": BY,
        "updatedBy": BY,
    }
    told = {"id": number, "orgId": 1, "folderId": 0, "folderUid": folder, "uid": uid, "name": uid.upper(), "kind": 1}
    return {**told, "type": "stat", "description": "", "model": {"type": "stat"}, "version": 1, "meta": meta}


def library(number: int, *elements: Any, size: int = PAGE) -> tuple[int, Any]:
    """changes/039: the count is that of the page."""
    return 200, {"result": {"totalCount": len(elements), "elements": elements, "page": number, "perPage": size}}


def dashboard(uid: str, folder: str, **meta: Any) -> Given:
    """082"""
    public = {"hasPublicDashboard": False, "publicDashboardAccessToken": "", "publicDashboardUid": ""}
    about = {"type": "db", **MAY, **TIMES, "slug": "x", "version": 4, "folderId": 2, "folderUid": folder, **public}
    shown = {
        "id": 8,
        "uid": uid,
        "title": uid.upper(),
        "version": 4,
        "tags": ["b", "a"],
        "schemaVersion": 38,
        "panels": [],
    }
    return 200, {"meta": {**about, "provisioned": False, **meta}, "dashboard": shown}


def the_dashboard(uid: str, folder: str) -> dict[str, Any]:
    """The same in the one form."""
    shown = {"uid": uid, "title": uid.upper(), "tags": ["b", "a"], "schemaVersion": 38, "panels": []}
    return {"dashboard": shown, "folderUid": folder}


def hit(uid: str, **more: Any) -> dict[str, Any]:
    """086"""
    return {"id": 6, "uid": uid, "title": uid.upper(), "slug": "", "type": "dash-db", "sortMeta": 0, **more}


def rule(uid: str, group: str, **more: Any) -> dict[str, Any]:
    """140"""
    added = {"intervalMs": 1000, "maxDataPoints": 43200}
    query = {
        "refId": "A",
        "queryType": "",
        "datasourceUid": "prom",
        "model": {"expr": "up == 0", "refId": "A", **added},
    }
    own = {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {"type": "threshold", "intervalMs": 5000, "maxDataPoints": 9},
    }
    about = {"id": 1, "orgID": 1, "folderUID": "ops", "ruleGroup": group, "updated": "2026-11-23T21:37:48Z"}
    return {**about, "uid": uid, "title": uid.upper(), "condition": "B", "data": [query, own], "for": "2m", **more}


def the_rule(uid: str) -> dict[str, Any]:
    """The same in the one form."""
    query = {"refId": "A", "queryType": "", "datasourceUid": "prom", "model": {"expr": "up == 0", "refId": "A"}}
    own = {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {"type": "threshold", "intervalMs": 5000, "maxDataPoints": 9},
    }
    return {"uid": uid, "title": uid.upper(), "condition": "B", "data": [query, own], "for": "2m"}


NEWER = {"keep_firing_for": "0s", "notification_settings": None, "record": None}


def annotation(number: int, begun: int, ended: int | None = None, **more: Any) -> dict[str, Any]:
    """156"""
    about = {
        "alertId": 0,
        "dashboardId": 0,
        "dashboardUID": None,
        "panelId": 0,
        "userId": 0,
        "newState": "",
        "login": "admin",
    }
    times = {"created": 1795469870124, "updated": 1795469870238, "time": begun, "timeEnd": ended or begun}
    return {"id": number, **about, **times, "text": f"note {number}", "tags": ["y", "x"], "data": {}, **more}


def v2(uid: str, folder: str = "", **notes: str) -> Answers:
    """A dashboard of the form v2, which this API does not show."""
    path = f"/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards/{uid}"
    told = {"grafana.app/createdBy": "user:u1", **({"grafana.app/folder": folder} if folder else {}), **notes}
    counted = {"uid": "5e1a", "resourceVersion": "1795469870", "generation": 3, "creationTimestamp": TIMES["created"]}
    shown = {
        "kind": "Dashboard",
        "apiVersion": "dashboard.grafana.app/v2beta1",
        "metadata": {"name": uid, "namespace": "default", "annotations": told, "managedFields": [], **counted},
        "spec": v2_spec(uid),
        "status": {"conversion": {"failed": False}},
    }
    elsewhere = f"dashboard api version not supported, use {path} instead"
    return {f"/api/dashboards/uid/{uid}": (406, {"message": elsewhere}), path: (200, shown)}


def v2_spec(uid: str) -> dict[str, Any]:
    """What its page shows."""
    return {"title": uid.upper(), "elements": {"panel-1": {"kind": "Panel", "spec": {"id": 1}}}}


NO_PREFERENCES = {"weekStart": "", "language": "", "navbar": {"savedItems": None}, "queryHistory": {"homeTab": ""}}
SOURCE = {"id": 2, "uid": "prom", "orgId": 1, "name": "Prometheus", "type": "prometheus", "basicAuth": True}
SECRETS = {"basicAuthUser": "u", "jsonData": {"httpMethod": "POST"}, "secureJsonFields": {"basicAuthPassword": True}}
HOOK = {"uid": "cp1", "name": "ops-hook", "type": "webhook", "disableResolveMessage": False}
HOOK_SETTINGS = {"settings": {"password": "[REDACTED]", "url": "http://127.0.0.1:9/hook", "username": "u"}}
EMAIL = {"uid": "", "name": "email receiver", "type": "email", "settings": {"addresses": "<e@x>"}}
NIGHTS = {"name": "nights", "time_intervals": [{"weekdays": ["monday:friday"]}]}
ROUTE = {"receiver": "ops-hook", "object_matchers": [["severity", "=", "critical"]], "mute_time_intervals": ["nights"]}
POLICIES = {"receiver": "ops-hook", "group_by": ["alertname"], "routes": [ROUTE]}
LINK = {"sourceUID": "prom", "targetUID": "loki", "label": "logs", "description": "", "config": {"type": "query"}}
PLAYED = {"title": "Gateway", "type": "dashboard_by_uid", "value": "gw"}

# Kind, what is answered, and key, title, folder and content of each object; "provisioned" where it is.
FORMS: dict[str, tuple[str, Answers, list[tuple[Any, ...]]]] = {
    "009": (
        "users",
        {"/api/org/users": ok({**member(1, "admin", 0), "role": "Admin", "lastSeenAt": "2026", "isDisabled": False})},
        [("admin", "admin", "", {"login": "admin", "name": "", "email": "admin@example.org", "role": "Admin"})],
    ),
    "029, 030": (
        "teams",
        {
            "/api/teams/search": (200, {"totalCount": 1, "teams": [team(1, "SRE")], "page": 1, "perPage": PAGE}),
            "/api/teams/1/members": ok(member(5, "hanako", 0), member(1, "admin", 4)),
        },
        [
            (
                *("SRE", "SRE", ""),
                {
                    "name": "SRE",
                    "email": "sre@example.org",
                    "members": [{"login": "admin", "permission": 4}, {"login": "hanako", "permission": 0}],
                },
            )
        ],
    ),
    "changes/047, 049": (
        "team_preferences",
        {
            "/api/teams/search": (200, {"teams": [team(1, "A"), team(2, "B")], "perPage": PAGE}),
            "/api/teams/1/preferences": (200, {"theme": "", "homeDashboardId": 0, "timezone": "", **NO_PREFERENCES}),
            "/api/teams/2/preferences": (
                200,
                {"theme": "dark", "homeDashboardId": 7, "homeDashboardUID": "d2", **NO_PREFERENCES},
            ),
        },
        [("A", "A", "", {}), ("B", "B", "", {"theme": "dark", "homeDashboardUID": "d2"})],
    ),
    "018": (
        "service_accounts",
        {
            "/api/serviceaccounts/search": (
                200,
                {
                    "totalCount": 1,
                    "serviceAccounts": [
                        {
                            "id": 3,
                            "name": "sa",
                            "login": "sa-sa",
                            "orgId": 1,
                            "isDisabled": True,
                            "role": "Editor",
                            "tokens": 1,
                        }
                    ],
                    "page": 1,
                    "perPage": PAGE,
                },
            )
        },
        [("sa", "sa", "", {"name": "sa", "role": "Editor", "isDisabled": True})],
    ),
    "037, 038": (
        "data_sources",
        {
            "/api/datasources": ok({**SOURCE, "typeName": "Prometheus"}),
            "/api/datasources/uid/prom": (
                200,
                {**SOURCE, **SECRETS, "typeLogoUrl": "", "version": 1, "readOnly": False},
            ),
        },
        [
            (
                *("prom", "Prometheus", ""),
                {"uid": "prom", "name": "Prometheus", "type": "prometheus", "basicAuth": True, **SECRETS},
            )
        ],
    ),
    "042": (
        "data_sources",
        {
            "/api/datasources": ok(SOURCE),
            "/api/datasources/uid/prom": (200, {"uid": "prom", "version": 1, "readOnly": True}),
        },
        [("prom", "Prometheus", "", {"uid": "prom"}, "provisioned")],
    ),
    "053": (
        "folders",
        {
            "/api/search": ok(hit("ops")),
            "/api/folders/ops": (200, {"id": 2, "uid": "ops", "title": "運用", **MAY, **TIMES, "version": 1}),
        },
        [("ops", "運用", "", {"uid": "ops", "title": "運用"})],
    ),
    "nested folder: from source, not observed": (
        "folders",
        {
            "/api/search": ok(hit("gw")),
            "/api/folders/gw": (
                200,
                {"uid": "gw", "title": "GW", "parentUid": "ops", "parents": [{"uid": "ops"}], "version": 1},
            ),
        },
        [("gw", "GW", "ops", {"uid": "gw", "title": "GW", "parentUid": "ops"})],
    ),
    "062": (
        "library_panels",
        {"/api/library-elements": library(1, panel(1, "cpu", "ops"), panel(2, "l2"))},
        [
            (
                "cpu",
                "CPU",
                "ops",
                {"uid": "cpu", "name": "CPU", "kind": 1, "model": {"type": "stat"}, "folderUid": "ops"},
            ),
            ("l2", "L2", "", {"uid": "l2", "name": "L2", "kind": 1, "model": {"type": "stat"}, "folderUid": ""}),
        ],
    ),
    "082, 083": (
        "dashboards",
        {
            "/api/search": ok(hit("gw", folderUid="ops"), hit("p"), hit("pub")),
            "/api/dashboards/uid/gw": dashboard("gw", "ops"),
            "/api/dashboards/uid/p": dashboard("p", "", provisioned=True, provisionedExternalId="p.json"),
            "/api/dashboards/uid/pub": dashboard("pub", "", hasPublicDashboard=True, publicDashboardEnabled=True),
        },
        [
            (
                *(uid, uid.upper(), folder),
                {**the_dashboard(uid, folder), **more},
                *provisioned,
            )
            for uid, folder, more, provisioned in (
                ("gw", "ops", {}, ()),
                ("p", "", {}, ("provisioned",)),
                ("pub", "", {"public": {"isEnabled": True}}, ()),
            )
        ],
    ),
    "v2: from source, not observed": (
        "dashboards",
        {
            "/api/search": ok(hit("gw", folderUid="ops"), hit("p"), hit("pub")),
            **v2("gw", "ops"),
            **v2("p", **{"grafana.app/managedBy": "classic-file-provisioning"}),
            **v2("pub", **{"grafana.app/managedBy": "terraform"}),
            "/api/dashboards/uid/gw/public-dashboards": NOT_FOUND,
            "/api/dashboards/uid/p/public-dashboards": (200, {"uid": "l1", "isEnabled": False}),
            "/api/dashboards/uid/pub/public-dashboards": (200, {"uid": "l2", "isEnabled": True}),
        },
        [
            (
                *(uid, uid.upper(), folder),
                {
                    "apiVersion": "dashboard.grafana.app/v2beta1",
                    "spec": v2_spec(uid),
                    "folderUid": folder,
                    **more,
                },
                *provisioned,
            )
            for uid, folder, more, provisioned in (
                ("gw", "ops", {}, ()),
                ("p", "", {}, ("provisioned",)),
                ("pub", "", {"public": {"isEnabled": True}}, ()),
            )
        ],
    ),
    "public, and no more so: from source, not observed": (
        "dashboards",
        {
            "/api/search": ok(hit("new"), hit("off")),
            # Newer servers do not say whether there is a link that is off.
            "/api/dashboards/uid/new": dashboard("new", "", publicDashboardEnabled=True),
            "/api/dashboards/uid/off": dashboard("off", "", hasPublicDashboard=True, publicDashboardEnabled=False),
        },
        [
            (
                *(uid, uid.upper(), ""),
                {**the_dashboard(uid, ""), **more},
            )
            for uid, more in (("new", {"public": {"isEnabled": True}}), ("off", {}))
        ],
    ),
    "103": (
        "templates",
        {
            "/api/v1/provisioning/templates": ok(
                {"name": "flat", "template": "x"}, {"name": "f", "template": "y", "provenance": "file"}
            )
        },
        [
            ("flat", "flat", "", {"name": "flat", "template": "x"}),
            ("f", "f", "", {"name": "f", "template": "y"}, "provisioned"),
        ],
    ),
    "106": (
        "mute_timings",
        {"/api/v1/provisioning/mute-timings": ok({**NIGHTS, "provenance": "api", "version": "1a"})},
        [("nights", "nights", "", NIGHTS)],
    ),
    "112": (
        "contact_points",
        {"/api/v1/provisioning/contact-points": ok(EMAIL, {**HOOK, **HOOK_SETTINGS, "provenance": "api"})},
        [
            ("email receiver", "email receiver", "", EMAIL),
            ("cp1", "ops-hook", "", {**HOOK, **HOOK_SETTINGS}),
        ],
    ),
    "121": (
        "policies",
        {"/api/v1/provisioning/policies": (200, {**POLICIES, "provenance": "api"})},
        [("policies", "policies", "", POLICIES)],
    ),
    "policies of a file: from source, not observed": (
        "policies",
        {"/api/v1/provisioning/policies": (200, {**POLICIES, "provenance": "file"})},
        [("policies", "policies", "", POLICIES, "provisioned")],
    ),
    "139, 140": (
        "rules",
        {
            "/api/v1/provisioning/alert-rules": ok(
                rule("r3", "a b/監視"), rule("r2", "gw", provenance="file"), rule("r1", "gw")
            ),
            "/api/v1/provisioning/alert-rules/r3": (200, rule("r3", "a b/監視", provenance="api")),
            "/api/v1/provisioning/folder/ops/rule-groups/a%20b%2F%E7%9B%A3%E8%A6%96": (
                200,
                {"title": "a b/監視", "folderUid": "ops", "interval": 60, "rules": [rule("r3", "a b/監視")]},
            ),
            "/api/v1/provisioning/folder/ops/rule-groups/gw": (
                200,
                {
                    "title": "gw",
                    "folderUid": "ops",
                    "interval": 30,
                    "rules": [rule("r2", "gw", provenance="file"), rule("r1", "gw")],
                },
            ),
        },
        [
            (
                *("ops/a b/監視", "a b/監視", "ops"),
                {"title": "a b/監視", "folderUid": "ops", "interval": 60, "rules": [the_rule("r3")]},
            ),
            (
                *("ops/gw", "gw", "ops"),
                {"title": "gw", "folderUid": "ops", "interval": 30, "rules": [the_rule("r2"), the_rule("r1")]},
                "provisioned",
            ),
        ],
    ),
    "rules as newer servers tell them: from source, not observed": (
        "rules",
        {
            "/api/v1/provisioning/alert-rules": ok(rule("r1", "gw", **NEWER), rule("r2", "gw", **NEWER)),
            "/api/v1/provisioning/folder/ops/rule-groups/gw": (
                200,
                {
                    "title": "gw",
                    "folderUid": "ops",
                    "interval": 30,
                    "rules": [rule("r1", "gw", **NEWER), rule("r2", "gw", **{**NEWER, "keep_firing_for": "5m"})],
                },
            ),
            "/api/v1/provisioning/alert-rules/r1": (200, rule("r1", "gw", **NEWER)),
        },
        [
            (
                *("ops/gw", "gw", "ops"),
                {
                    "title": "gw",
                    "folderUid": "ops",
                    "interval": 30,
                    "rules": [the_rule("r1"), {**the_rule("r2"), "keep_firing_for": "5m"}],
                },
            )
        ],
    ),
    "rules of a file on 9.4, whose lists do not tell it: from source, not observed": (
        "rules",
        {
            "/api/v1/provisioning/alert-rules": ok(rule("r1", "gw"), rule("r2", "gw")),
            "/api/v1/provisioning/folder/ops/rule-groups/gw": (
                200,
                {"title": "gw", "folderUid": "ops", "interval": 30, "rules": [rule("r1", "gw"), rule("r2", "gw")]},
            ),
            "/api/v1/provisioning/alert-rules/r1": (200, rule("r1", "gw", provenance="file")),
        },
        [
            (
                *("ops/gw", "gw", "ops"),
                {
                    "title": "gw",
                    "folderUid": "ops",
                    "interval": 30,
                    "rules": [the_rule("r1"), the_rule("r2")],
                },
                "provisioned",
            )
        ],
    ),
    "095": (
        "folder_permissions",
        {
            "/api/search": ok(hit("ops")),
            "/api/folders/ops/permissions": ok(
                permission(1, userId=5, userLogin="hanako"),
                permission(4, teamId=1, team="SRE"),
                permission(2, role="Editor"),
                permission(1, role="Viewer", inherited=True),
            ),
        },
        [
            (
                *("ops", "OPS", ""),
                {
                    "items": [
                        {"permission": 1, "user": "hanako"},
                        {"permission": 2, "role": "Editor"},
                        {"permission": 4, "team": "SRE"},
                    ]
                },
            )
        ],
    ),
    "099": (
        "dashboard_permissions",
        {
            "/api/search": ok(hit("gw", folderUid="ops")),
            "/api/dashboards/uid/gw/permissions": ok(permission(1, role="Viewer")),
        },
        [("gw", "GW", "ops", {"items": [{"permission": 1, "role": "Viewer"}]})],
    ),
    "158": (
        "organization",
        {
            "/api/org/preferences": (
                200,
                {"theme": "light", "homeDashboardId": 6, "homeDashboardUID": "gw", "timezone": "utc", **NO_PREFERENCES},
            )
        },
        [("organization", "organization", "", {"theme": "light", "homeDashboardUID": "gw", "timezone": "utc"})],
    ),
    "160, 161": (
        "playlists",
        {
            "/api/playlists": ok({"id": 1, "uid": "5TOUjIROz", "name": "wall", "interval": "5m"}),
            "/api/playlists/5TOUjIROz": (
                200,
                {"interval": "5m", "items": [PLAYED], "name": "wall", "uid": "5TOUjIROz"},
            ),
        },
        [("wall", "wall", "", {"name": "wall", "interval": "5m", "items": [PLAYED]})],
    ),
    "156, changes/098": (
        "annotations",
        {
            "/api/annotations": ok(
                annotation(3, 1795469869788, 1795469929788),
                annotation(2, 1790000000000, dashboardUID="d2", dashboardId=7, panelId=1),
                annotation(1, 1790000000000),
            )
        },
        [
            (
                *("2026-09", "2026-09", ""),
                {
                    "annotations": [
                        {
                            "dashboardUID": "d2",
                            "panelId": 1,
                            "time": 1790000000000,
                            "timeEnd": 1790000000000,
                            "text": "note 2",
                            "tags": ["x", "y"],
                        },
                        {"time": 1790000000000, "timeEnd": 1790000000000, "text": "note 1", "tags": ["x", "y"]},
                    ]
                },
            ),
            (
                *("2026-11", "2026-11", ""),
                {
                    "annotations": [
                        {"time": 1795469869788, "timeEnd": 1795469929788, "text": "note 3", "tags": ["x", "y"]}
                    ]
                },
            ),
        ],
    ),
    "166": (
        "correlations",
        {"/api/datasources/correlations": ok({"uid": "x6d8CIgdz", **LINK})},
        [("prom-logs", "prom-logs", "", LINK)],
    ),
    "what a correlation is, beside its configuration: from source, not observed": (
        "correlations",
        {"/api/datasources/correlations": ok({"uid": "x", **LINK, "type": "query", "config": {"field": "instance"}})},
        [("prom-logs", "prom-logs", "", {**LINK, "config": {"type": "query", "field": "instance"}})],
    ),
    "correlations, wrapped: from source, not observed": (
        "correlations",
        {
            "/api/datasources/correlations": (
                200,
                {
                    "correlations": [{"uid": "x", "orgId": 1, "provisioned": True, **LINK}],
                    "page": 1,
                    "limit": 100,
                    "totalCount": 1,
                },
            ),
        },
        [("prom-logs", "prom-logs", "", LINK, "provisioned")],
    ),
    "no correlations: from source, not observed": ("correlations", {"/api/datasources/correlations": NOT_FOUND}, []),
}


@pytest.mark.parametrize(("kind", "answers", "expected"), FORMS.values(), ids=FORMS)
def test_an_object_has_one_form_on_every_server(kind: str, answers: Answers, expected: list[tuple[Any, ...]]) -> None:
    read = things(kind, answers)

    assert read == [
        Thing(kind, key, title, folder, content, bool(provisioned))
        for key, title, folder, content, *provisioned in expected
    ]
    assert all(json.loads(json.dumps(thing.content)) == thing.content for thing in read)


def lacking(shown: Any) -> Iterator[Any]:
    """The same without one of its members, whichever it is, and with nothing in its place."""
    for name in shown if isinstance(shown, dict) else range(len(shown)) if isinstance(shown, list) else ():
        rest = {key: value for key, value in shown.items() if key != name} if isinstance(shown, dict) else None
        yield from [] if rest is None else [rest]
        for value in (None, *lacking(shown[name])):
            copy = shown.copy()
            copy[name] = value
            yield copy


@pytest.mark.parametrize(("kind", "answers", "expected"), FORMS.values(), ids=FORMS)
def test_whatever_a_server_leaves_out_is_an_error_that_names_it_or_does_no_harm(
    kind: str, answers: Answers, expected: list[tuple[Any, ...]]
) -> None:
    refused = 0
    for path, given in answers.items():
        assert isinstance(given, tuple)
        for shown in lacking(given[1]):
            server = asking({**answers, path: (200, shown)})
            try:
                read = [thing_of(KIND[kind], server, ref) for ref in refs_of(KIND[kind], server)]
            except RightMissing:
                continue
            except UnknownForm as error:
                assert re.match(f"of (the list of {kind}|{kind} '.*), .* was expected, and ", str(error))
                refused += 1
                continue
            for thing in read:
                assert thing is not None
                secret_fields(thing)
    assert refused or kind == "organization" or not expected


def test_every_kind_is_read_in_the_order_of_a_restore() -> None:
    assert [
        kind.name for kind in KINDS if kind.name not in {kind for kind, _answers, _expected in FORMS.values()}
    ] == []
    order = [kind.name for kind in KINDS]
    for earlier, later in [
        ("users", "teams"),
        ("data_sources", "dashboards"),
        ("folders", "library_panels"),
        ("library_panels", "dashboards"),
        ("templates", "contact_points"),
        ("contact_points", "policies"),
        ("mute_timings", "policies"),
        ("policies", "rules"),
        ("dashboards", "dashboard_permissions"),
        ("dashboards", "organization"),
        ("dashboards", "playlists"),
        ("data_sources", "correlations"),
    ]:
        assert order.index(earlier) < order.index(later)


GONE = {
    "teams": "/api/teams/1/members",
    "team_preferences": "/api/teams/1/preferences",
    "data_sources": "/api/datasources/uid/x",
    "folders": "/api/folders/x",
    "dashboards": "/api/dashboards/uid/x",
    "rules": "/api/v1/provisioning/folder/f/rule-groups/x",
    "folder_permissions": "/api/folders/x/permissions",
    "dashboard_permissions": "/api/dashboards/uid/x/permissions",
}


@pytest.mark.parametrize(("kind", "path"), GONE.items())
def test_what_has_gone_since_it_was_listed_is_none(kind: str, path: str) -> None:
    ref = Ref(kind, "x", "x", "f", {"id": 1})

    assert KIND[kind].read(asking({path: NOT_FOUND}), ref) is None
    with pytest.raises(ServerError, match="status 500"):
        KIND[kind].read(asking({path: (500, {"message": "no"})}), ref)


def in_pages(listed: list[Any], size: str, wrap: Any = None, most: int = 10**6) -> Callable[[Mapping[str, str]], Given]:
    """Answers a part of a list; no page holds more than ``most``."""

    def page(params: Mapping[str, str]) -> Given:
        number, limit = int(params["page"]), min(int(params[size]), most)
        part = listed[(number - 1) * limit : number * limit]
        return 200, part if wrap is None else wrap(number, limit, part)

    return page


def wrapped(name: str) -> Any:
    """How teams and service accounts are listed."""
    return lambda number, limit, part: {"totalCount": 9, name: part, "page": number, "perPage": limit}


LISTS: dict[str, tuple[str, str, Any, Any, int]] = {
    "dashboards": ("/api/search", "limit", lambda number: hit(f"u{number}"), None, SEARCH_PAGE),
    "folders": ("/api/search", "limit", lambda number: hit(f"u{number}"), None, SEARCH_PAGE),
    "library_panels": (
        *("/api/library-elements", "perPage", lambda number: panel(number, f"u{number}")),
        lambda number, limit, part: library(number, *part, size=limit)[1],
        PAGE,
    ),
    "teams": ("/api/teams/search", "perpage", lambda number: team(number, f"u{number}"), wrapped("teams"), PAGE),
    "service_accounts": (
        *(
            "/api/serviceaccounts/search",
            "perpage",
            lambda number: {"id": number, "name": f"u{number}", "role": "Viewer"},
        ),
        wrapped("serviceAccounts"),
        PAGE,
    ),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("more", [-1, 0, 1, 2])
def test_a_list_has_no_ceiling(kind: str, more: int) -> None:
    path, size, make, wrap, page = LISTS[kind]
    number = page * 2 + more

    refs = KIND[kind].refs(asking({path: in_pages([make(one) for one in range(number)], size, wrap)}))

    assert [ref.key for ref in refs] == [f"u{one}" for one in range(number)]


@pytest.mark.parametrize("kind", [kind for kind in LISTS if LISTS[kind][3]])
def test_a_server_that_gives_less_on_a_page_than_it_is_asked_for_is_asked_on(kind: str) -> None:
    path, size, make, wrap, _page = LISTS[kind]

    refs = KIND[kind].refs(asking({path: in_pages([make(one) for one in range(250)], size, wrap, most=100)}))

    assert [ref.key for ref in refs] == [f"u{one}" for one in range(250)]


@pytest.mark.parametrize("kind", LISTS)
def test_an_object_that_moves_to_the_next_page_meanwhile_is_listed_once(kind: str) -> None:
    path, size, make, wrap, page = LISTS[kind]
    listed = [make(one) for one in range(page + 3)]
    listed.insert(page, listed[page - 1])

    refs = KIND[kind].refs(asking({path: in_pages(listed, size, wrap)}))

    assert [ref.key for ref in refs] == [f"u{one}" for one in range(page + 3)]


def test_correlations_in_pages_have_no_ceiling() -> None:
    # From source, not observed: 100 on a page, and at most 1,000 of them.
    listed = [{**LINK, "uid": f"u{number}", "label": f"{number:04}"} for number in range(1500)]

    def page(params: Mapping[str, str]) -> Given:
        return in_pages(listed, "limit", wrapped("correlations"), PAGE)({"limit": "100", "page": "1", **params})

    refs = KIND["correlations"].refs(asking({"/api/datasources/correlations": page}))
    assert [ref.key for ref in refs] == [f"prom-{number:04}" for number in range(1500)]


def test_playlists_have_no_pages_and_no_ceiling() -> None:
    # From source, not observed: 1,000 are listed, or as many as are asked for.
    listed = [{"id": number, "uid": f"p{number}", "name": f"n{number:05}"} for number in range(PAGE * 11)]
    asked = []

    def some(params: Mapping[str, str]) -> Given:
        asked.append(dict(params))
        return 200, listed[: int(params.get("limit", PAGE))]

    answers: Answers = {f"/api/playlists/{one['uid']}": (200, {**one, "interval": "5m", "items": []}) for one in listed}
    refs = KIND["playlists"].refs(asking({**answers, "/api/playlists": some}))

    assert [ref.key for ref in refs] == [one["name"] for one in listed]
    assert asked == [{}, {"limit": "10000"}, {"limit": "100000"}]


def noted(listed: list[dict[str, Any]]) -> Server:
    """A server that lists annotations as a real one does: who ends last comes first, as many as are asked for."""
    ordered = sorted(listed, key=lambda one: (-one["timeEnd"], -one["time"], one["id"]))

    def page(params: Mapping[str, str]) -> Given:
        begin, end = int(params["from"]), int(params["to"])
        found = [one for one in ordered if one["time"] <= end and one["timeEnd"] >= begin]
        return 200, found[: int(params["limit"])]

    return Server({"/api/annotations": page})


NOTES = {
    "none": [],
    "one page": [annotation(one, 10**12 + one) for one in range(PAGE)],
    "several pages": [annotation(one, 10**12 + one) for one in range(PAGE * 3 + 1)],
    "all at one time": [annotation(one, 10**12) for one in range(PAGE * 2 + 5)],
    "few times": [annotation(one, 10**12 + one // 1500) for one in range(PAGE * 4)],
    "all begin early and end late": [annotation(one, 10**9, 10**12 + one) for one in range(PAGE * 2 + 5)],
    "long ones over short ones": [
        annotation(one, 10**9 + one, 10**12 + one * 7 if one % 2 else 10**9 + one) for one in range(PAGE * 2)
    ],
    "seconds and microseconds and nanoseconds for milliseconds": [
        annotation(one, 1795469869 * factor) for one, factor in enumerate((1, 1000, 10**6, 10**9))
    ],
}


@pytest.mark.parametrize("listed", NOTES.values(), ids=NOTES)
def test_all_annotations_are_found_once(listed: list[dict[str, Any]]) -> None:
    server = noted(listed)

    found = all_annotations(Grafana("http://h", server, Effects()))

    assert sorted(one["id"] for one in found) == [one["id"] for one in listed]
    assert len(server.asked) <= 12


def test_annotations_of_the_far_future_are_of_the_last_month() -> None:
    refs = KIND["annotations"].refs(Grafana("http://h", noted(NOTES[list(NOTES)[-1]]), Effects()))

    assert [ref.key for ref in refs] == ["1970-01", "2026-11", "9999-12"]
    assert [len(ref.known["annotations"]) for ref in refs] == [1, 1, 2]


def test_an_annotation_that_was_made_anew_has_the_same_form() -> None:
    old, new = (
        things("annotations", {"/api/annotations": ok(*listed)})
        for listed in (
            [annotation(1, 5_000, text="a"), annotation(2, 5_000, text="b"), annotation(3, 4_000, text="c")],
            [annotation(8, 5_000, text="b"), annotation(9, 5_000, text="a"), annotation(7, 4_000, text="c")],
        )
    )

    assert old == new


def playlists(*names_and_values: tuple[str, str]) -> Answers:
    """Playlists of one item each."""
    answers: Answers = {
        f"/api/playlists/p{number}": (
            200,
            {"uid": f"p{number}", "name": name, "interval": "5m", "items": [{"type": "t", "value": value}]},
        )
        for number, (name, value) in enumerate(names_and_values)
    }
    listed = [
        {"id": number, "uid": f"p{number}", "name": name} for number, (name, _value) in enumerate(names_and_values)
    ]
    return {**answers, "/api/playlists": ok(*listed)}


def test_objects_without_a_uid_of_their_own_are_numbered_by_what_they_hold() -> None:
    made = [("wall", "b"), ("wall", "a"), ("wall 2", "c"), ("wall", "a"), ("desk", "d")]
    read = things("playlists", playlists(*made))

    assert {thing.key: thing.content["items"][0]["value"] for thing in read} == {
        "desk": "d",
        "wall": "a",
        "wall 3": "a",
        "wall 4": "b",
        "wall 2": "c",
    }
    assert things("playlists", playlists(*reversed(made))) == read


def test_a_playlist_that_is_listed_and_not_found_is_not_lost() -> None:
    answers = playlists(("wall", "a"), ("desk", "b"))
    answers["/api/playlists/p1"] = NOT_FOUND

    with pytest.raises(ReadingIncomplete, match=r"playlist 'desk' .*is listed, and answered with status 404"):
        KIND["playlists"].refs(asking(answers))


def test_a_playlist_that_is_deleted_meanwhile_is_only_gone() -> None:
    answers = playlists(("wall", "a"), ("desk", "b"))

    def deleted(_params: Mapping[str, str]) -> Given:
        answers["/api/playlists"] = playlists(("wall", "a"))["/api/playlists"]
        return NOT_FOUND

    answers["/api/playlists/p1"] = deleted
    assert [ref.key for ref in KIND["playlists"].refs(asking(answers))] == ["wall"]


def test_a_permission_that_names_nobody_wants_more_rights() -> None:
    answers: Answers = {"/api/folders/ops/permissions": ok(permission(1, userId=5))}

    with pytest.raises(
        RightMissing, match=r"each permission of '運用 2' was expected to name a user, .*org\.users:read"
    ):
        KIND["folder_permissions"].read(asking(answers), Ref("folder_permissions", "ops", "運用 2"))


def test_the_names_of_secrets_are_told() -> None:
    found = {
        (kind, thing.key): secret_fields(thing)
        for kind, answers, _expected in FORMS.values()
        for thing in things(kind, answers)
        if secret_fields(thing)
    }

    assert found == {
        ("users", "admin"): ["password"],
        ("data_sources", "prom"): ["basicAuthPassword"],
        ("contact_points", "cp1"): ["password"],
    }
    assert secret_fields(
        Thing("data_sources", "x", "x", "", {"secureJsonFields": {"b": True, "a": True, "c": False}})
    ) == ["a", "b"]
    assert secret_fields(Thing("data_sources", "x", "x", "", {"secureJsonFields": None})) == []


def test_secrets_within_the_settings_of_a_contact_point_are_told_by_their_place() -> None:
    # From source, not observed: 9.4 has none that are nested.
    oauth = {"client_id": "ops", "client_secret": "[REDACTED]"}
    headers = [{"name": "a", "value": "[REDACTED]"}, {"name": "b", "value": "plain"}]
    settings = {"url": "http://x", "http_config": {"oauth2": oauth}, "headers": headers, "password": "[REDACTED]"}

    assert secret_fields(Thing("contact_points", "x", "x", "", {"settings": settings})) == [
        "headers.0.value",
        "http_config.oauth2.client_secret",
        "password",
    ]


def test_how_a_message_calls_an_object() -> None:
    assert Thing("teams", "SRE", "SRE", "", {}).words == "teams 'SRE'"
    assert Thing("dashboards", "gw", "Gateway", "", {}).words == "dashboards 'Gateway' (gw)"
