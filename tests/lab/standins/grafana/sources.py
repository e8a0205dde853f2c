# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data sources, the way through them, and correlations between them."""

from __future__ import annotations

import base64
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .routes import JSON_UTF8, Answer, Call, NotRecorded, Refused, answer, route, said, traced
from .store import Doc, Store, fresh_uid

SOURCES = "/api/datasources"
TYPES = {"prometheus": ("Prometheus", "prometheus_logo.svg"), "loki": ("Loki", "loki_icon.svg")}
SETTINGS = {
    "access": "",
    "url": "",
    "user": "",
    "database": "",
    "basicAuth": False,
    "basicAuthUser": "",
    "withCredentials": False,
    "isDefault": False,
    "jsonData": {},
}
# No proxy of the environment, and no redirect is followed on behalf of who asks.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT = 30


def provision(store: Store) -> None:
    """The data source that a file provisions."""
    made = {"id": store.next("source"), "uid": "provisioned-prom", "name": "Provisioned", "type": "prometheus"}
    settings = {**SETTINGS, "access": "proxy", "url": "http://127.0.0.1:9090"}
    store.put("source", 1, made["uid"], {**made, **settings, "secrets": {}, "version": 1, "readOnly": True})


def shown(call: Call, source: Doc) -> Doc:
    """A data source as its own address shows it."""
    head = {"id": source["id"], "uid": source["uid"], "orgId": call.org, "name": source["name"], "type": source["type"]}
    fields = dict.fromkeys(source["secrets"], True)
    settings = {name: source[name] for name in SETTINGS}
    tail = {"secureJsonFields": fields, "version": source["version"], "readOnly": source["readOnly"]}
    return {**head, "typeLogoUrl": "", **settings, **tail}


def listed(call: Call, source: Doc) -> Doc:
    """A data source as the list shows it."""
    name, logo = TYPES[source["type"]]
    doc = {**shown(call, source), "typeName": name}
    doc["typeLogoUrl"] = f"public/app/plugins/datasource/{source['type']}/img/{logo}"
    for missing in ("basicAuthUser", "withCredentials", "secureJsonFields", "version"):
        del doc[missing]
    return doc


def the_source(call: Call, uid: str) -> Doc:
    """The data source of a uid."""
    if source := call.store.get("source", call.org, uid):
        return source
    raise Refused(404, "Data source not found")


@route(f"GET {SOURCES}", least="Viewer")
def data_sources(call: Call) -> Answer:
    """All data sources, by name."""
    found = sorted(call.store.all("source", call.org), key=lambda source: source["name"].lower())
    return answer([listed(call, source) for source in found])


@route(f"GET {SOURCES}/uid/{{uid}}")
def data_source(call: Call, uid: str) -> Answer:
    """One data source."""
    return answer(shown(call, the_source(call, uid)))


@route(f"GET {SOURCES}/name/{{name}}")
def data_source_by_name(call: Call, name: str) -> Answer:
    """The data source of a name."""
    for source in call.store.all("source", call.org):
        if source["name"] == name:
            return answer(shown(call, source))
    raise NotRecorded("no recorded exchange asks for the name of a data source that does not exist")


@route(f"GET {SOURCES}/uid/{{uid}}/health")
def health(call: Call, uid: str) -> Answer:
    """Nothing here can say it."""
    the_source(call, uid)
    raise traced(404, "Not found")


def taken(call: Call, given: Doc, uid: str, secret: Doc) -> Doc:
    """A data source as it is kept; there is one default."""
    if given.get("type") not in TYPES:
        raise NotRecorded(f"no recorded exchange has a data source of the type {given.get('type')}")
    settings = {name: given.get(name, default) for name, default in SETTINGS.items()}
    if settings["isDefault"]:
        for other in call.store.all("source", call.org):
            if other["isDefault"] and other["uid"] != uid:
                call.store.put("source", call.org, other["uid"], {**other, "isDefault": False})
    secret = {**secret, **(given.get("secureJsonData") or {})}
    return {"uid": uid, "name": given["name"], "type": given["type"], **settings, "secrets": secret, "readOnly": False}


