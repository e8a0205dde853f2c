# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an object of each kind is made on a Grafana, and how one that is there becomes another.

What a server of one version does in another way than the next is told from its answers, never from its version.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.errors import RequestRefused, RightMissing
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana, part
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import dump
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    DASHBOARDS,
    FOLDERS,
    Ref,
    Thing,
    accounts,
    all_annotations,
    annotation,
    group_path,
    model_of,
    public_path,
    secret_fields,
    service_accounts,
    teams,
    unmasked,
)

# Kind, and key or title.
Name = tuple[str, str]
# By kind, key and field.
Secrets = Mapping[str, Mapping[str, Mapping[str, str]]]
ADMIN = 4
DEFAULT_POLICIES = {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]}
# What a new folder lets people do, beside its maker.
_FOLDER_DEFAULTS = ({"permission": 1, "role": "Viewer"}, {"permission": 2, "role": "Editor"})
# The server's words where a group may not be made at once from rules that it does not know.
_UNKNOWN_RULE = "could not find alert rule"
_PROVISIONING = "/api/v1/provisioning"


class Target:
    """The server that is written to, with the numbers that stand for names there; asked once, when they are needed."""

    def __init__(self, server: Grafana, secrets: Secrets) -> None:
        """:param secrets: what no backup holds, by kind, key and field"""
        self.server = server
        self._secrets = secrets
        # An old server wants each rule before its group; after the first refusal that is known.
        self.rules_come_first = False

    def secret(self, thing: Thing) -> Mapping[str, str]:
        """The secrets of an object that are given."""
        return self._secrets.get(thing.kind, {}).get(thing.key) or {}

    @cached_property
    def organization(self) -> int:
        """The organization's number."""
        return int(self.server.get("/api/org")["id"])

    @cached_property
    def users(self) -> frozenset[str]:
        """The logins that the whole server knows, in whatever organization.

        :raises RightMissing: who asks is no administrator of the server
        """
        return frozenset(one["login"] for one in accounts(self.server))

    @cached_property
    def members(self) -> Mapping[str, Mapping[str, Any]]:
        """The members of the organization, by login."""
        return {one["login"]: one for one in self.server.get("/api/org/users")}

    @cached_property
    def logins(self) -> Mapping[str, int]:
        """The numbers of people and service accounts."""
        people = {login: int(one["userId"]) for login, one in self.members.items()}
        return {**{one["login"]: int(one["id"]) for one in service_accounts(self.server)}, **people}

    @cached_property
    def teams(self) -> Mapping[str, int]:
        """The numbers of the teams."""
        return {one["name"]: int(one["id"]) for one in teams(self.server)}

    @cached_property
    def groups_of_rules(self) -> Mapping[str, str]:
        """In which group each rule is."""
        found = self.server.get(f"{_PROVISIONING}/alert-rules")
        return {one["uid"]: f"{one['folderUID']}/{one['ruleGroup']}" for one in found}

    @cached_property
    def folders(self) -> frozenset[str]:
        """The uids of the folders."""
        return frozenset(ref.key for ref in FOLDERS.refs(self.server))

    @cached_property
    def default_source(self) -> str | None:
        """The uid of the data source that dashboards use where they name none."""
        found = (one["uid"] for one in self.server.get("/api/datasources") if one.get("isDefault"))
        return next(found, None)

    @cached_property
    def annotations(self) -> Counter[str]:
        """What is noted on the time axis, each as text, and how often."""
        return Counter(_text(annotation(one)) for one in all_annotations(self.server))

    def number(self, holder: Name) -> int:
        """The number of a user, service account or team.

        :raises RequestRefused: there is none of that name
        """
        known = self.teams if holder[0] == "teams" else self.logins
        if holder[1] not in known:
            raise RequestRefused(f"{self.server.url} was expected to have {holder[0]} '{holder[1]}', and has none")
        return known[holder[1]]


