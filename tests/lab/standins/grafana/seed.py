# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a Grafana, this one or a real one, through its interface: `python3 -m grafana.seed URL PASSWORD`."""

from __future__ import annotations

import sys
import urllib.parse
from dataclasses import dataclass
from typing import Any

from .client import Client, basic

PROMETHEUS = "http://127.0.0.1:9090"
ALERTING = "/api/v1/provisioning"
UNLOCKED = {"X-Disable-Provenance": "true"}
BOARDS = 200
LARGE = 1024 * 1024
BEGIN = 1767225600000
DAY = 86400000
FOLDERS = {
    "ops": "運用",
    "gateway": "Gateway",
    "odd": "a/b c?d%",
    "padded": "  padded folder ",
    "quoted": "引用 \"quoted\" 'single'",
    "percent": "100% 監視",
    "reports": "Reports",
    "empty": "Empty",
}
TITLES = (
    "Service {number}",
    "サービス {number} の状態",
    "in/out {number}",
    "load {number} %",
    'the "best" {number}',
    " padded {number}  ",
)
GROUPS = {
    "gateway": ("ops", 30),
    "a b 100% 監視": ("ops", 60),
    "a/b": ("gateway", 10),
    " padded ": ("gateway", 3600),
    'the "quoted" one': ("quoted", 90),
    "夜間 バッチ": ("percent", 300),
    "..": ("odd", 20),
    "what?#&+": ("odd", 120),
}
RULES_OF_A_GROUP = 4


