# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kinds of objects a Grafana holds, and how each is listed, read, and brought into one form.

The form is what a request that makes the object again takes, without what a server counts or invents: numbers, versions,
times, provenance. Two objects are the same if their forms are, on whatever servers they are.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from ansible_collections.flatnet.ops.plugins.module_utils.errors import ReadingIncomplete, RightMissing
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana, part

PAGE = 1000
# More is refused.
SEARCH_PAGE = 5000
REDACTED = "[REDACTED]"
GENERAL = ""
# What a server adds to the model of a rule that has none.
_ADDED_TO_MODELS = {"intervalMs": 1000, "maxDataPoints": 43200}
# What a newer one says of a rule that has none; 9.4 has none of them.
_ADDED_TO_RULES = {"keep_firing_for": "0s", "notification_settings": None, "record": None}
_FIRST_INSTANT = "1"
_LAST_INSTANT = 2**63 - 1
# Who makes a dashboard of the form v2 from files of the server's own.
_BY_FILES = ("classic-file-provisioning", "repo")
# The end of the year 9999: what is noted later, as in nanoseconds, is noted then.
_LAST_SECOND = 253402300799


@dataclass(frozen=True)
class Ref:
    """An object as a list of the server's names it.

    ``key`` tells it from all others of its kind, on every server: its uid, or its name where the API takes no uid.
    ``folder`` is the uid of its folder, empty where it is in none; ``known`` is what the list says of it.
    """

    kind: str
    key: str
    title: str
    folder: str = GENERAL
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """How a message calls it."""
        return called(self.kind, self.key, self.title)


@dataclass(frozen=True)
class Thing:
    """An object in the one form; ``provisioned`` if files of the server's own make it.

    ``version`` is the server's count of its changes, where it has one; it is no part of what the object is.
    """

    kind: str
    key: str
    title: str
    folder: str
    content: Mapping[str, Any]
    provisioned: bool = False
    version: int = field(default=0, compare=False)

    @property
    def words(self) -> str:
        """How a message calls it."""
        return called(self.kind, self.key, self.title)


def called(kind: str, key: str, title: str) -> str:
    """How a message calls an object."""
    return f"{kind} '{title}'" + (f" ({key})" if key != title else "")


class Kind(Protocol):
    """One kind of objects."""

    name: str
    directory: str

    def refs(self, server: Grafana) -> list[Ref]:
        """Everything of this kind that the server has.

        :raises ServerError: it cannot be listed
        """

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """One object; None if it has gone since it was listed.

        :raises ServerError: it cannot be read
        """


class Users:
    """The members of the organization; passwords are not told."""

    name = "users"
    directory = "users"

    def refs(self, server: Grafana) -> list[Ref]:
        """All members."""
        return [Ref(self.name, one["login"], one["login"], known=one) for one in server.get("/api/org/users")]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A member, as the list has it."""
        del server
        return _thing(ref, _all(ref.known, "login", "name", "email", "role"))


class Teams:
    """Teams and who is in them."""

    name = "teams"
    directory = "teams"

    def refs(self, server: Grafana) -> list[Ref]:
        """All teams."""
        return [Ref(self.name, one["name"], one["name"], known=one) for one in teams(server)]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """A team with its members."""
        members = server.find(f"/api/teams/{ref.known['id']}/members")
        if members is None:
            return None
        content = {
            "name": ref.known["name"],
            "email": ref.known["email"],
            "members": sorted(({"login": one["login"], "permission": one["permission"]} for one in members), key=_text),
        }
        return _thing(ref, content)


class TeamPreferences:
    """What a team sees at first: home dashboard, theme, time zone."""

    name = "team_preferences"
    directory = "team_preferences"

    def refs(self, server: Grafana) -> list[Ref]:
        """One for each team."""
        return [Ref(self.name, one["name"], one["name"], known=one) for one in teams(server)]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """The preferences of a team."""
        shown = server.find(f"/api/teams/{ref.known['id']}/preferences")
        return None if shown is None else _thing(ref, _preferences(shown))


class ServiceAccounts:
    """Service accounts; their tokens are not told."""

    name = "service_accounts"
    directory = "service_accounts"

    def refs(self, server: Grafana) -> list[Ref]:
        """All service accounts."""
        return [Ref(self.name, one["name"], one["name"], known=one) for one in service_accounts(server)]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A service account, as the list has it."""
        del server
        return _thing(ref, _all(ref.known, "name", "role", "isDisabled"))


