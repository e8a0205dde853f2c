# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small Grafana with objects of every kind, and what carries it to another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import HEADERS, Grafana, part
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import GrafanaBackup, Place, Saved
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import (
    GrafanaRestore,
    Policy,
    Progress,
    Step,
    select,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_writes import Secrets
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Credentials, RequestsTransport

from tests.lab.standins.grafana.client import Client
from tests.lab.standins.grafana.server import Running, started

PROVISIONING = "/api/v1/provisioning"
WRITING = "POST|PUT|PATCH|DELETE"
# Not a part of any word that a module returns: there it would be masked.
PASSWORD = "grafana-s3cret"
SECRETS = {
    "data_sources": {"prom": {"basicAuthPassword": "secret"}},
    "contact_points": {"hook": {"password": "p4ss"}},
    "users": {"hanako": {"password": "hanako-pass"}},
}


def a_panel(title: str = "up") -> dict[str, Any]:
    """A panel of a dashboard."""
    grid = {"h": 8, "w": 12, "x": 0, "y": 0}
    targets = [{"refId": "A", "expr": title}]
    source = {"type": "prometheus", "uid": "prom"}
    return {"id": 1, "type": "timeseries", "title": title, "gridPos": grid, "datasource": source, "targets": targets}


def a_dashboard(uid: str, title: str, folder: str = "", panels: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """What makes a dashboard."""
    dashboard = {
        "id": None,
        "uid": uid,
        "title": title,
        "tags": [],
        "schemaVersion": 38,
        "panels": [*panels] or [a_panel()],
    }
    return {"dashboard": dashboard, "folderUid": folder, "overwrite": False}


def a_rule(uid: str, title: str, folder: str, group: str) -> dict[str, Any]:
    """What makes an alert rule."""
    model = {"expr": "up == 0", "refId": "A", "instant": True}
    query = {
        "refId": "A",
        "queryType": "",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": "prom",
        "model": model,
    }
    place = {"folderUID": folder, "ruleGroup": group, "orgID": 1}
    states = {"noDataState": "NoData", "execErrState": "Error", "for": "2m", "labels": {"severity": "critical"}}
    return {"uid": uid, "title": title, "condition": "A", "data": [query], **states, **place}


def fill(client: Client) -> None:
    """Make objects of every kind."""
    send = client.send
    hanako = send("POST", "/api/admin/users", {**a_person("hanako"), "password": "hanako-pass"})["id"]
    send("PATCH", f"/api/org/users/{hanako}", {"role": "Editor"})
    team = send("POST", "/api/teams", {"name": "SRE", "email": "sre@example.org"})["teamId"]
    send("POST", f"/api/teams/{team}/members", {"userId": hanako})
    account = send("POST", "/api/serviceaccounts", {"name": "Report Robot", "role": "Viewer"})["id"]
    send("POST", "/api/serviceaccounts", {"name": "retired", "role": "Editor", "isDisabled": True})
    prometheus = {
        "uid": "prom",
        "name": "Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "http://127.0.0.1:9",
    }
    auth = {"basicAuth": True, "basicAuthUser": "u", "secureJsonData": {"basicAuthPassword": "secret"}}
    send("POST", "/api/datasources", {**prometheus, **auth, "isDefault": True})
    send(
        "POST",
        "/api/datasources",
        {"uid": "loki", "name": "Loki", "type": "loki", "access": "proxy", "url": "http://x"},
    )
    for uid, title in (("ops", "運用"), ("odd", "a/b c?d%"), ("spare", "Spare")):
        send("POST", "/api/folders", {"uid": uid, "title": title})
    send(
        "POST",
        "/api/library-elements",
        {"uid": "cpu", "folderUid": "ops", "name": "CPU", "kind": 1, "model": a_panel("cpu")},
    )
    send(
        "POST",
        "/api/library-elements",
        {"uid": "ram", "folderUid": "", "name": "RAM", "kind": 1, "model": a_panel("ram")},
    )
    shared = {"id": 2, "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0}, "libraryPanel": {"uid": "cpu", "name": "CPU"}}
    for body in (
        a_dashboard("gw", "Gateway", "ops", [a_panel(), shared]),
        a_dashboard("gw2", "Gateway", "odd"),
        a_dashboard("lost", ' 100% "of" a/b: 監視 '),
        *(a_dashboard(f"d{number}", f"Board {number}", "spare") for number in range(12)),
    ):
        send("POST", "/api/dashboards/db", body)
    send(
        "PUT",
        f"{PROVISIONING}/templates/flat",
        {"template": '{{ define "flat" }}{{ .CommonLabels.alertname }}{{ end }}'},
    )
    send("POST", f"{PROVISIONING}/mute-timings", {"name": "nights", "time_intervals": [{"weekdays": ["sunday"]}]})
    hook = {"url": "http://127.0.0.1:9/", "password": "p4ss"}
    send("POST", f"{PROVISIONING}/contact-points", {"uid": "hook", "name": "ops", "type": "webhook", "settings": hook})
    mail = {"addresses": "a@example.org"}
    send("POST", f"{PROVISIONING}/contact-points", {"uid": "mail", "name": "ops", "type": "email", "settings": mail})
    inner = {"receiver": "ops", "object_matchers": [["a", "=", "b"]], "mute_time_intervals": ["nights"]}
    middle = {"receiver": "ops", "object_matchers": [["severity", "=", "critical"]], "routes": [inner]}
    send("PUT", f"{PROVISIONING}/policies", {"receiver": "grafana-default-email", "routes": [middle]})
    for folder, group, interval, titles in (
        ("ops", "gateway", 30, "ab"),
        ("ops", "a/b 100% 監視", 60, "c"),
        ("odd", "gateway", 90, "d"),
    ):
        rules = [a_rule(f"{folder}-{title}", title, folder, group) for title in titles]
        for rule in rules:
            send("POST", f"{PROVISIONING}/alert-rules", rule)
        path = f"{PROVISIONING}/folder/{folder}/rule-groups/{part(group)}"
        send("PUT", path, _group(folder, group, interval, rules))
    everybody = [
        {"role": "Viewer", "permission": 1},
        {"teamId": team, "permission": 4},
        {"userId": hanako, "permission": 2},
    ]
    send("POST", "/api/folders/ops/permissions", {"items": everybody})
    send("POST", "/api/dashboards/uid/gw/permissions", {"items": [{"userId": account, "permission": 1}, *everybody]})
    send("PUT", "/api/org/preferences", {"theme": "light", "timezone": "utc", "homeDashboardUID": "gw"})
    send("PUT", f"/api/teams/{team}/preferences", {"theme": "dark", "homeDashboardUID": "lost"})
    items = [
        {"type": "dashboard_by_uid", "value": uid, "order": number, "title": uid}
        for number, uid in enumerate(("gw", "lost"), 1)
    ]
    send("POST", "/api/playlists", {"name": "wall", "interval": "5m", "items": items})
    note = {"time": 1790000000000, "timeEnd": 1790000060000, "tags": ["maintenance"], "text": "window"}
    send("POST", "/api/annotations", note)
    send(
        "POST",
        "/api/annotations",
        {**note, "dashboardUID": "gw", "panelId": 1, "time": 1793000000000, "timeEnd": 1793000000000},
    )
    config = {"type": "query", "field": "instance", "target": {"expr": "{}"}}
    send("POST", "/api/datasources/uid/prom/correlations", {"targetUID": "loki", "label": "logs", "config": config})


def a_person(login: str) -> dict[str, str]:
    """Who somebody is."""
    return {"name": login.title(), "login": login, "email": f"{login}@example.org"}


def _group(folder: str, group: str, interval: int, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": group, "folderUid": folder, "interval": interval, "rules": rules}


@contextmanager
def servers(directory: Path, *names: str) -> Iterator[list[Running]]:
    """New servers, each with nothing but what it begins with."""
    with ExitStack() as stack:
        yield [stack.enter_context(started(directory / name, PASSWORD)) for name in names]


def grafana(server: Running, token: str = "", effects: Effects | None = None) -> Grafana:
    """Our client, as the administrator, or as whoever has the token."""
    credentials = Credentials(token=token) if token else Credentials(user="admin", password=server.password)
    transport = RequestsTransport(60, credentials, HEADERS, connections=4)
    return Grafana(server.url, transport, effects or Effects())


def save(server: Running, root: Path) -> Saved:
    """Write everything that a server has as files."""
    return GrafanaBackup(grafana(server), workers=4).save(Place(Effects(), root, root, 0o600))


def planned(
    server: Running,
    root: Path,
    policy: Policy | None = None,
    secrets: Secrets | None = None,
    token: str = "",
    accept_edited: bool = False,
    **chosen: Sequence[str],
) -> tuple[GrafanaRestore, list[Step]]:
    """Compare files with a server."""
    tree = Tree(root, accept_edited)
    work = GrafanaRestore(grafana(server, token), tree, policy, SECRETS if secrets is None else secrets, workers=4)
    return work, work.plan(select(tree, **chosen))


def restore(server: Running, root: Path, policy: Policy | None = None, **more: Any) -> tuple[list[Step], Progress]:
    """Put files onto a server."""
    work, steps = planned(server, root, policy, **more)
    work.check(steps)
    return steps, work.apply(steps)


def files(root: Path) -> dict[str, bytes]:
    """What a directory holds."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
