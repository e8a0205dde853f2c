# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert rules, contact points, notification policies, mute timings, templates and silences."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from .dashboards import find
from .routes import Answer, Call, NotRecorded, absent, answer, route, said, traced
from .store import Doc, fresh_uid, stamp

RULES = "/api/v1/provisioning/alert-rules"
GROUP = "/api/v1/provisioning/folder/{folder}/rule-groups/{group}"
POINTS = "/api/v1/provisioning/contact-points"
TIMINGS = "/api/v1/provisioning/mute-timings"
TEMPLATES = "/api/v1/provisioning/templates"
POLICIES = "/api/v1/provisioning/policies"
SILENCES = "/api/alertmanager/grafana/api/v2/silence"
INVALID = "invalid object specification: "
ADDED = {"intervalMs": 1000, "maxDataPoints": 43200}
DEFAULT_INTERVAL = 60
BASE_INTERVAL = 10
REDACTED = "[REDACTED]"
DEFAULT_POINT = "grafana-default-email"
DEFAULT_RECEIVER = {
    "uid": "",
    "name": "email receiver",
    "type": "email",
    "settings": {"addresses": "<example@email.com>"},
    "disableResolveMessage": False,
}
DEFAULT_POLICY = {"receiver": DEFAULT_POINT, "group_by": ["grafana_folder", "alertname"]}
# The secret settings of a type; those that a new receiver does not have are shown as well when it is created.
SECRETS = {"webhook": ("password", "authorization_credentials"), "email": ()}
HEAD = ("id", "uid", "orgID", "folderUID", "ruleGroup", "title", "condition", "data", "updated")
TAIL = ("noDataState", "execErrState", "for", "annotations", "labels")


def duration(seconds: int) -> str:
    """A duration as Go writes it."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def short(seconds: int) -> str:
    """A duration as Prometheus writes it."""
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def shown(rule: Doc, **more: Any) -> Doc:
    """A rule as the provisioning interface shows it."""
    doc = {name: rule[name] for name in HEAD + TAIL if rule.get(name) is not None}
    return {**doc, **more}


def rules(call: Call, folder: str | None = None, group: str | None = None) -> list[Doc]:
    """The rules of all groups, of a folder's, or of one."""
    found = [
        rule
        for rule in call.store.all("rule", call.org)
        if folder in (None, rule["folderUID"]) and group in (None, rule["ruleGroup"])
    ]
    return sorted(found, key=lambda rule: (rule["folderUID"], rule["ruleGroup"], rule["index"], rule["id"]))


def taken(call: Call, given: Doc) -> Doc:
    """A rule as it is kept: with what the server adds to its queries."""
    data = [{**query, "model": {**ADDED, **query["model"]}} for query in given.get("data") or []]
    kept = {name: given[name] for name in TAIL if given.get(name) is not None}
    return {**kept, "orgID": call.org, "title": given["title"], "condition": given["condition"], "data": data}


def namesake(call: Call, rule: Doc) -> bool:
    """Whether another rule in the folder has the title."""
    return any(
        other["title"] == rule["title"] and other["uid"] != rule["uid"] for other in rules(call, rule["folderUID"])
    )


def conflict() -> Exception:
    """Titles are unique in a folder, uids in an organisation."""
    reason = "rule title under the same organisation and folder should be unique"
    return traced(500, f"a conflicting alert rule is found: {reason}")


@route(f"GET {RULES}", needs="alert.provisioning:read")
def alert_rules(call: Call) -> Answer:
    """All rules."""
    return answer([shown(rule) for rule in rules(call)])


@route(f"GET {RULES}/export", "format", "download")
def export(call: Call) -> Answer:
    """What one rule without its folder breaks for all."""
    if any(not find(call.store, call.org, rule["folderUID"], True) for rule in rules(call)):
        raise traced(500, "could not find alert rule")
    raise NotRecorded("no recorded exchange shows an export of rules")


@route(f"GET {RULES}/{{uid}}")
def alert_rule(call: Call, uid: str) -> Answer:
    """One rule, which is the only way to see what locks it."""
    rule = call.store.get("rule", call.org, uid)
    if not rule:
        raise NotRecorded("no recorded exchange asks for a rule that does not exist")
    return answer(shown(rule, provenance="api"))