class Writes:
    """How objects of one kind are written; the kinds differ from this one where they say so."""

    def needs(self, thing: Thing) -> set[Name]:
        """What has to be there before; a name that is not the server's does no harm."""
        return {("folders", thing.folder)} if thing.folder else set()

    def holders(self, thing: Thing) -> set[Name]:
        """The users and teams that the object names."""
        del thing
        return set()

    def without(self, thing: Thing, gone: set[Name]) -> Thing:
        """The object without some of its holders."""
        del gone
        return thing

    def same(self, wanted: Thing, current: Thing) -> bool:
        """Whether nothing is left to do: both would have the same file."""
        return dump(wanted.content) == dump(current.content)

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """Whether somebody's work is lost if the one becomes the other, which it is not the same as."""
        del wanted, current
        return True

    def takes(self, target: Target, thing: Thing) -> dict[str, Any]:
        """What other objects lose if this one is made."""
        del target, thing
        return {}

    def missing_secrets(self, target: Target, thing: Thing, current: Thing | None) -> list[str]:
        """The secrets that are not given and that the server has not kept."""
        kept = secret_fields(current) if current else []
        return [name for name in secret_fields(thing) if name not in kept and name not in target.secret(thing)]

    def obstacle(self, target: Target, thing: Thing, current: Thing | None) -> str | None:
        """Why the object cannot be written with these credentials, whatever is sent."""
        del target, thing, current
        return None

    def create(self, target: Target, thing: Thing) -> Any:
        """Make an object that is not there.

        :return: what the server says of it
        :raises RequestRefused: it does not take it
        """
        raise NotImplementedError

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Make the object that is there this one.

        :param version: of the one that is there, as it was compared
        :raises RequestRefused: the server does not take it, or the object has changed meanwhile
        """
        del ref, version
        return self.create(target, thing)


class Users(Writes):
    """Members; who is not known to the server at all is made with a password, which takes an administrator of the server."""

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """The administrator that a server begins with is nobody's work."""
        del wanted
        return (current.content.get("email"), current.content.get("name")) != (f"{current.key}@localhost", "")

    def missing_secrets(self, target: Target, thing: Thing, current: Thing | None) -> list[str]:
        """None: who cannot be made for want of a password is named as such."""
        del target, thing, current
        return []

    def obstacle(self, target: Target, thing: Thing, current: Thing | None) -> str | None:
        """A right or a password that is missing."""
        if current is not None and _profile(current) == _profile(thing):
            return None
        try:
            known = target.users
        except RightMissing:
            return "takes a server administrator's name and password"
        if thing.key not in known and not target.secret(thing).get("password"):
            return f"secrets.users['{thing.key}'].password is not given"
        return None

    def create(self, target: Target, thing: Thing) -> Any:
        """Make the user where the server has none of that login, and let them join."""
        server, login, role = target.server, thing.key, thing.content["role"]
        if login not in target.users:
            body = {**_profile(thing), "password": target.secret(thing)["password"]}
            server.send("POST", "/api/admin/users", body)
        members = {one["login"]: one for one in server.get("/api/org/users")}
        if login not in members:
            return server.send("POST", "/api/org/users", {"loginOrEmail": login, "role": role})
        return self._role(target, members[login], role)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change the name, the address, the role."""
        del version
        if {**_profile(thing), **ref.known} != dict(ref.known):
            target.server.send("PUT", f"/api/users/{ref.known['userId']}", _profile(thing))
        return self._role(target, ref.known, thing.content["role"])

    def _role(self, target: Target, member: Mapping[str, Any], role: str) -> Any:
        if member["role"] == role:
            return None
        return target.server.send("PATCH", f"/api/org/users/{member['userId']}", {"role": role})


class Teams(Writes):
    """Teams; their members are added and removed one by one."""

    def holders(self, thing: Thing) -> set[Name]:
        """The members."""
        return {("users", one["login"]) for one in thing.content["members"]}

    def needs(self, thing: Thing) -> set[Name]:
        """The members."""
        return self.holders(thing)

    def without(self, thing: Thing, gone: set[Name]) -> Thing:
        """The team without these members."""
        members = [one for one in thing.content["members"] if ("users", one["login"]) not in gone]
        return replace(thing, content={**thing.content, "members": members})

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """Not where members are only added; a team's maker is among them by itself."""
        if current.content["email"] != wanted.content["email"]:
            return True
        saved = wanted.content["members"]
        others = [one for one in current.content["members"] if one not in saved]
        return len(others) > 1 or any(one["permission"] != ADMIN for one in others)

    def create(self, target: Target, thing: Thing) -> Any:
        """Make the team, then have its members."""
        made = target.server.send("POST", "/api/teams", _only(thing, "name", "email"))
        self._members(target, thing, made["teamId"])
        return made

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change the address and the members."""
        del version
        number = ref.known["id"]
        if ref.known["email"] != thing.content["email"]:
            target.server.send("PUT", f"/api/teams/{number}", _only(thing, "name", "email"))
        self._members(target, thing, number)

    def _members(self, target: Target, thing: Thing, team: int) -> None:
        path = f"/api/teams/{team}/members"
        there = {one["login"]: one for one in target.server.get(path)}
        wanted = {one["login"]: one["permission"] for one in thing.content["members"]}
        for login, permission in wanted.items():
            number = target.number(("users", login))
            if login not in there:
                target.server.send("POST", path, {"userId": number})
            if permission != (there[login]["permission"] if login in there else 0):
                target.server.send("PUT", f"{path}/{number}", {"permission": permission})
        for login, one in there.items():
            if login not in wanted:
                target.server.send("DELETE", f"{path}/{one['userId']}")


class ServiceAccounts(Writes):
    """Service accounts, without tokens."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it, and disable it where it was."""
        made = target.server.send("POST", "/api/serviceaccounts", _only(thing, "name", "role"))
        return self._change(target, thing, made)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change the role, and whether it is disabled."""
        del version
        return self._change(target, thing, ref.known)

    def _change(self, target: Target, thing: Thing, there: Mapping[str, Any]) -> Any:
        wanted = _only(thing, "role", "isDisabled")
        if {**there, **wanted} == dict(there):
            return None
        return target.server.send("PATCH", f"/api/serviceaccounts/{there['id']}", wanted)


class DataSources(Writes):
    """Data sources; one that is there keeps the secrets that are not given."""

    def takes(self, target: Target, thing: Thing) -> dict[str, Any]:
        """Whichever was the default one is that no more."""
        default = target.default_source
        return {"default": default} if thing.content.get("isDefault") and default not in (None, thing.key) else {}

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it with its secrets."""
        return target.server.send("POST", "/api/datasources", self._body(target, thing))

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change it."""
        del ref
        body = {**self._body(target, thing), "version": version}
        return target.server.send("PUT", f"/api/datasources/uid/{part(thing.key)}", body)

    def _body(self, target: Target, thing: Thing) -> dict[str, Any]:
        body = {name: value for name, value in thing.content.items() if name != "secureJsonFields"}
        wanted = secret_fields(thing)
        return {
            **body,
            "secureJsonData": {name: value for name, value in target.secret(thing).items() if name in wanted},
        }


class Folders(Writes):
    """Folders; never with ``overwrite``, which may change another one of the same title."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it where it was; an old server makes it on the top level."""
        return target.server.send("POST", "/api/folders", thing.content)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Give it its title, and move it."""
        del ref
        path = f"/api/folders/{part(thing.key)}"
        shown, title, parent = target.server.get(path), thing.content["title"], thing.content.get("parentUid", "")
        if shown["title"] != title:
            target.server.send("PUT", path, {"title": title, "version": version})
        if (shown.get("parentUid") or "") != parent:
            target.server.send("POST", f"{path}/move", {"parentUid": parent})


class LibraryPanels(Writes):
    """Library panels."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it."""
        return target.server.send("POST", "/api/library-elements", thing.content)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change it, in every dashboard that shows it."""
        del ref
        body = {**_only(thing, "name", "kind", "model", "folderUid"), "version": version}
        return target.server.send("PATCH", f"/api/library-elements/{part(thing.key)}", body)


class Dashboards(Writes):
    """Dashboards; always by uid and with the version that they replace, never with ``overwrite``."""

    def needs(self, thing: Thing) -> set[Name]:
        """Its folder, and the library panels that it shows."""
        elements = [element.get("spec") or {} for element in (model_of(thing.content).get("elements") or {}).values()]
        shown = (panel.get("libraryPanel") or {} for panel in [*_panels(model_of(thing.content)), *elements])
        return super().needs(thing) | {("library_panels", one["uid"]) for one in shown if one.get("uid")}

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """Not where only its being public is missing."""
        return {**current.content, "public": wanted.content.get("public")} != dict(wanted.content)

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it, and make it public where it was."""
        return self._save(target, thing, 0)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Save it as the next version; the server refuses if another one has come in between."""
        del ref
        return self._save(target, thing, version)

    def _save(self, target: Target, thing: Thing, version: int) -> Any:
        saved = self._v2(target, thing, version) if "spec" in thing.content else self._v1(target, thing, version)
        if version or "public" in thing.content:
            self._publish(target, thing)
        return saved

    def _v1(self, target: Target, thing: Thing, version: int) -> Any:
        dashboard = {**thing.content["dashboard"], "id": None, "uid": thing.key, "version": version}
        body = {
            "dashboard": dashboard,
            "folderUid": thing.content["folderUid"],
            "overwrite": False,
            "message": "restored by flatnet.ops",
        }
        return target.server.send("POST", "/api/dashboards/db", body)

    def _v2(self, target: Target, thing: Thing, version: int) -> Any:
        number, folder = target.organization, thing.content["folderUid"]
        path = (
            f"/apis/{thing.content['apiVersion']}/namespaces/{'default' if number == 1 else f'org-{number}'}/dashboards"
        )
        about = {"name": thing.key, "annotations": {"grafana.app/folder": folder} if folder else {}}
        body = {"kind": "Dashboard", **_only(thing, "apiVersion", "spec"), "metadata": about}
        if not version:
            try:
                return target.server.send("POST", path, body)
            except RequestRefused as error:
                if "answered status 404" not in str(error):
                    raise
                raise RequestRefused(
                    f"{target.server.url} was expected to have the API {thing.content['apiVersion']}, which the dashboard was made"
                    " with, and has none: restore it onto a Grafana of that version or a newer one"
                ) from error
        body["metadata"] = {**about, "resourceVersion": str(version)}
        return target.server.send("PUT", f"{path}/{part(thing.key)}", body)

    def _publish(self, target: Target, thing: Thing) -> None:
        """Let it be public, or no more; a link that is there stays the same one."""
        current = DASHBOARDS.read(target.server, Ref(thing.kind, thing.key, thing.title))
        public, path = "public" in thing.content, public_path(thing.key)
        if current is None or ("public" in current.content) == public:
            return
        link = target.server.find(path)
        if link is None:
            target.server.send("POST", path, thing.content["public"])
        else:
            target.server.send("PATCH", f"{path}/{part(link['uid'])}", {"isEnabled": public})


class Templates(Writes):
    """Templates of notifications."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it, or change it: it is one request."""
        path = f"{_PROVISIONING}/templates/{part(thing.key)}"
        return target.server.send("PUT", path, _only(thing, "template"))


