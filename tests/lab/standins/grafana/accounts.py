# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Organisations, users, teams, service accounts and preferences."""

from __future__ import annotations

import secrets
from typing import Any

from .routes import Answer, Call, NotRecorded, Refused, answer, route, said, traced
from .store import Doc, Store, stamp

AVATAR = "/public/img/user_profile.png"
NEVER_SEEN = "10 years"
SHORTEST_PASSWORD = 4
PREFERENCES = ("theme", "timezone", "weekStart", "language")
# What a Viewer's token was shown of its own rights, before there was anything that it could not see.
VIEWER = {
    "alert.instances.external:read": ["datasources:*"],
    "alert.instances:read": ["folders:*"],
    "alert.notifications.external:read": ["datasources:*"],
    "alert.notifications:read": [""],
    "alert.rules.external:read": ["datasources:*"],
    "alert.rules:read": ["folders:*"],
    "annotations:create": ["annotations:type:dashboard"],
    "annotations:delete": ["annotations:type:dashboard"],
    "annotations:read": ["annotations:*"],
    "annotations:write": ["annotations:type:dashboard"],
    "dashboards:read": ["dashboards:uid:provisioned"],
    "datasources.id:read": ["datasources:*"],
    "datasources:query": ["datasources:*", "datasources:uid:grafana"],
    "datasources:read": ["datasources:*", "datasources:uid:grafana"],
    "orgs.quotas:read": [""],
    "orgs:read": [""],
    "plugins.app:access": ["plugins:*"],
}


def add_organisation(store: Store, name: str) -> int:
    """A new organisation; its number."""
    org = store.next("organisation")
    store.put("organisation", 0, org, {"id": org, "name": name})
    return org


def add_user(store: Store, login: str, name: str, email: str, **more: Any) -> Doc:
    """A new user, or the account of a service: both are counted together."""
    now = stamp()
    number = store.next("user")
    user = {
        "id": number,
        "login": login,
        "name": name,
        "email": email,
        "org": 1,
        "admin": False,
        "disabled": False,
        "theme": "",
        "password": "",
        "created": now,
        "updated": now,
        "seen": login == "admin",
        **more,
    }
    store.put("user", 0, number, user)
    return user


def people(call: Call) -> list[Doc]:
    """Everybody who is no service account, by login."""
    users = [user for user in call.store.all("user", 0) if not user.get("account")]
    return sorted(users, key=lambda user: user["login"])


def the_user(call: Call, id: object) -> Doc:
    """The user of a number."""
    user = call.store.get("user", 0, id)
    if not user or user.get("account"):
        raise NotRecorded("no recorded exchange has the number of a user who does not exist")
    return dict(user)


def seen(user: Doc) -> Doc:
    """When somebody was here: those who never were came long ago."""
    if user["seen"]:
        return {"lastSeenAt": stamp(), "lastSeenAtAge": "< 1 minute"}
    year = int(user["created"][:4]) - 10
    return {"lastSeenAt": f"{year}{user['created'][4:]}", "lastSeenAtAge": NEVER_SEEN}


def shown_organisation(org: Doc) -> Answer:
    """An organisation with the address that nobody writes down."""
    address = dict.fromkeys(("address1", "address2", "city", "zipCode", "state", "country"), "")
    return answer({"id": org["id"], "name": org["name"], "address": address})


@route("GET /api/org")
def organisation(call: Call) -> Answer:
    """The organisation that is asked."""
    return shown_organisation(call.store.get("organisation", 0, call.org) or {})


@route("GET /api/orgs", least="Server", needs="orgs:read")
def organisations(call: Call) -> Answer:
    """All organisations."""
    return answer([{"id": org["id"], "name": org["name"]} for org in call.store.all("organisation", 0)])


@route("GET /api/orgs/name/{name}", least="Server")
def organisation_by_name(call: Call, name: str) -> Answer:
    """The organisation of a name."""
    for org in call.store.all("organisation", 0):
        if org["name"] == name:
            return shown_organisation(org)
    raise NotRecorded("no recorded exchange asks for an organisation that does not exist")


@route("POST /api/orgs", least="Server")
def create_organisation(call: Call) -> Answer:
    """A new organisation, whose administrator is who made it."""
    name = call.document().get("name")
    if not name or any(org["name"] == name for org in call.store.all("organisation", 0)):
        raise NotRecorded("no recorded exchange creates an organisation without a name, or twice")
    org = add_organisation(call.store, name)
    call.store.put("member", org, call.who.id, {"id": call.who.id, "role": "Admin"})
    return said("Organization created", orgId=org)