@route(f"POST {RULES}")
def create_rule(call: Call) -> Answer:
    """A new rule, whether its folder exists or not, at the interval of its group."""
    given = call.document()
    folder, group = given.get("folderUID", ""), given.get("ruleGroup", "")
    rule = taken(call, given)
    rule.update(uid=given.get("uid") or fresh_uid(), folderUID=folder, ruleGroup=group)
    if namesake(call, rule) or call.store.get("rule", call.org, rule["uid"]):
        raise conflict()
    others = rules(call, folder, group)
    rule.update(interval=others[0]["interval"] if others else DEFAULT_INTERVAL, index=0, version=1, updated=stamp())
    rule["id"] = call.store.next("rule")
    call.store.put("rule", call.org, rule["uid"], rule)
    locked = {} if "X-Disable-Provenance" in call.headers else {"provenance": "api"}
    return answer(shown(rule, **locked), 201)


@route(f"PUT {RULES}/{{uid}}")
def update_rule(call: Call, uid: str) -> Answer:
    """Every rule is locked, as the header does nothing."""
    if not call.store.get("rule", call.org, uid) or "X-Disable-Provenance" not in call.headers:
        raise NotRecorded("no recorded exchange changes a rule by itself, but by its group")
    raise traced(500, "cannot changed provenance from 'api' to ''")


@route(f"DELETE {RULES}/{{uid}}")
def delete_rule(call: Call, uid: str) -> Answer:
    """Delete a rule, if there is one."""
    call.store.delete("rule", call.org, uid)
    return Answer(status=204)


@route(f"GET {GROUP}")
def rule_group(call: Call, folder: str, group: str) -> Answer:
    """One group."""
    found = rules(call, folder, group)
    if not found:
        raise traced(404, "rulegroup not found")
    interval = found[0]["interval"]
    return answer({"title": group, "folderUid": folder, "interval": interval, "rules": [shown(rule) for rule in found]})


@route(f"PUT {GROUP}")
def put_rule_group(call: Call, folder: str, group: str) -> Answer:
    """Replace a group by rules that exist, wherever they are, and by new ones without a uid."""
    given = call.document()
    interval, wanted = given.get("interval"), given.get("rules") or []
    if not isinstance(interval, int):
        raise traced(400, "bad request data")
    if interval <= 0 or interval % BASE_INTERVAL:
        what = f"interval ({duration(interval)}) should be non-zero and divided exactly by scheduler interval: {BASE_INTERVAL}"
        raise traced(400, f"invalid alert rule: {what}")
    if not wanted or not find(call.store, call.org, folder, True):
        raise NotRecorded("no recorded exchange has a group without rules, or in a folder that does not exist")
    for rule in wanted:
        if rule.get("uid") and not call.store.get("rule", call.org, rule["uid"]):
            cause = f"failed to update rule with UID {rule['uid']} because could not find alert rule"
            raise traced(500, f"failed to calculate diff for alert rules: {cause}")
    new = [{**taken(call, rule), "uid": rule.get("uid") or ""} for rule in wanted]
    uids = {rule["uid"] for rule in new}
    titles = [rule["title"] for rule in rules(call, folder) if rule["uid"] not in uids and rule["ruleGroup"] != group]
    titles += [rule["title"] for rule in new]
    if len(set(titles)) < len(titles):
        raise NotRecorded("no recorded exchange has a group with the title of another rule in the folder")
    for rule in rules(call, folder, group):
        if rule["uid"] not in uids:
            call.store.delete("rule", call.org, rule["uid"])
    place = {"folderUID": folder, "ruleGroup": group, "interval": interval}
    for index, rule in enumerate(new, 1):
        change(call, {**rule, **place, "index": index})
    unsaved = {"id": 0, "updated": "0001-01-01T00:00:00Z"}
    return answer(
        {
            "title": group,
            "folderUid": folder,
            "interval": interval,
            "rules": [shown({**rule, **place, **unsaved}) for rule in new],
        }
    )


@route(f"DELETE {GROUP}")
def delete_rule_group(_call: Call, **_names: str) -> Answer:
    """Groups cannot be deleted here."""
    raise absent()