class MuteTimings(Writes):
    """Mute timings."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it."""
        return target.server.send("POST", f"{_PROVISIONING}/mute-timings", thing.content)

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change it."""
        del ref, version
        return target.server.send("PUT", f"{_PROVISIONING}/mute-timings/{part(thing.key)}", thing.content)


class ContactPoints(Writes):
    """Receivers; one that is there keeps the secrets that are not given, and one that is made is never sent their masks."""

    def obstacle(self, target: Target, thing: Thing, current: Thing | None) -> str | None:
        """The one that a server begins with has no uid to be changed by."""
        del target, current
        return (
            None
            if thing.content["uid"]
            else "has no uid: a server begins with it, and only Grafana's own page can change it"
        )

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it with its secrets."""
        return target.server.send("POST", f"{_PROVISIONING}/contact-points", self._body(target, thing))

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change it; what is masked stays as the server has it."""
        del ref, version
        path = f"{_PROVISIONING}/contact-points/{part(thing.key)}"
        return target.server.send("PUT", path, self._body(target, thing))

    def _body(self, target: Target, thing: Thing) -> dict[str, Any]:
        return {**thing.content, "settings": unmasked(thing.content["settings"], target.secret(thing))}


class Policies(Writes):
    """The tree of policies, always whole."""

    def needs(self, thing: Thing) -> set[Name]:
        """The receivers and times that it names, on all levels."""
        return {
            (kind, name)
            for route in _routes(thing.content)
            for kind, names in (
                ("contact_points", [route.get("receiver")]),
                ("mute_timings", [*route.get("mute_time_intervals", ()), *route.get("active_time_intervals", ())]),
            )
            for name in names
            if name
        }

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """The tree that a server begins with is nobody's work."""
        del wanted
        return current.content != DEFAULT_POLICIES

    def create(self, target: Target, thing: Thing) -> Any:
        """Put the tree in place; the server says nothing of it, so it is asked."""
        path = f"{_PROVISIONING}/policies"
        target.server.send("PUT", path, thing.content)
        return target.server.get(path)