@route("DELETE /api/orgs/{id}", least="Server")
def delete_organisation(call: Call, id: str) -> Answer:
    """Delete an organisation and all that it has."""
    if id == "1" or not call.store.delete("organisation", 0, id):
        raise NotRecorded("no recorded exchange deletes the first organisation, or one that does not exist")
    call.store.delete_organisation(int(id))
    return said("Organization deleted")


@route("GET /api/org/users")
def members(call: Call) -> Answer:
    """Who is in the organisation."""
    shown = []
    for user in people(call):
        if member := call.store.get("member", call.org, user["id"]):
            shown.append(
                {
                    "orgId": call.org,
                    "userId": user["id"],
                    "email": user["email"],
                    "name": user["name"],
                    "avatarUrl": AVATAR,
                    "login": user["login"],
                    "role": member["role"],
                    **seen(user),
                    "isDisabled": user["disabled"],
                    "authLabels": None,
                }
            )
    return answer(shown)


@route("PATCH /api/org/users/{id}")
def change_role(call: Call, id: str) -> Answer:
    """Another role in the organisation."""
    user = the_user(call, id)
    call.store.put("member", call.org, id, {"id": user["id"], "role": call.document()["role"]})
    return said("Organization user updated")


def shown_users(users: list[Doc]) -> list[Doc]:
    """Users as lists show them."""
    return [
        {
            "id": user["id"],
            "name": user["name"],
            "login": user["login"],
            "email": user["email"],
            "avatarUrl": AVATAR,
            "isAdmin": user["admin"],
            "isDisabled": user["disabled"],
            **seen(user),
            "authLabels": [],
        }
        for user in users
    ]


@route("GET /api/users", "perpage", "page", least="Server", needs="users:read")
def users(call: Call) -> Answer:
    """One page of all users."""
    return answer(shown_users(call.page(people(call), "perpage", 1000)))


@route("GET /api/users/search", "perpage", "page", least="Server")
def search_users(call: Call) -> Answer:
    """One page of all users, and how many there are."""
    found = people(call)
    page = {"page": call.number("page", 1), "perPage": call.number("perpage", 1000)}
    return answer({"totalCount": len(found), "users": shown_users(call.page(found, "perpage", 1000)), **page})


@route("GET /api/users/lookup", "loginOrEmail", least="Server")
def lookup(call: Call) -> Answer:
    """The user of a login or an address."""
    wanted = call.parameters.get("loginOrEmail")
    for user in people(call):
        if wanted in (user["login"], user["email"]):
            return answer(
                {
                    "id": user["id"],
                    "email": user["email"],
                    "name": user["name"],
                    "login": user["login"],
                    "theme": user["theme"],
                    "orgId": user["org"],
                    "isGrafanaAdmin": user["admin"],
                    "isDisabled": user["disabled"],
                    "isExternal": False,
                    "authLabels": None,
                    "updatedAt": user["updated"],
                    "createdAt": user["created"],
                    "avatarUrl": "",
                }
            )
    raise Refused(404, "user not found")


@route("POST /api/admin/users", least="Server")
def create_user(call: Call) -> Answer:
    """A new user, who looks at the first organisation."""
    given = call.document()
    if len(given.get("password", "")) < SHORTEST_PASSWORD:
        raise Refused(400, "Password is missing or too short")
    login, email = given.get("login") or given.get("email", ""), given.get("email", "")
    if any(login == user["login"] or (email and email == user["email"]) for user in call.store.all("user", 0)):
        raise NotRecorded("no recorded exchange creates a user twice with a password that is long enough")
    user = add_user(call.store, login, given.get("name", ""), email, password=given["password"])
    call.store.put("member", 1, user["id"], {"id": user["id"], "role": "Viewer"})
    return said("User created", id=user["id"])


@route("PUT /api/users/{id}", least="Server")
def update_user(call: Call, id: str) -> Answer:
    """Other names."""
    user = the_user(call, id)
    given = call.document()
    user.update({name: given[name] for name in ("name", "login", "email", "theme") if name in given})
    call.store.put("user", 0, id, {**user, "updated": stamp()})
    return said("User updated")