@dataclass(frozen=True)
class Seed:
    """Fills one server."""

    client: Client
    prometheus: str

    def post(self, path: str, body: object) -> Any:
        """Create something."""
        return self.client.send("POST", path, body)

    def put(self, path: str, body: object) -> Any:
        """Replace something."""
        return self.client.send("PUT", path, body)

    def unlocked(self, method: str, path: str, body: object) -> None:
        """Write what belongs to alerting, so that pages can still change it where the server allows that."""
        self.client.send(method, ALERTING + path, body, UNLOCKED)

    def fill(self) -> str:
        """Everything, in an order in which all that is named exists; a token that may read and write it."""
        users = self.users()
        token = self.service_accounts()
        self.data_sources()
        for uid, title in FOLDERS.items():
            self.post("/api/folders", {"uid": uid, "title": title})
        self.library_panels()
        self.dashboards()
        teams = self.teams(users)
        self.permissions(users, teams)
        self.alerting()
        self.the_rest()
        return token

    def users(self) -> dict[str, int]:
        """Users with roles; their numbers."""
        users = {}
        for login, name, role in (
            ("hanako", "Hanako 山田", "Editor"),
            ("taro", "Taro", "Viewer"),
            ("jiro", "", "Admin"),
        ):
            user = {"name": name, "login": login, "email": f"{login}@example.org", "password": f"{login}-pass"}
            users[login] = self.post("/api/admin/users", user)["id"]
            self.client.send("PATCH", f"/api/org/users/{users[login]}", {"role": role})
        return users

    def service_accounts(self) -> str:
        """Service accounts, one of them switched off; the token of the one that may do everything."""
        made = {}
        for name, role in (("backup", "Admin"), ("wall display", "Viewer"), ("retired", "Editor")):
            account = self.post("/api/serviceaccounts", {"name": name, "role": role})
            made[name] = self.post(f"/api/serviceaccounts/{account['id']}/tokens", {"name": f"{name} token"})["key"]
            if name == "retired":
                self.client.send("PATCH", f"/api/serviceaccounts/{account['id']}", {"isDisabled": True})
        return str(made["backup"])

    def data_sources(self) -> None:
        """Data sources, with secrets that no interface gives back."""
        common = {"access": "proxy", "url": self.prometheus}
        secret = {"basicAuth": True, "basicAuthUser": "reader", "secureJsonData": {"basicAuthPassword": "s3cret"}}
        prometheus = {
            **common,
            **secret,
            "type": "prometheus",
            "jsonData": {"httpMethod": "POST", "timeInterval": "15s"},
        }
        self.post("/api/datasources", {**prometheus, "uid": "prom", "name": "Prometheus", "isDefault": True})
        header = {"jsonData": {"httpHeaderName1": "X-Scope-OrgID"}, "secureJsonData": {"httpHeaderValue1": "t1"}}
        loki = {"uid": "loki", "name": "Loki", "type": "loki", "access": "proxy", "url": "http://127.0.0.1:3100"}
        self.post("/api/datasources", {**loki, **header})
        self.post("/api/datasources", {**common, "uid": "odd-prom", "name": "監視 a/b 50%", "type": "prometheus"})

    def library_panels(self) -> None:
        """Library panels: in folders, in none, and one that no dashboard shows."""
        for uid, folder, name in (
            ("lib-cpu", "ops", "CPU"),
            ("lib-net", "gateway", "通信/秒"),
            ("lib-general", "", "General panel"),
            ("lib-unused", "ops", "Unused"),
        ):
            model = {**panel(1, name), "description": f"{name} everywhere"}
            self.post(
                "/api/library-elements", {"uid": uid, "folderUid": folder, "name": name, "kind": 1, "model": model}
            )

    def save(self, uid: str, title: str, folder: str, panels: list[dict[str, Any]], **more: Any) -> None:
        """Save a dashboard."""
        settings = {
            "tags": ["seed"],
            "timezone": "browser",
            "schemaVersion": 38,
            "time": {"from": "now-6h", "to": "now"},
        }
        board = {"id": None, "uid": uid, "title": title, **settings, "panels": panels, **more}
        self.post(
            "/api/dashboards/db", {"dashboard": board, "folderUid": folder, "overwrite": False, "message": "seed"}
        )

    def dashboards(self) -> None:
        """Many dashboards in all folders but one, and some that are special."""
        places = ["", *(uid for uid in FOLDERS if uid != "empty")]
        for number in range(BOARDS):
            panels = [panel(place, f"panel {place}") for place in range(1, 2 + number % 20)]
            title = TITLES[number % len(TITLES)].format(number=number)
            self.save(f"board-{number:03}", title, places[number % len(places)], panels)
        for folder in ("", "ops", "gateway"):
            self.save(f"overview-{folder or 'general'}", "Overview 概要", folder, [panel(1, "up")])
        shown = [
            {"uid": "lib-cpu", "name": "CPU"},
            {"uid": "lib-net", "name": "通信/秒"},
            {"uid": "lib-general", "name": "General panel"},
        ]
        for number in range(3):
            panels = [
                {"id": place, "gridPos": {"h": 8, "w": 12, "x": 0, "y": 8 * place}, "libraryPanel": library}
                for place, library in enumerate(shown[: number + 1], 1)
            ]
            self.save(f"library-{number}", f"With {number + 1} library panels", "ops", panels)
        variables = {"list": [{"name": "instance", "type": "query", "query": "label_values(up, instance)"}]}
        text = {"id": 1, "type": "text", "title": "手順", "options": {"mode": "markdown", "content": "x" * LARGE}}
        self.save(
            "large",
            "Large 一メガバイト",
            "reports",
            [{**text, "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0}}],
            templating=variables,
        )

    def teams(self, users: dict[str, int]) -> dict[str, int]:
        """Teams with members and preferences; their numbers."""
        teams: dict[str, int] = {}
        for name, logins in (("SRE", ("hanako", "taro")), ("運用 チーム", ("hanako",)), ("a/b team", ())):
            teams[name] = self.post("/api/teams", {"name": name, "email": f"team{len(teams)}@example.org"})["teamId"]
            for login in logins:
                self.post(f"/api/teams/{teams[name]}/members", {"userId": users[login]})
        wishes = {"theme": "dark", "homeDashboardUID": "overview-ops", "timezone": "utc"}
        self.put(f"/api/teams/{teams['SRE']}/preferences", wishes)
        return teams

    def permissions(self, users: dict[str, int], teams: dict[str, int]) -> None:
        """Permissions of folders and dashboards for roles, users and teams."""
        viewer, editor = {"role": "Viewer", "permission": 1}, {"role": "Editor", "permission": 2}
        sre, hanako = {"teamId": teams["SRE"], "permission": 4}, {"userId": users["hanako"], "permission": 2}
        for path, items in {
            "folders/ops": [viewer, editor, sre, {"userId": users["taro"], "permission": 1}],
            "folders/odd": [sre, {"teamId": teams["運用 チーム"], "permission": 1}],
            "folders/percent": [editor],
            "folders/reports": [],
            "dashboards/uid/overview-ops": [viewer, hanako],
            "dashboards/uid/overview-general": [{"role": "Editor", "permission": 4}, sre],
            "dashboards/uid/board-001": [{"userId": users["jiro"], "permission": 4}, viewer],
        }.items():
            self.post(f"/api/{path}/permissions", {"items": items})

    def alerting(self) -> None:
        """Templates, mute timings, contact points, policies and rules."""
        for name in ("flat.title", "件名"):
            text = f'{{{{ define "{name}" }}}}{{{{ .CommonLabels.alertname }}}}{{{{ end }}}}'
            self.unlocked("PUT", f"/templates/{urllib.parse.quote(name, safe='')}", {"template": text})
        nights = {"times": [{"start_time": "22:00", "end_time": "23:59"}], "weekdays": ["monday:friday"]}
        for name, interval in (("nights", nights), ("月末 maintenance", {"days_of_month": ["-1"]})):
            self.unlocked("POST", "/mute-timings", {"name": name, "time_intervals": [interval]})
        hook = {"url": "http://127.0.0.1:9/hook", "httpMethod": "POST", "username": "u", "password": "p4ss"}
        mail = {"addresses": "ops@example.org;sre@example.org"}
        for uid, name, kind, settings in (
            ("cp-hook", "ops", "webhook", hook),
            ("cp-mail", "ops", "email", mail),
            ("cp-night", "夜間 当番", "email", {**mail, "singleEmail": True}),
            ("cp-silent", "silent", "webhook", {"url": "http://127.0.0.1:9/silent"}),
        ):
            point = {
                "uid": uid,
                "name": name,
                "type": kind,
                "settings": settings,
                "disableResolveMessage": kind == "email",
            }
            self.unlocked("POST", "/contact-points", point)
        self.unlocked("PUT", "/policies", POLICIES)
        for position, (group, (folder, seconds)) in enumerate(GROUPS.items()):
            rules = [
                rule(f"rule-{position}-{number}", f"{group} {number}", folder, group)
                for number in range(RULES_OF_A_GROUP)
            ]
            for one in rules:
                self.unlocked("POST", "/alert-rules", one)
            path = f"/folder/{folder}/rule-groups/{urllib.parse.quote(group, safe='')}"
            self.unlocked("PUT", path, {"title": group, "folderUid": folder, "interval": seconds, "rules": rules})

    def the_rest(self) -> None:
        """Playlists, annotations, correlations and what the organisation prefers."""
        by_uid = {"type": "dashboard_by_uid", "value": "overview-ops", "order": 1, "title": "Overview"}
        by_tag = {"type": "dashboard_by_tag", "value": "seed", "order": 2, "title": "seed"}
        self.post("/api/playlists", {"name": "wall", "interval": "5m", "items": [by_uid, by_tag]})
        self.post("/api/playlists", {"name": "夜間 100%", "interval": "30s", "items": [by_tag]})
        for number in range(40):
            moment = BEGIN + number * 3 * DAY
            where = {"dashboardUID": "overview-ops", "panelId": 1} if number % 4 == 0 else {}
            end = {"timeEnd": moment + 3600000} if number % 3 == 0 else {}
            note = {"time": moment, **end, "tags": ["maintenance", f"w{number % 5}"], "text": f"作業 {number}"}
            self.post("/api/annotations", {**note, **where})
        for source, target, label in (("prom", "loki", "logs"), ("loki", "prom", "指標")):
            config = {"type": "query", "field": "instance", "target": {"expr": "{}"}}
            path = f"/api/datasources/uid/{source}/correlations"
            self.post(path, {"targetUID": target, "label": label, "description": label, "config": config})
        self.put("/api/org/preferences", {"theme": "light", "timezone": "utc", "homeDashboardUID": "overview-general"})


POLICIES = {
    "receiver": "ops",
    "group_by": ["grafana_folder", "alertname"],
    "routes": [
        {
            "receiver": "夜間 当番",
            "object_matchers": [["severity", "=", "critical"]],
            "mute_time_intervals": ["nights"],
            "group_wait": "10s",
            "routes": [
                {
                    "receiver": "ops",
                    "object_matchers": [["team", "=~", "sre|運用"]],
                    "continue": True,
                    "routes": [
                        {
                            "receiver": "silent",
                            "object_matchers": [["env", "!=", "production"]],
                            "repeat_interval": "1d",
                        }
                    ],
                }
            ],
        },
        {
            "receiver": "silent",
            "object_matchers": [["severity", "=", "info"]],
            "mute_time_intervals": ["nights", "月末 maintenance"],
        },
    ],
}


def panel(id: int, title: str) -> dict[str, Any]:
    """A panel that asks Prometheus."""
    place = {"h": 8, "w": 12, "x": 12 * (id % 2), "y": 8 * (id // 2)}
    target = {"refId": "A", "expr": 'up{job="$job"}' if id % 7 == 0 else "up", "instant": True}
    source = {"type": "prometheus", "uid": "prom"}
    return {"id": id, "type": "timeseries", "title": title, "gridPos": place, "datasource": source, "targets": [target]}


def rule(uid: str, title: str, folder: str, group: str) -> dict[str, Any]:
    """A rule that fires when something is down."""
    asked = {"expr": "up == 0", "refId": "A", "instant": True}
    threshold = {"evaluator": {"type": "gt", "params": [0]}}
    decided = {"type": "threshold", "expression": "A", "refId": "B", "conditions": [threshold]}
    queries = [("A", 600, "prom", asked), ("B", 0, "__expr__", decided)]
    return {
        "uid": uid,
        "title": title,
        "condition": "B",
        "noDataState": "NoData",
        "execErrState": "Error",
        "for": "2m",
        "folderUID": folder,
        "ruleGroup": group,
        "orgID": 1,
        "annotations": {"summary": f"{title} 停止"},
        "labels": {"severity": "critical"},
        "isPaused": False,
        "data": [
            {
                "refId": ref,
                "queryType": "",
                "relativeTimeRange": {"from": begin, "to": 0},
                "datasourceUid": source,
                "model": model,
            }
            for ref, begin, source, model in queries
        ],
    }


def seed(url: str, password: str = "admin", prometheus: str = PROMETHEUS) -> str:
    """Fill a new server as its administrator; a token of an account that may read and write all that."""
    client = Client(url, basic("admin", password))
    try:
        return Seed(client, prometheus).fill()
    finally:
        client.close()


if __name__ == "__main__":
    sys.stdout.write(seed(*sys.argv[1:]) + "\n")