@route(f"POST {SOURCES}")
def create_data_source(call: Call) -> Answer:
    """A new data source."""
    given = call.document()
    if not all(given.get(name) for name in ("name", "type", "access")):
        raise traced(400, "bad request data")
    for other in call.store.all("source", call.org):
        for name in ("name", "uid"):
            if given.get(name) == other[name]:
                raise traced(409, f"data source with the same {name} already exists")
    uid = given.get("uid") or fresh_uid()
    source = {**taken(call, given, uid, {}), "id": call.store.next("source"), "version": 1}
    call.store.put("source", call.org, uid, source)
    return said("Datasource added", datasource=shown(call, source), id=source["id"], name=source["name"])


@route(f"PUT {SOURCES}/uid/{{uid}}")
def update_data_source(call: Call, uid: str) -> Answer:
    """Other settings; secrets stay unless they are told anew."""
    before, given = the_source(call, uid), call.document()
    if before["readOnly"]:
        raise Refused(403, "Cannot update read-only data source")
    others = {other["name"] for other in call.store.all("source", call.org) if other["uid"] != uid}
    if (
        given.get("uid", uid) != uid
        or given.get("name") in others
        or given.get("version", before["version"]) != before["version"]
    ):
        raise NotRecorded("no recorded exchange gives a data source another uid, a name in use, or has another version")
    source = {**taken(call, given, uid, before["secrets"]), "id": before["id"], "version": before["version"] + 1}
    call.store.put("source", call.org, uid, source)
    return said("Datasource updated", datasource=shown(call, source), id=source["id"], name=source["name"])


@route(f"DELETE {SOURCES}/uid/{{uid}}")
def delete_data_source(call: Call, uid: str) -> Answer:
    """Delete a data source and its correlations."""
    source = the_source(call, uid)
    if source["readOnly"]:
        raise NotRecorded("no recorded exchange deletes a provisioned data source")
    call.store.delete("source", call.org, uid)
    for correlation in call.store.all("correlation", call.org):
        if uid in (correlation["sourceUID"], correlation["targetUID"]):
            call.store.delete("correlation", call.org, correlation["uid"])
    return said("Data source deleted", id=source["id"])


@route(f"GET {SOURCES}/proxy/uid/{{uid}}/{{rest}}", "*")
def proxy_get(call: Call, uid: str, rest: str) -> Any:
    """Ask the data source itself."""
    return proxy(call, uid, rest)


@route(f"POST {SOURCES}/proxy/uid/{{uid}}/{{rest}}", "*")
def proxy_post(call: Call, uid: str, rest: str) -> Any:
    """Ask the data source itself, with a body."""
    return proxy(call, uid, rest)


def proxy(call: Call, uid: str, rest: str) -> Any:
    """What asks the data source, when nobody waits for this server."""
    source = call.store.get("source", call.org, uid)
    if not source:
        raise Refused(404, "Unable to find datasource", JSON_UTF8, traceID="")
    path = urllib.parse.quote(rest) + (f"?{call.query}" if call.query else "")
    content_type = call.headers.get("Content-Type", "application/x-www-form-urlencoded")
    body = call.body if call.method == "POST" else None

    def ask() -> Answer:
        try:
            return through(source, path, body, content_type)
        except OSError:
            return Answer(status=502, content_type="")

    return ask


def through(source: Doc, path: str, body: bytes | None, content_type: str) -> Answer:
    """The answer of a data source; an OSError where there is none."""
    headers = {"Content-Type": content_type} if body is not None else {}
    if source["basicAuth"]:
        pair = f"{source['basicAuthUser']}:{source['secrets'].get('basicAuthPassword', '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    for name, value in source["jsonData"].items():
        if name.startswith("httpHeaderName"):
            headers[value] = source["secrets"].get(name.replace("Name", "Value"), "")
    asked = urllib.request.Request(f"{source['url'].rstrip('/')}/{path}", body, headers)
    try:
        with OPENER.open(asked, timeout=TIMEOUT) as found:
            return Answer(found.read(), found.status, found.headers.get("Content-Type", ""))
    except urllib.error.HTTPError as error:
        return Answer(error.read(), error.code, error.headers.get("Content-Type", ""))


@route("POST /api/ds/query")
def query(call: Call) -> Any:
    """Ask Prometheus for numbers at one instant, as panels do."""
    asked = []
    for wanted in call.document().get("queries") or []:
        source = call.store.get("source", call.org, (wanted.get("datasource") or {}).get("uid"))
        if not source or source["type"] != "prometheus" or not wanted.get("instant") or wanted.get("range"):
            raise NotRecorded("no recorded exchange has a query like this: an instant one of Prometheus is")
        asked.append((source, wanted))
    if not asked:
        raise NotRecorded("no recorded exchange has no query")

    def ask() -> Answer:
        try:
            return answer({"results": {wanted["refId"]: instant(source, wanted) for source, wanted in asked}})
        except OSError:
            more = {"messageId": "plugin.downstreamError", "statusCode": 500, "traceID": ""}
            return said("An error occurred within the plugin", 500, **more)

    return ask