class DataSources:
    """Data sources; of their secrets only the names are told."""

    name = "data_sources"
    directory = "data_sources"

    def refs(self, server: Grafana) -> list[Ref]:
        """All data sources."""
        return [Ref(self.name, one["uid"], one["name"], known=one) for one in server.get("/api/datasources")]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """A data source; the list lacks the names of its secrets."""
        shown = server.find(f"/api/datasources/uid/{part(ref.key)}")
        if shown is None:
            return None
        content = _without(shown, "id", "orgId", "version", "typeLogoUrl", "readOnly", "accessControl", "apiVersion")
        return _thing(ref, content, bool(shown.get("readOnly")), shown.get("version", 0))


class Folders:
    """Folders, nested where the server nests them."""

    name = "folders"
    directory = "folders"

    def refs(self, server: Grafana) -> list[Ref]:
        """All folders, on whatever level."""
        return [Ref(self.name, one["uid"], one["title"], known=one) for one in _search(server, "dash-folder")]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """A folder; a list does not tell its parent."""
        shown = server.find(f"/api/folders/{part(ref.key)}")
        if shown is None:
            return None
        parent = shown.get("parentUid") or GENERAL
        content = _filled(_only(shown, "uid", "title", "parentUid"))
        return Thing(self.name, ref.key, shown["title"], parent, content, version=shown.get("version", 0))


class LibraryPanels:
    """Panels that several dashboards share."""

    name = "library_panels"
    directory = "library_panels"

    def refs(self, server: Grafana) -> list[Ref]:
        """All library panels; the server's own count is no measure of them: it counts those of the page."""
        found = _everything(server, "/api/library-elements", {}, "perPage", PAGE, "elements", "uid")
        return [Ref(self.name, one["uid"], one["name"], _folder_of(one), one) for one in found]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A library panel, as the list has it."""
        del server
        content = {**_all(ref.known, "uid", "name", "kind", "model"), "folderUid": ref.folder}
        return _thing(ref, content, version=ref.known.get("version", 0))


class Dashboards:
    """Dashboards, with whether they are public; earlier versions of them cannot be put back.

    What a newer server has in the form v2 keeps that form: its ``spec``, and the API that takes it.
    """

    name = "dashboards"
    directory = "dashboards"

    def refs(self, server: Grafana) -> list[Ref]:
        """All dashboards of all folders."""
        return [
            Ref(self.name, one["uid"], one["title"], one.get("folderUid") or GENERAL, one)
            for one in _search(server, "dash-db")
        ]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """A dashboard."""
        shown = server.find(f"/api/dashboards/uid/{part(ref.key)}")
        if shown is None:
            return None
        if "spec" in shown:
            return self._v2(server, ref, shown)
        meta, dashboard = shown["meta"], _without(shown["dashboard"], "id", "version")
        folder = meta.get("folderUid") or GENERAL
        content = {"dashboard": dashboard, "folderUid": folder, **_public(bool(meta.get("publicDashboardEnabled")))}
        provisioned, version = bool(meta.get("provisioned")), shown["dashboard"].get("version", 0)
        return Thing(self.name, ref.key, dashboard["title"], folder, content, provisioned, version)

    def _v2(self, server: Grafana, ref: Ref, shown: Mapping[str, Any]) -> Thing:
        notes = shown["metadata"].get("annotations") or {}
        folder = notes.get("grafana.app/folder") or GENERAL
        link = server.find(public_path(ref.key)) or {}
        content = {**_all(shown, "apiVersion", "spec"), "folderUid": folder, **_public(bool(link.get("isEnabled")))}
        provisioned, version = (
            notes.get("grafana.app/managedBy") in _BY_FILES,
            int(shown["metadata"]["resourceVersion"]),
        )
        return Thing(self.name, ref.key, shown["spec"]["title"], folder, content, provisioned, version)


class NamedObjects:
    """Objects of alerting that are known by their names: templates of notifications, and times in which nobody is notified."""

    def __init__(self, name: str, path: str, member: str) -> None:
        """:param member: what the objects have beside a name"""
        self.name = name
        self.directory = f"alerting/{name}"
        self._path = path
        self._member = member

    def refs(self, server: Grafana) -> list[Ref]:
        """All of them."""
        return [Ref(self.name, one["name"], one["name"], known=one) for one in server.get(self._path)]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """One of them, as the list has it."""
        del server
        return _thing(ref, _all(ref.known, "name", self._member), _from_file(ref.known))


class ContactPoints:
    """Receivers of notifications; several may go by one name. Their secrets are not told."""

    name = "contact_points"
    directory = "alerting/contact_points"

    def refs(self, server: Grafana) -> list[Ref]:
        """All receivers; the one that a server begins with has no uid."""
        found = server.get("/api/v1/provisioning/contact-points")
        return [Ref(self.name, one["uid"] or one["name"], one["name"], known=one) for one in found]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A receiver, as the list has it."""
        del server
        content = {**_all(ref.known, "uid", "name", "type", "settings"), **_only(ref.known, "disableResolveMessage")}
        return _thing(ref, content, _from_file(ref.known))