@route("DELETE /api/admin/users/{id}", least="Server")
def delete_user(call: Call, id: str) -> Answer:
    """Delete a user everywhere."""
    user = the_user(call, id)
    call.store.delete("user", 0, id)
    for org in call.store.all("organisation", 0):
        call.store.delete("member", org["id"], id)
        for team in call.store.all("team", org["id"]):
            members = [member for member in team["members"] if member["userId"] != user["id"]]
            call.store.put("team", org["id"], team["id"], {**team, "members": members})
        forget(call, org["id"], "userId", user["id"])
    return said("User deleted")


def forget(call: Call, org: int, name: str, id: int) -> None:
    """Take whoever was deleted out of all permissions."""
    for doc in call.store.all("dashboard", org):
        kept = call.store.get("acl", org, doc["uid"]) or {"items": []}
        if any(item.get(name) == id for item in kept["items"]):
            items = [item for item in kept["items"] if item.get(name) != id]
            call.store.put("acl", org, doc["uid"], {"items": items})


def shown_team(call: Call, team: Doc) -> Doc:
    """A team with the number of its members."""
    return {
        "id": team["id"],
        "orgId": call.org,
        "name": team["name"],
        "email": team["email"],
        "avatarUrl": AVATAR,
        "memberCount": len(team["members"]),
        "permission": 0,
        "accessControl": None,
    }


def the_team(call: Call, id: str) -> Doc:
    """The team of a number."""
    team = call.store.get("team", call.org, id)
    if not team:
        raise NotRecorded(f"no recorded exchange has {call.method} {call.path} of a team that does not exist")
    return team


@route("GET /api/teams/search", "perpage", "page")
def teams(call: Call) -> Answer:
    """One page of all teams, and how many there are."""
    found = sorted(call.store.all("team", call.org), key=lambda team: team["name"].lower())
    page = {"page": call.number("page", 1), "perPage": call.number("perpage", 1000)}
    shown = [shown_team(call, team) for team in call.page(found, "perpage", 1000)]
    return answer({"totalCount": len(found), "teams": shown, **page})


@route("POST /api/teams")
def create_team(call: Call) -> Answer:
    """A new team, with whoever made it as its administrator; a token is no member."""
    given = call.document()
    name = given.get("name")
    if not name:
        raise NotRecorded("no recorded exchange creates a team without a name")
    if any(team["name"] == name for team in call.store.all("team", call.org)):
        raise traced(409, "Team name taken")
    number = call.store.next("team")
    members = [{"userId": call.who.id, "permission": 4}] if call.who.person else []
    call.store.put(
        "team", call.org, number, {"id": number, "name": name, "email": given.get("email", ""), "members": members}
    )
    return said("Team created", teamId=number)


@route("GET /api/teams/{id}")
def team(call: Call, id: str) -> Answer:
    """One team."""
    return answer(shown_team(call, the_team(call, id)))


@route("PUT /api/teams/{id}")
def update_team(call: Call, id: str) -> Answer:
    """Another name or address."""
    given = call.document()
    changed = {"name": given["name"], "email": given.get("email", "")}
    if any(other["name"] == given["name"] and str(other["id"]) != id for other in call.store.all("team", call.org)):
        raise NotRecorded("no recorded exchange gives a team the name of another one")
    call.store.put("team", call.org, id, {**the_team(call, id), **changed})
    return said("Team updated")


@route("DELETE /api/teams/{id}")
def delete_team(call: Call, id: str) -> Answer:
    """Delete a team."""
    if not call.store.delete("team", call.org, id):
        raise Refused(404, "Failed to delete Team. ID not found")
    call.store.delete("preferences", call.org, f"team {id}")
    forget(call, call.org, "teamId", int(id))
    return said("Team deleted")


@route("GET /api/teams/{id}/members")
def team_members(call: Call, id: str) -> Answer:
    """Who is in a team."""
    shown = []
    for member in the_team(call, id)["members"]:
        user = the_user(call, member["userId"])
        shown.append(
            {
                "orgId": call.org,
                "teamId": int(id),
                "userId": user["id"],
                "auth_module": "",
                "email": user["email"],
                "name": user["name"],
                "login": user["login"],
                "avatarUrl": AVATAR,
                "labels": [],
                "permission": member["permission"],
            }
        )
    return answer(shown)