class Rules(Writes):
    """Groups of alert rules."""

    def needs(self, thing: Thing) -> set[Name]:
        """The folder, which a server does not miss until it is too late, and the receivers that rules name."""
        named = ((rule.get("notification_settings") or {}).get("receiver") for rule in thing.content["rules"])
        return super().needs(thing) | {("contact_points", name) for name in named if name}

    def takes(self, target: Target, thing: Thing) -> dict[str, Any]:
        """Rules that are in another group now move."""
        places = {rule["uid"]: target.groups_of_rules.get(rule["uid"], thing.key) for rule in thing.content["rules"]}
        moved = {uid: place for uid, place in places.items() if place != thing.key}
        return {"rules": moved} if moved else {}

    def create(self, target: Target, thing: Thing) -> Any:
        """Put the group in place; where the server wants to know its rules first, they come first."""
        if thing.folder not in target.folders:
            raise RequestRefused(
                f"{target.server.url} was expected to have the folder '{thing.folder}' of {thing.words}, and has none; it might take"
                " the rules all the same, and then export none at all"
            )
        if target.rules_come_first:
            return self._one_by_one(target, thing)
        try:
            return self._put(target, thing)
        except RequestRefused as error:
            if _UNKNOWN_RULE not in str(error):
                raise
        target.rules_come_first = True
        return self._one_by_one(target, thing)

    def _one_by_one(self, target: Target, thing: Thing) -> Any:
        body = _group(target, thing)
        fresh = [rule for rule in body["rules"] if rule["uid"] not in target.groups_of_rules]
        for rule in fresh:
            target.server.send("POST", f"{_PROVISIONING}/alert-rules", rule)
        put = self._put(target, thing)
        # Whether such a server has locked a rule it tells of the rule alone, not of its group.
        return target.server.get(f"{_PROVISIONING}/alert-rules/{part(fresh[0]['uid'])}") if fresh else put

    def _put(self, target: Target, thing: Thing) -> Any:
        return target.server.send("PUT", group_path(thing.folder, thing.title), _group(target, thing))