def change(call: Call, rule: Doc) -> None:
    """Write a rule of a group, if it is new or something of it is."""
    before = call.store.get("rule", call.org, rule["uid"]) if rule["uid"] else None
    if before:
        same = {name: before[name] for name in ("id", "version", "updated")}
        if {**rule, **same} == before:
            return
        rule = {**rule, **same, "version": before["version"] + 1}
    else:
        rule = {**rule, "id": call.store.next("rule"), "uid": fresh_uid(), "version": 1}
    call.store.put("rule", call.org, rule["uid"], {**rule, "updated": stamp()})


@route("GET /api/ruler/grafana/api/v1/rules")
def ruler(call: Call) -> Answer:
    """All rules in folders that exist, as pages read them."""
    found: dict[str, dict[str, Doc]] = {}
    for rule in rules(call):
        if folder := find(call.store, call.org, rule["folderUID"], True):
            group = {"name": rule["ruleGroup"], "interval": short(rule["interval"]), "rules": []}
            groups = found.setdefault(folder["title"], {})
            groups.setdefault(rule["ruleGroup"], group)["rules"].append(ruled(rule, folder))
    return answer({title: list(groups.values()) for title, groups in found.items()})


def ruled(rule: Doc, folder: Doc) -> Doc:
    """A rule as pages read it."""
    alert = {
        "id": rule["id"],
        "orgId": rule["orgID"],
        "title": rule["title"],
        "condition": rule["condition"],
        "data": rule["data"],
        "updated": rule["updated"],
        "intervalSeconds": rule["interval"],
        "version": rule["version"],
        "uid": rule["uid"],
        "namespace_uid": folder["uid"],
        "namespace_id": folder["id"],
        "rule_group": rule["ruleGroup"],
        "no_data_state": rule["noDataState"],
        "exec_err_state": rule["execErrState"],
        "provenance": "api",
    }
    more = {name: rule[name] for name in ("labels", "annotations") if rule.get(name)}
    return {"expr": "", "for": rule["for"], **more, "grafana_alert": alert}


def evaluated(call: Call) -> None:
    """No rule has ever been evaluated."""
    if rules(call):
        raise NotRecorded("no recorded exchange shows the state of rules")


@route("GET /api/prometheus/grafana/api/v1/rules")
def states(call: Call) -> Answer:
    """The state of no rules."""
    evaluated(call)
    return answer({"status": "success", "data": {"groups": []}})


@route("GET /api/prometheus/grafana/api/v1/alerts")
def alerts(call: Call) -> Answer:
    """The alerts of no rules."""
    evaluated(call)
    return answer({"status": "success", "data": {"alerts": []}})


@route("GET /api/alertmanager/grafana/api/v2/alerts")
def notified(call: Call) -> Answer:
    """The notifications of no rules."""
    evaluated(call)
    return answer([])


def receivers(call: Call) -> list[Doc]:
    """All receivers but the one that always exists."""
    return call.store.all("receiver", call.org)


def shown_receiver(receiver: Doc, *also: str) -> Doc:
    """A receiver with its secrets hidden, and as many that it may not have."""
    hidden = dict.fromkeys((*receiver["secrets"], *also), REDACTED)
    names = ("uid", "name", "type")
    head = {name: receiver[name] for name in names}
    settings = dict(sorted({**receiver["settings"], **hidden}.items()))
    return {**head, "settings": settings, "disableResolveMessage": receiver["silent"], "provenance": "api"}


@route(f"GET {POINTS}", "name")
def contact_points(call: Call) -> Answer:
    """All receivers, by the names of their contact points."""
    found = [DEFAULT_RECEIVER, *map(shown_receiver, receivers(call))]
    found = [doc for doc in found if doc["name"] == call.parameters.get("name", doc["name"])]
    return answer(sorted(found, key=lambda doc: (str(doc["name"]), str(doc["uid"]))))


def checked(given: Doc, before: Doc | None) -> Doc:
    """A receiver as it is kept: secrets by themselves, and those that are not told as they were."""
    kind, settings = given.get("type", ""), given.get("settings") or {}
    if kind == "slack" and not settings:
        problem = "recipient must be specified when using the Slack chat API"
        raise traced(400, f'{INVALID}failed to validate receiver of type "slack": {problem}')
    needed = {"webhook": "url", "email": "addresses"}.get(kind)
    if not given.get("name") or not needed or not settings.get(needed):
        raise NotRecorded(
            f"no recorded exchange has a receiver like this: {kind or 'no type'} with {', '.join(settings)}"
        )
    secret = {}
    for name in SECRETS[kind]:
        value = settings.get(name)
        if value == REDACTED and before is None:
            raise NotRecorded("no recorded exchange creates a receiver whose secret is hidden")
        if value:
            secret[name] = before["secrets"].get(name, "") if before and value == REDACTED else value
    return {
        "uid": given.get("uid") or fresh_uid(),
        "name": given["name"],
        "type": kind,
        "secrets": secret,
        "settings": {name: value for name, value in settings.items() if name not in SECRETS[kind]},
        "silent": bool(given.get("disableResolveMessage")),
    }