@route("POST /api/teams/{id}/members")
def add_member(call: Call, id: str) -> Answer:
    """One more in a team."""
    team = the_team(call, id)
    user = the_user(call, call.document()["userId"])
    if any(member["userId"] == user["id"] for member in team["members"]):
        raise Refused(400, "User is already added to this team")
    members = [*team["members"], {"userId": user["id"], "permission": 0}]
    call.store.put("team", call.org, id, {**team, "members": members})
    return said("Member added to Team")


@route("DELETE /api/teams/{id}/members/{user}")
def remove_member(call: Call, id: str, user: str) -> Answer:
    """One less in a team."""
    team = the_team(call, id)
    members = [member for member in team["members"] if str(member["userId"]) != user]
    if len(members) == len(team["members"]):
        raise NotRecorded("no recorded exchange removes somebody who is not in the team")
    call.store.put("team", call.org, id, {**team, "members": members})
    return said("Team Member removed")


def accounts(call: Call) -> list[Doc]:
    """The service accounts of the organisation, by name."""
    found = [user for user in call.store.all("user", 0) if user.get("account") and user["org"] == call.org]
    return sorted(found, key=lambda user: user["name"])


def the_account(call: Call, id: str) -> Doc:
    """The service account of a number."""
    for account in accounts(call):
        if str(account["id"]) == id:
            return dict(account)
    raise NotRecorded("no recorded exchange has a service account that does not exist")


def shown_account(call: Call, account: Doc, avatar: str = AVATAR) -> Doc:
    """A service account as lists show it."""
    tokens = [token for token in call.store.all("key", 0) if token["account"] == account["id"]]
    member = call.store.get("member", call.org, account["id"]) or {}
    return {
        "id": account["id"],
        "name": account["name"],
        "login": account["login"],
        "orgId": call.org,
        "isDisabled": account["disabled"],
        "role": member["role"],
        "tokens": len(tokens),
        "avatarUrl": avatar,
    }


@route("GET /api/serviceaccounts/search", "perpage", "page")
def service_accounts(call: Call) -> Answer:
    """One page of all service accounts, and how many there are."""
    found = accounts(call)
    page = {"page": call.number("page", 1), "perPage": call.number("perpage", 1000)}
    shown = [shown_account(call, account) for account in call.page(found, "perpage", 1000)]
    return answer({"totalCount": len(found), "serviceAccounts": shown, **page})


@route("POST /api/serviceaccounts")
def create_service_account(call: Call) -> Answer:
    """A new service account."""
    given = call.document()
    name, role = given.get("name"), given.get("role")
    if not name or role not in ("Viewer", "Editor", "Admin"):
        raise NotRecorded("no recorded exchange creates a service account without a name or a role")
    login = "sa-" + name.lower().replace(" ", "-")
    if any(user["login"] == login for user in call.store.all("user", 0)):
        raise traced(400, "Failed to create service account")
    disabled = bool(given.get("isDisabled"))
    account = add_user(call.store, login, name, "", org=call.org, account=True, disabled=disabled)
    call.store.put("member", call.org, account["id"], {"id": account["id"], "role": role})
    return answer(shown_account(call, account, ""), 201)


@route("PATCH /api/serviceaccounts/{id}")
def update_service_account(call: Call, id: str) -> Answer:
    """Another role, or switched off."""
    account, given = the_account(call, id), call.document()
    account.update(disabled=given.get("isDisabled", account["disabled"]), name=given.get("name") or account["name"])
    call.store.put("user", 0, id, {**account, "updated": stamp()})
    member = call.store.get("member", call.org, id) or {}
    call.store.put("member", call.org, id, {**member, "role": given.get("role") or member["role"]})
    shown = shown_account(call, account)
    del shown["tokens"]
    times = {"createdAt": account["created"], "updatedAt": stamp(), "teams": None}
    more = {"id": account["id"], "name": account["name"], "serviceaccount": {**shown, **times}}
    return said("Service account updated", **more)


@route("DELETE /api/serviceaccounts/{id}")
def delete_service_account(call: Call, id: str) -> Answer:
    """Delete a service account and its tokens."""
    account = the_account(call, id)
    for token in call.store.all("key", 0):
        if token["account"] == account["id"]:
            call.store.delete("key", 0, token["key"])
    call.store.delete("user", 0, id)
    call.store.delete("member", call.org, id)
    return said("Service account deleted")