class Permissions(Writes):
    """Who may do what with a folder or a dashboard, always as a whole."""

    def __init__(self, owners: str, path: str) -> None:
        """:param path: where the owners are in the API"""
        self._owners = owners
        self._path = path

    def needs(self, thing: Thing) -> set[Name]:
        """The folder or dashboard, and who is allowed something."""
        return {(self._owners, thing.key)} | self.holders(thing)

    def holders(self, thing: Thing) -> set[Name]:
        """Who is allowed something, without the roles, which every server has."""
        return {holder for one in thing.content["items"] for holder in [_holder(one)] if holder}

    def without(self, thing: Thing, gone: set[Name]) -> Thing:
        """The entries of others."""
        items = [one for one in thing.content["items"] if _holder(one) not in gone]
        return replace(thing, content={**thing.content, "items": items})

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """What a server gives a new folder or dashboard is nobody's work."""
        del wanted
        items = current.content["items"]
        makers = [one for one in items if "user" in one and one["permission"] == ADMIN]
        others = [one for one in items if one not in makers]
        return len(makers) > 1 or any(one not in _FOLDER_DEFAULTS for one in others)

    def create(self, target: Target, thing: Thing) -> Any:
        """Let these be allowed what they were, and nobody else."""
        items = [self._item(target, one) for one in thing.content["items"]]
        return target.server.send("POST", f"{self._path}/{part(thing.key)}/permissions", {"items": items})

    def _item(self, target: Target, entry: Mapping[str, Any]) -> dict[str, Any]:
        holder = _holder(entry)
        if holder is None:
            return dict(entry)
        field = "teamId" if holder[0] == "teams" else "userId"
        return {field: target.number(holder), "permission": entry["permission"]}


class Preferences(Writes):
    """What the organization sees at first; what is not set is as the server's own settings say."""

    def needs(self, thing: Thing) -> set[Name]:
        """The dashboard that it begins with."""
        home = thing.content.get("homeDashboardUID")
        return {("dashboards", home)} if home else set()

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """Not where something is only added."""
        return {**wanted.content, **current.content} != dict(wanted.content)

    def create(self, target: Target, thing: Thing) -> Any:
        """Set them all."""
        return target.server.send("PUT", "/api/org/preferences", thing.content)


class TeamPreferences(Preferences):
    """What a team sees at first."""

    def needs(self, thing: Thing) -> set[Name]:
        """The team, and the dashboard that it begins with."""
        return super().needs(thing) | {("teams", thing.key)}

    def create(self, target: Target, thing: Thing) -> Any:
        """Set them all."""
        number = target.number(("teams", thing.key))
        return target.server.send("PUT", f"/api/teams/{number}/preferences", thing.content)