@route(f"POST {POINTS}")
def create_contact_point(call: Call) -> Answer:
    """A new receiver, under a name that may have some."""
    receiver = checked(call.document(), None)
    for other in receivers(call):
        if other["uid"] == receiver["uid"]:
            advice = "Please use unique identifiers for receivers across all contact points"
            name = f"receiver configuration with UID '{other['uid']}' already exist in contact point '{other['name']}'"
            raise traced(500, f"{name}. {advice}")
    call.store.put("receiver", call.org, receiver["uid"], {**receiver, "id": call.store.next("receiver")})
    return answer(shown_receiver(receiver, *SECRETS[receiver["type"]]), 202)


@route(f"PUT {POINTS}/{{uid}}")
def update_contact_point(call: Call, uid: str) -> Answer:
    """Other settings, or another name, which policies follow if nobody else has it."""
    before = call.store.get("receiver", call.org, uid)
    if not before:
        raise traced(404, f"object not found: contact point with uid '{uid}' not found")
    receiver = {**checked({**call.document(), "uid": uid}, before), "id": before["id"]}
    if receiver["name"] != before["name"] and in_use(call, before):
        raise NotRecorded("no recorded exchange renames a contact point that policies use")
    call.store.put("receiver", call.org, uid, receiver)
    return said("contactpoint updated", 202)


@route(f"DELETE {POINTS}/{{uid}}")
def delete_contact_point(call: Call, uid: str) -> Answer:
    """Delete a receiver, unless policies need it."""
    receiver = call.store.get("receiver", call.org, uid)
    if not receiver:
        raise NotRecorded("no recorded exchange deletes a contact point that does not exist")
    if in_use(call, receiver):
        raise traced(500, f"contact point '{receiver['name']}' is currently used by a notification policy")
    call.store.delete("receiver", call.org, uid)
    return said("contactpoint deleted", 202)


def in_use(call: Call, receiver: Doc) -> bool:
    """Whether policies name a contact point that has no other receiver."""
    others = [other for other in receivers(call) if other["name"] == receiver["name"]]
    return len(others) == 1 and receiver["name"] in named(tree(call), "receiver")


def tree(call: Call) -> Doc:
    """The notification policies."""
    return call.store.get("policies", call.org, "tree") or DEFAULT_POLICY


def named(policy: Doc, what: str) -> list[str]:
    """What a policy and those below it name."""
    value = policy.get(what) or []
    found = [value] if isinstance(value, str) else list(value)
    return found + [name for below in policy.get("routes") or [] for name in named(below, what)]


@route(f"GET {POLICIES}")
def policies(call: Call) -> Answer:
    """The notification policies."""
    return answer(tree(call))


@route(f"PUT {POLICIES}")
def put_policies(call: Call) -> Answer:
    """Replace the notification policies."""
    given = call.document()
    known = {DEFAULT_POINT, *(receiver["name"] for receiver in receivers(call))}
    for name in named(given, "receiver"):
        if name not in known:
            raise traced(400, f"{INVALID}receiver '{name}' does not exist")
    if set(named(given, "mute_time_intervals")) - {timing["name"] for timing in call.store.all("timing", call.org)}:
        raise NotRecorded("no recorded exchange has policies with a mute timing that does not exist")
    given.pop("provenance", None)
    call.store.put("policies", call.org, "tree", {**given, "provenance": "api"})
    return said("policies updated", 202)


@route(f"DELETE {POLICIES}")
def reset_policies(call: Call) -> Answer:
    """Back to what a new server has."""
    call.store.delete("policies", call.org, "tree")
    return answer(DEFAULT_POLICY, 202)


@route(f"GET {TIMINGS}")
def mute_timings(call: Call) -> Answer:
    """All mute timings."""
    return answer([shown_timing(timing) for timing in call.store.all("timing", call.org)])