def instant(source: Doc, wanted: Doc) -> Doc:
    """The result of one query; no frames where the data source refuses it."""
    found = through(source, f"api/v1/query?{urllib.parse.urlencode({'query': wanted['expr']})}", None, "")
    frames: list[Doc] = []
    if found.status == 200:
        data = json.loads(found.body)["data"]
        if data["resultType"] != "vector":
            return {"status": 501, "error": f"no recorded exchange has a {data['resultType']}"}
        frames = [frame(wanted, series["metric"], series["value"]) for series in data["result"]]
    return {"status": 200, "frames": frames}


def frame(wanted: Doc, metric: dict[str, str], value: list[Any]) -> Doc:
    """One series as panels read it."""
    step = wanted["intervalMs"]
    labels = ", ".join(f'{name}="{text}"' for name, text in metric.items() if name != "__name__")
    name = f"{metric.get('__name__', '')}{{{labels}}}"
    number = float(value[1])
    executed = f"Expr: {wanted['expr']}\nStep: {step // 1000}s"
    meta = {"type": "timeseries-multi", "custom": {"resultType": "vector"}, "executedQueryString": executed}
    fields = [
        {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}, "config": {"interval": step}},
        {
            "name": "Value",
            "type": "number",
            "typeInfo": {"frame": "float64"},
            "labels": metric,
            "config": {"displayNameFromDS": name},
        },
    ]
    schema = {"name": name, "refId": wanted["refId"], "meta": meta, "fields": fields}
    shown = int(number) if number.is_integer() else None if math.isnan(number) else number
    return {"schema": schema, "data": {"values": [[int(float(value[0]) * 1000)], [shown]]}}


@route(f"GET {SOURCES}/correlations")
def correlations(call: Call) -> Answer:
    """All correlations."""
    return answer([named(correlation) for correlation in call.store.all("correlation", call.org)])


def named(correlation: Doc) -> Doc:
    """A correlation, without the order in which it came."""
    names = ("uid", "sourceUID", "targetUID", "label", "description", "config")
    return {name: correlation[name] for name in names}


@route(f"POST {SOURCES}/uid/{{uid}}/correlations")
def create_correlation(call: Call, uid: str) -> Answer:
    """A new correlation, under a uid of the server's choice."""
    given = call.document()
    source = call.store.get("source", call.org, uid)
    if not source or source["readOnly"] or not call.store.get("source", call.org, given.get("targetUID")):
        raise NotRecorded("no recorded exchange correlates a data source that does not exist, or is provisioned")
    made = {"id": call.store.next("correlation"), "uid": fresh_uid(), "sourceUID": uid, "targetUID": given["targetUID"]}
    made = {
        **made,
        "label": given.get("label", ""),
        "description": given.get("description", ""),
        "config": given["config"],
    }
    call.store.put("correlation", call.org, made["uid"], made)
    return said("Correlation created", result=named(made))


@route(f"PATCH {SOURCES}/uid/{{source}}/correlations/{{uid}}")
def update_correlation(call: Call, source: str, uid: str) -> Answer:
    """Another label, description or configuration."""
    before, given = the_correlation(call, source, uid), call.document()
    changed: Doc = {name: given[name] for name in ("label", "description", "config") if name in given}
    call.store.put("correlation", call.org, uid, {**before, **changed})
    return said("Correlation updated", result=named({**before, **changed}))


@route(f"DELETE {SOURCES}/uid/{{source}}/correlations/{{uid}}")
def delete_correlation(call: Call, source: str, uid: str) -> Answer:
    """Delete a correlation."""
    the_correlation(call, source, uid)
    call.store.delete("correlation", call.org, uid)
    return said("Correlation deleted")


def the_correlation(call: Call, source: str, uid: str) -> Doc:
    """The correlation of a uid."""
    correlation = call.store.get("correlation", call.org, uid)
    if not correlation or correlation["sourceUID"] != source:
        raise NotRecorded("no recorded exchange has a correlation that does not exist")
    return correlation