class Playlists(Writes):
    """Playlists; the server gives each a uid of its own."""

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it."""
        return target.server.send("POST", "/api/playlists", self._body(thing))

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change it."""
        del version
        return target.server.send("PUT", f"/api/playlists/{part(ref.known['uid'])}", self._body(thing))

    def _body(self, thing: Thing) -> dict[str, Any]:
        items = [{**item, "order": number} for number, item in enumerate(thing.content["items"], 1)]
        return {**thing.content, "items": items}


class Annotations(Writes):
    """Annotations; they are only added, for a server knows no two as the same."""

    def needs(self, thing: Thing) -> set[Name]:
        """The dashboards that they are on."""
        found = (one.get("dashboardUID") for one in thing.content["annotations"])
        return {("dashboards", uid) for uid in found if uid}

    def same(self, wanted: Thing, current: Thing) -> bool:
        """Whether all of them are there, among others or not."""
        return not _noted(wanted) - _noted(current)

    def loses(self, wanted: Thing, current: Thing) -> bool:
        """Nothing is."""
        del wanted, current
        return False

    def create(self, target: Target, thing: Thing) -> Any:
        """Add those that are missing."""
        for noted in (_noted(thing) - target.annotations).elements():
            target.server.send("POST", "/api/annotations", json.loads(noted))


class Correlations(Writes):
    """Correlations; the server gives each a uid of its own."""

    def needs(self, thing: Thing) -> set[Name]:
        """The data sources at both ends."""
        return {("data_sources", uid) for uid in (thing.content["sourceUID"], thing.content.get("targetUID")) if uid}

    def create(self, target: Target, thing: Thing) -> Any:
        """Make it; a newer server wants to know beside its configuration what it is."""
        body = self._body(thing, "sourceUID")
        try:
            return target.server.send("POST", self._path(thing), body)
        except RequestRefused as error:
            if "answered status 400" not in str(error):
                raise
        return target.server.send("POST", self._path(thing), {**body, "type": thing.content["config"]["type"]})

    def update(self, target: Target, thing: Thing, ref: Ref, version: int) -> Any:
        """Change what can be changed: not its ends."""
        del version
        path = f"{self._path(thing)}/{part(ref.known['uid'])}"
        return target.server.send("PATCH", path, self._body(thing, "sourceUID", "targetUID"))

    def _path(self, thing: Thing) -> str:
        return f"/api/datasources/uid/{part(thing.content['sourceUID'])}/correlations"

    def _body(self, thing: Thing, *besides: str) -> dict[str, Any]:
        return {name: value for name, value in thing.content.items() if name not in besides}


WRITES: Mapping[str, Writes] = {
    "users": Users(),
    "teams": Teams(),
    "service_accounts": ServiceAccounts(),
    "data_sources": DataSources(),
    "folders": Folders(),
    "library_panels": LibraryPanels(),
    "dashboards": Dashboards(),
    "templates": Templates(),
    "mute_timings": MuteTimings(),
    "contact_points": ContactPoints(),
    "policies": Policies(),
    "rules": Rules(),
    "folder_permissions": Permissions("folders", "/api/folders"),
    "dashboard_permissions": Permissions("dashboards", "/api/dashboards/uid"),
    "organization": Preferences(),
    "team_preferences": TeamPreferences(),
    "playlists": Playlists(),
    "annotations": Annotations(),
    "correlations": Correlations(),
}


def _only(thing: Thing, *names: str) -> dict[str, Any]:
    return {name: thing.content[name] for name in names if name in thing.content}


def _profile(thing: Thing) -> dict[str, Any]:
    return _only(thing, "login", "name", "email")


def _holder(entry: Mapping[str, Any]) -> Name | None:
    """Whom an entry of permissions names; None for a role."""
    return ("teams", entry["team"]) if "team" in entry else ("users", entry["user"]) if "user" in entry else None


def _panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All panels of a dashboard, those in rows that are closed among them."""
    for panel in dashboard.get("panels") or ():
        yield panel
        yield from _panels(panel)


def _routes(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for inner in route.get("routes") or ():
        yield from _routes(inner)


def _group(target: Target, thing: Thing) -> dict[str, Any]:
    place = {"folderUID": thing.folder, "ruleGroup": thing.title, "orgID": target.organization}
    return {**thing.content, "rules": [{**rule, **place} for rule in thing.content["rules"]]}


def _noted(thing: Thing) -> Counter[str]:
    return Counter(_text(one) for one in thing.content["annotations"])


def _text(content: object) -> str:
    return json.dumps(content, sort_keys=True)