class Policies:
    """Who is notified of what: one tree."""

    name = "policies"
    directory = "alerting"

    def refs(self, server: Grafana) -> list[Ref]:
        """The tree."""
        del server
        return [Ref(self.name, self.name, self.name)]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """The tree."""
        shown = server.get("/api/v1/provisioning/policies")
        return _thing(ref, {**_all(shown, "receiver"), **_without(shown, "provenance")}, _from_file(shown))


class Rules:
    """Alert rules, by group, for the group has the interval."""

    name = "rules"
    directory = "alerting/rules"

    def refs(self, server: Grafana) -> list[Ref]:
        """All groups of all folders."""
        found = server.get("/api/v1/provisioning/alert-rules")
        groups: dict[tuple[str, str], str] = {}
        for one in found:
            place = one["folderUID"], one["ruleGroup"]
            groups[place] = groups.get(place) or one.get("provenance", "")
        return [
            Ref(self.name, f"{folder}/{group}", group, folder, {"provenance": provenance})
            for (folder, group), provenance in sorted(groups.items())
        ]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """A group with its rules."""
        shown = server.find(group_path(ref.folder, ref.title))
        if shown is None:
            return None
        rules = [_rule(one) for one in shown["rules"]]
        content = {"title": ref.title, "folderUid": ref.folder, "interval": shown["interval"], "rules": rules}
        return _thing(ref, content, _from_file(ref.known) or _from_file(self._alone(server, ref, rules)))

    def _alone(self, server: Grafana, ref: Ref, rules: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """A rule as an old server shows it alone: in a list it does not tell who has made it. Files make whole groups."""
        if ref.known.get("provenance") or not rules:
            return {}
        return server.find(f"/api/v1/provisioning/alert-rules/{part(rules[0]['uid'])}") or {}


class Permissions:
    """Who may do what with a folder or a dashboard; what it inherits stands with whom it inherits from."""

    def __init__(self, name: str, path: str, owners: Folders | Dashboards) -> None:
        """:param path: where the owners are in the API"""
        self.name = name
        self.directory = name
        self.path = path
        self._owners = owners

    def refs(self, server: Grafana) -> list[Ref]:
        """One list for each folder or dashboard."""
        return [Ref(self.name, one.key, one.title, one.folder) for one in self._owners.refs(server)]

    def read(self, server: Grafana, ref: Ref) -> Thing | None:
        """The entries of one folder or dashboard, by login, team and role."""
        shown = server.find(f"{self.path}/{part(ref.key)}/permissions")
        if shown is None:
            return None
        entries = [entry for one in shown if not one.get("inherited") for entry in [_permission(one)]]
        return _thing(ref, {"items": sorted(entries, key=_text)})


class Organization:
    """The preferences of the organization."""

    name = "organization"
    directory = ""

    def refs(self, server: Grafana) -> list[Ref]:
        """The one."""
        del server
        return [Ref(self.name, self.name, self.name)]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """Its preferences."""
        return _thing(ref, _preferences(server.get("/api/org/preferences")))


class Playlists:
    """Dashboards that follow one another on a screen."""

    name = "playlists"
    directory = "playlists"

    def refs(self, server: Grafana) -> list[Ref]:
        """All playlists, by name: a server gives uids of its own."""
        listed = self._listed(server)
        shown = {one["uid"]: server.find(f"/api/playlists/{part(one['uid'])}") for one in listed}
        if None in shown.values():
            self._check_gone(server, {uid for uid, one in shown.items() if one is None})
        found = [one for one in shown.values() if one is not None]
        return _counted(self.name, [(one["name"], _playlist(one), one) for one in found])

    def _listed(self, server: Grafana) -> list[dict[str, Any]]:
        """What the server lists; it has no pages, and lists so many where it is not told how many."""
        listed, limit = server.get("/api/playlists"), PAGE
        while len(listed) >= limit:
            limit *= 10
            listed = server.get("/api/playlists", {"limit": str(limit)})
        return list(listed)

    def _check_gone(self, server: Grafana, gone: Collection[str]) -> None:
        for one in self._listed(server):
            if one["uid"] in gone:
                raise ReadingIncomplete(
                    f"every playlist that {server.url} lists was expected to be readable, and playlist '{one['name']}'"
                    f" ({one['uid']}) is listed, and answered with status 404: remove it or make it again, then run again"
                )

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A playlist with its items, in their order, as the list has it."""
        del server
        return _thing(ref, ref.known["content"])


class Annotations:
    """What people have noted on the time axis, by month; what alerts have noted themselves is not theirs."""

    name = "annotations"
    directory = "annotations"

    def refs(self, server: Grafana) -> list[Ref]:
        """One for each month that has some."""
        months: dict[str, list[dict[str, Any]]] = {}
        for one in all_annotations(server):
            begun = datetime.fromtimestamp(min(one["time"] / 1000, _LAST_SECOND), timezone.utc)
            months.setdefault(f"{begun:%Y-%m}", []).append(annotation(one))
        return [
            Ref(self.name, month, month, known={"annotations": sorted(noted, key=_by_time)})
            for month, noted in sorted(months.items())
        ]

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """The annotations of a month, as the list has them."""
        del server
        return _thing(ref, ref.known)


class Correlations:
    """Ways from one data source to another."""

    name = "correlations"
    directory = "correlations"

    def refs(self, server: Grafana) -> list[Ref]:
        """All correlations, by what they connect: a server gives uids of its own."""
        found = [
            (
                f"{one['sourceUID']}-{one.get('label') or one.get('targetUID', '')}",
                _correlation(one),
                one,
            )
            for one in correlations(server)
        ]
        return _counted(self.name, found)

    def read(self, server: Grafana, ref: Ref) -> Thing:
        """A correlation, as the list has it."""
        del server
        return _thing(ref, ref.known["content"], ref.known["provisioned"])


FOLDERS, DASHBOARDS = Folders(), Dashboards()
# In the order in which they are restored: who is referred to comes first.
KINDS: Sequence[Kind] = (
    Users(),
    Teams(),
    ServiceAccounts(),
    DataSources(),
    FOLDERS,
    LibraryPanels(),
    DASHBOARDS,
    NamedObjects("templates", "/api/v1/provisioning/templates", "template"),
    NamedObjects("mute_timings", "/api/v1/provisioning/mute-timings", "time_intervals"),
    ContactPoints(),
    Policies(),
    Rules(),
    Permissions("folder_permissions", "/api/folders", FOLDERS),
    Permissions("dashboard_permissions", "/api/dashboards/uid", DASHBOARDS),
    Organization(),
    TeamPreferences(),
    Playlists(),
    Annotations(),
    Correlations(),
)


def refs_of(kind: Kind, server: Grafana) -> list[Ref]:
    """Everything of a kind that a server has.

    :raises UnknownForm: the server's list has another form than is known
    """
    with server.understood(f"the list of {kind.name}"):
        return kind.refs(server)


def thing_of(kind: Kind, server: Grafana, ref: Ref) -> Thing | None:
    """One object of a server; None if it has gone since it was listed.

    :raises UnknownForm: the object has another form than is known
    """
    with server.understood(ref.words, ref.known):
        return kind.read(server, ref)


def teams(server: Grafana) -> Iterator[dict[str, Any]]:
    """The teams of the organization, as the server lists them."""
    yield from _everything(server, "/api/teams/search", {}, "perpage", PAGE, "teams", "id")


def accounts(server: Grafana) -> Iterator[dict[str, Any]]:
    """The users of the whole server, as it lists them to its administrators."""
    yield from _everything(server, "/api/users", {}, "perpage", PAGE, "", "id")


def service_accounts(server: Grafana) -> Iterator[dict[str, Any]]:
    """The service accounts of the organization, as the server lists them."""
    yield from _everything(server, "/api/serviceaccounts/search", {}, "perpage", PAGE, "serviceAccounts", "id")


def correlations(server: Grafana) -> list[dict[str, Any]]:
    """The correlations of the organization; newer servers have pages of them, and say 404 where there is none."""
    path = "/api/datasources/correlations"
    answer = server.find(path)
    if isinstance(answer, dict):
        return list(_everything(server, path, {}, "limit", PAGE, "correlations", "uid"))
    return [dict(one) for one in answer or ()]


def all_annotations(server: Grafana) -> list[dict[str, Any]]:
    """All annotations of people; the server has no pages, and lists the one that ends last first."""
    found: dict[int, dict[str, Any]] = {}
    until, limit = _LAST_INSTANT, PAGE
    while True:
        window = {"type": "annotation", "from": _FIRST_INSTANT, "to": str(until), "limit": str(limit)}
        answer = server.get("/api/annotations", window)
        fresh = [one for one in answer if one["id"] not in found]
        found.update((one["id"], one) for one in fresh)
        if len(answer) < limit:
            return list(found.values())
        if not fresh:
            limit *= 2
        until = min(one["timeEnd"] or one["time"] for one in answer)


def annotation(shown: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation in the one form."""
    content = {**_only(shown, "dashboardUID", "panelId", "timeEnd"), **_all(shown, "time", "text")}
    return {**_filled(content), "tags": sorted(shown.get("tags") or ())}


def group_path(folder: str, group: str) -> str:
    """Where a group of rules is in the API."""
    return f"/api/v1/provisioning/folder/{part(folder)}/rule-groups/{part(group)}"


def public_path(uid: str) -> str:
    """Where a dashboard's public link is in the API."""
    return f"/api/dashboards/uid/{part(uid)}/public-dashboards"


def model_of(dashboard: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a dashboard's page shows, in whichever form it is."""
    model: Mapping[str, Any] = dashboard["spec"] if "spec" in dashboard else dashboard["dashboard"]
    return model


def secret_fields(thing: Thing) -> list[str]:
    """The names of the secrets that an object has and no API tells."""
    if thing.kind == DataSources.name:
        return sorted(name for name, there in (thing.content.get("secureJsonFields") or {}).items() if there)
    if thing.kind == ContactPoints.name:
        return sorted(_masked(thing.content["settings"]))
    return ["password"] if thing.kind == Users.name else []


def unmasked(settings: Any, secrets: Mapping[str, str], path: str = "") -> Any:
    """The settings of a contact point with the secrets that are given, by path, in the place of their masks."""
    if isinstance(settings, Mapping):
        return {name: unmasked(value, secrets, _inside(path, name)) for name, value in settings.items()}
    if isinstance(settings, list):
        return [unmasked(value, secrets, _inside(path, str(number))) for number, value in enumerate(settings)]
    return secrets.get(path, settings) if settings == REDACTED else settings


def _masked(settings: Any, path: str = "") -> Iterator[str]:
    """Where the settings of a contact point have masks, as ``http_config.oauth2.client_secret``."""
    named = (
        settings.items() if isinstance(settings, Mapping) else enumerate(settings) if isinstance(settings, list) else ()
    )
    for name, value in named:
        yield from _masked(value, _inside(path, str(name)))
    if settings == REDACTED:
        yield path


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _search(server: Grafana, what: str) -> Iterator[dict[str, Any]]:
    return _everything(server, "/api/search", {"type": what}, "limit", SEARCH_PAGE, "", "uid")


def _everything(
    server: Grafana, path: str, params: Mapping[str, str], size: str, limit: int, name: str, key: str
) -> Iterator[dict[str, Any]]:
    """All of a list that the server has in pages: until one is not full.

    :param name: where the list is in an answer that says more than it
    :param key: what tells one from another
    """
    seen: set[Any] = set()
    for answer in server.pages(path, params, size, limit):
        told = answer.get("result", answer) if isinstance(answer, dict) else {name: answer}
        # What is made or removed between two pages moves the others; nobody is listed twice.
        fresh = [one for one in told[name] if one[key] not in seen]
        seen.update(one[key] for one in fresh)
        yield from fresh
        full = told.get("perPage") or told.get("limit") or limit
        if not fresh or len(told[name]) < min(full, limit):
            return


def _counted(kind: str, found: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> list[Ref]:
    """Objects without a uid of their own, by name, with a number from the second one of a name on.

    :param found: names, contents, and what this server says of them
    """
    ordered = sorted(found, key=lambda one: (one[0], _text(one[1])))
    names = {name for name, _content, _shown in ordered}
    refs = []
    keys: set[str] = set()
    for name, content, shown in ordered:
        numbered = (f"{name} {number}" for number in itertools.count(2))
        key = name if name not in keys else next(one for one in numbered if one not in keys | names)
        keys.add(key)
        known = {"content": content, "uid": shown["uid"], "provisioned": bool(shown.get("provisioned"))}
        refs.append(Ref(kind, key, name, known=known))
    return refs


def _thing(ref: Ref, content: Mapping[str, Any], provisioned: bool = False, version: int = 0) -> Thing:
    return Thing(ref.kind, ref.key, ref.title, ref.folder, content, provisioned, version)


def _all(shown: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: shown[name] for name in names}


def _only(shown: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: shown[name] for name in names if name in shown}


def _without(shown: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in names}


def _filled(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if value not in (None, "", 0, [], {})}


def _preferences(shown: Mapping[str, Any]) -> dict[str, Any]:
    content = _filled(_without(shown, "homeDashboardId"))
    return {name: value for name, value in content.items() if not isinstance(value, dict) or any(value.values())}


def _folder_of(element: Mapping[str, Any]) -> str:
    return str(element.get("folderUid") or (element.get("meta") or {}).get("folderUid") or GENERAL)


def _public(enabled: bool) -> dict[str, Any]:
    return {"public": {"isEnabled": True}} if enabled else {}


def _permission(shown: Mapping[str, Any]) -> dict[str, Any]:
    for name, holder in (("user", shown.get("userLogin")), ("team", shown.get("team")), ("role", shown.get("role"))):
        if holder:
            return {name: holder, "permission": shown["permission"]}
    raise RightMissing(
        f"each permission of '{shown.get('title')}' was expected to name a user, a team or a role, and one names none: let the"
        " service account see users and teams too (org.users:read, teams:read)"
    )


def _playlist(shown: Mapping[str, Any]) -> dict[str, Any]:
    items = [{**_only(one, "title"), **_all(one, "type", "value")} for one in shown["items"]]
    return {**_all(shown, "name", "interval"), "items": items}


def _correlation(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What it is stands within its configuration, as on 9.4; on a newer server it stands beside it."""
    content = _without(shown, "uid", "orgId", "provisioned", "type")
    return {**content, "config": {**_only(shown, "type"), **shown["config"]}}


def _rule(shown: Mapping[str, Any]) -> dict[str, Any]:
    own = _without(shown, "id", "updated", "provenance", "orgID", "folderUID", "ruleGroup")
    rule = _not_added(own, _ADDED_TO_RULES)
    data = [{**query, "model": _not_added(query["model"], _ADDED_TO_MODELS)} for query in rule["data"]]
    return {**rule, "data": data}


def _not_added(shown: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in added or added[name] != value}


def _from_file(shown: Mapping[str, Any]) -> bool:
    return shown.get("provenance") == "file"


def _by_time(noted: Mapping[str, Any]) -> tuple[int, str]:
    return noted["time"], _text(noted)


def _text(content: object) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=True)