@route("GET /api/serviceaccounts/{id}/tokens")
def tokens(call: Call, id: str) -> Answer:
    """The tokens of a service account, without what is secret."""
    account = the_account(call, id)
    return answer(
        [
            {
                "id": token["id"],
                "name": token["name"],
                "created": token["created"],
                "lastUsedAt": None,
                "expiration": None,
                "secondsUntilExpiration": 0,
                "hasExpired": False,
                "isRevoked": False,
            }
            for token in call.store.all("key", 0)
            if token["account"] == account["id"]
        ]
    )


@route("POST /api/serviceaccounts/{id}/tokens")
def create_token(call: Call, id: str) -> Answer:
    """A new token; no two in the organisation have one name."""
    account, given = the_account(call, id), call.document()
    name = given.get("name")
    if not name or set(given) - {"name", "secondsToLive"} or given.get("secondsToLive"):
        raise NotRecorded("no recorded exchange creates a token like this: with a name and without an end is")
    if any(token["name"] == name and token["org"] == call.org for token in call.store.all("key", 0)):
        raise Refused(409, "service account token with given name already exists in the organization")
    key, number = f"glsa_{secrets.token_hex(16)}", call.store.next("key")
    token = {"id": number, "name": name, "account": account["id"], "org": call.org, "key": key, "created": stamp()}
    call.store.put("key", 0, key, token)
    return answer({"id": number, "name": name, "key": key})


@route("GET /api/access-control/user/permissions", least="Viewer")
def own_permissions(call: Call) -> Answer:
    """What a Viewer may."""
    if call.who.role != "Viewer":
        raise NotRecorded(f"no recorded exchange shows the permissions of a {call.who.role}")
    return answer(VIEWER)


@route("GET /api/org/preferences")
def organisation_preferences(call: Call) -> Answer:
    """What the organisation prefers."""
    return preferences(call, "org")


@route("PUT /api/org/preferences")
def put_organisation_preferences(call: Call) -> Answer:
    """Replace what the organisation prefers."""
    return set_preferences(call, "org", {})


@route("PATCH /api/org/preferences")
def patch_organisation_preferences(call: Call) -> Answer:
    """Change something of what the organisation prefers."""
    return set_preferences(call, "org", call.store.get("preferences", call.org, "org") or {})


@route("GET /api/teams/{id}/preferences")
def team_preferences(call: Call, id: str) -> Answer:
    """What a team prefers."""
    the_team(call, id)
    return preferences(call, f"team {id}")


@route("PUT /api/teams/{id}/preferences")
def put_team_preferences(call: Call, id: str) -> Answer:
    """Replace what a team prefers."""
    the_team(call, id)
    return set_preferences(call, f"team {id}", {})


def preferences(call: Call, owner: str) -> Answer:
    """Preferences; the home dashboard has a uid as long as there is one."""
    kept = call.store.get("preferences", call.org, owner) or {}
    number = kept.get("homeDashboardId", 0)
    home = [doc["uid"] for doc in call.store.all("dashboard", call.org) if number and doc["id"] == number]
    uid = {"homeDashboardUID": home[0]} if home else {}
    shown = {name: kept.get(name, "") for name in PREFERENCES}
    navbar = {"navbar": {"savedItems": None}, "queryHistory": {"homeTab": kept.get("homeTab", "")}}
    return answer({"homeDashboardId": number, **uid, **shown, **navbar})


def set_preferences(call: Call, owner: str, before: Doc) -> Answer:
    """Keep preferences on top of what stays of those before."""
    given = call.document()
    ignored = {"homeDashboardId", "navbar", "queryHistory"}
    if unknown := set(given) - {*PREFERENCES, "homeDashboardUID"} - ignored:
        raise NotRecorded(f"no recorded exchange sets the preferences {', '.join(sorted(unknown))}")
    kept = {**before, **{name: given[name] for name in PREFERENCES if name in given}}
    if uid := given.get("homeDashboardUID"):
        home = call.store.get("dashboard", call.org, uid)
        if not home:
            raise NotRecorded("no recorded exchange prefers a home dashboard that does not exist")
        kept["homeDashboardId"] = home["id"]
    call.store.put("preferences", call.org, owner, kept)
    return said("Preferences updated")