def shown_timing(timing: Doc) -> Doc:
    """A mute timing, without what locks it."""
    return {name: timing[name] for name in ("name", "time_intervals")}


def the_timing(call: Call, name: str) -> Doc:
    """The mute timing of a name."""
    timing = call.store.get("timing", call.org, name)
    if not timing:
        raise NotRecorded(f"no recorded exchange has {call.method} of a mute timing that does not exist")
    return timing


@route(f"GET {TIMINGS}/{{name}}")
def mute_timing(call: Call, name: str) -> Answer:
    """One mute timing."""
    return answer(shown_timing(the_timing(call, name)))


@route(f"POST {TIMINGS}")
def create_mute_timing(call: Call) -> Answer:
    """A new mute timing."""
    given = shown_timing(call.document())
    if call.store.get("timing", call.org, given["name"]):
        raise traced(400, f"{INVALID}a mute timing with this name already exists")
    call.store.put("timing", call.org, given["name"], {**given, "id": call.store.next("timing")})
    return answer({**given, "provenance": "api"}, 201)


@route(f"PUT {TIMINGS}/{{name}}")
def put_mute_timing(call: Call, name: str) -> Answer:
    """Other times."""
    timing, given = the_timing(call, name), shown_timing({"name": name, **call.document()})
    if given["name"] != name:
        raise NotRecorded("no recorded exchange renames a mute timing")
    call.store.put("timing", call.org, name, {**timing, **given})
    return answer({**given, "provenance": "api"}, 202)


@route(f"DELETE {TIMINGS}/{{name}}")
def delete_mute_timing(call: Call, name: str) -> Answer:
    """Delete a mute timing that no policy uses."""
    the_timing(call, name)
    if name in named(tree(call), "mute_time_intervals"):
        raise NotRecorded("no recorded exchange deletes a mute timing that policies use")
    call.store.delete("timing", call.org, name)
    return Answer(status=204)


@route(f"GET {TEMPLATES}")
def templates(call: Call) -> Answer:
    """All templates."""
    found = sorted(call.store.all("template", call.org), key=lambda template: template["name"])
    return answer(found)


@route(f"PUT {TEMPLATES}/{{name}}")
def put_template(call: Call, name: str) -> Answer:
    """A new template, or other text."""
    text = call.document().get("template") or ""
    if text.count("{{") > text.count("}}"):
        raise traced(400, f"{INVALID}invalid template: template: :1: unclosed action")
    if "define" not in text:
        raise NotRecorded("no recorded exchange has a template without a definition")
    template = {"name": name, "template": text}
    call.store.put("template", call.org, name, template)
    return answer({**template, "provenance": "api"}, 202)


@route(f"DELETE {TEMPLATES}/{{name}}")
def delete_template(call: Call, name: str) -> Answer:
    """Delete a template."""
    if not call.store.delete("template", call.org, name):
        raise NotRecorded("no recorded exchange deletes a template that does not exist")
    return Answer(status=204)


@route(f"GET {SILENCES}s")
def silences(call: Call) -> Answer:
    """All silences."""
    now = datetime.now(UTC)
    return answer(
        [
            {**silence, "status": {"state": "active" if datetime.fromisoformat(silence["endsAt"]) > now else "expired"}}
            for silence in call.store.all("silence", call.org)
        ]
    )


@route(f"POST {SILENCES}s")
def create_silence(call: Call) -> Answer:
    """A new silence, which begins now at the earliest."""
    given, name = call.document(), str(uuid.uuid4())
    now = datetime.now(UTC)
    if "id" in given or datetime.fromisoformat(given["endsAt"]) <= now:
        raise NotRecorded("no recorded exchange changes a silence, or has one that has ended")
    begin = (
        max(now, datetime.fromisoformat(given["startsAt"])).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    names = ("comment", "createdBy", "endsAt", "matchers")
    silence = {"id": name, "updatedAt": stamp(), "startsAt": begin, **{part: given[part] for part in names}}
    call.store.put("silence", call.org, name, silence)
    return answer({"silenceID": name}, 202)


@route(f"DELETE {SILENCES}/{{id}}")
def delete_silence(call: Call, id: str) -> Answer:
    """End a silence, as often as one likes."""
    call.store.delete("silence", call.org, id)
    return said("silence deleted")
