# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, dashboards, their search and their permissions."""

from __future__ import annotations

import base64
import json
import re
import uuid
from pathlib import Path
from typing import Any

from .routes import Answer, Call, NotRecorded, Refused, answer, dumps, route, said, traced
from .store import Doc, Store, fresh_uid, stamp

AVATAR = "/public/img/user_profile.png"
NEVER = "0001-01-01T00:00:00Z"
PERMISSIONS = {1: "View", 2: "Edit", 4: "Admin"}
DEFAULT_LIMIT = 1000
MOST = 5000
LONGEST_UID = 40


def slugify(title: str) -> str:
    """The title as addresses carry it; what has no Latin letter at all is encoded."""
    slug = re.sub(r"[^a-z0-9_]+", "-", title.strip().lower()).strip("-")
    if slug:
        return slug
    encoded = base64.urlsafe_b64encode(title.encode()).decode().rstrip("=")
    return encoded if 0 < len(encoded) <= 50 else str(uuid.uuid5(uuid.NAMESPACE_OID, title))


def url(doc: Doc) -> str:
    """Where a page shows it."""
    return f"/{'dashboards/f' if doc['folder'] else 'd'}/{doc['uid']}/{slugify(doc['title'])}"


def by_title(docs: list[Doc]) -> list[Doc]:
    """In the order of their titles, upper case or not."""
    return sorted(docs, key=lambda doc: (doc["title"].lower(), doc["id"]))


def find(store: Store, org: int, uid: str, folder: bool) -> Doc | None:
    """A dashboard or a folder: both live in one table."""
    doc = store.get("dashboard", org, uid)
    return doc if doc and doc["folder"] == folder else None


def the_folder(call: Call, uid: str) -> Doc:
    """The folder, or that there is none."""
    if doc := find(call.store, call.org, uid, True):
        return doc
    raise Refused(404, "folder not found", status="not-found")


def the_dashboard(call: Call, uid: str) -> Doc:
    """The dashboard, or that there is none."""
    if doc := find(call.store, call.org, uid, False):
        return doc
    raise traced(404, "Dashboard not found")


def check_uid(uid: str, **more: str) -> None:
    """What a uid may look like."""
    if len(uid) > LONGEST_UID:
        raise Refused(400, f"uid too long, max {LONGEST_UID} characters")
    if re.search(r"[^\w-]", uid, re.ASCII):
        raise Refused(400, "uid contains illegal characters", **more)


def namesake(call: Call, doc: Doc, parent: str) -> Doc | None:
    """Another object of this title among all folders and what is in the same folder."""
    for other in call.store.all("dashboard", call.org):
        if (
            other["title"] == doc["title"]
            and other["id"] != doc["id"]
            and (other["folder"] or other["parent"] == parent)
        ):
            return other
    return None


def keep(call: Call, doc: Doc, content: Doc, message: str) -> None:
    """Write a new version of a dashboard or a folder."""
    now = stamp()
    doc.update(version=doc["version"] + 1, updated=now, updatedBy=call.who.login)
    if not doc["id"]:
        doc.update(id=call.store.next("dashboard"), created=now, createdBy=call.who.login)
        message = "Initial save"
        roles = [] if doc["parent"] else [{"role": "Editor", "permission": 2}, {"role": "Viewer", "permission": 1}]
        creator = [{"userId": call.who.id, "permission": 4}] if call.who.person else []
        call.store.put("acl", call.org, doc["uid"], {"items": [{**item, "created": now} for item in creator + roles]})
    content.update(id=doc["id"], uid=doc["uid"], title=doc["title"], version=doc["version"])
    call.store.put("dashboard", call.org, doc["uid"], doc)
    call.store.add_version(doc, call.who.id, message, dumps(content))


def remove(call: Call, doc: Doc) -> None:
    """Delete a dashboard, with what hangs on it."""
    call.store.delete("dashboard", call.org, doc["uid"])
    call.store.delete("acl", call.org, doc["uid"])
    call.store.delete_versions(doc)
    for note in call.store.all("annotation", call.org):
        if note["dashboardId"] == doc["id"]:
            call.store.delete("annotation", call.org, note["id"])


def shown_folder(doc: Doc) -> Doc:
    """A folder as its own address shows it."""
    rights = dict.fromkeys(("canSave", "canEdit", "canAdmin", "canDelete"), True)
    names = ("createdBy", "created", "updatedBy", "updated", "version")
    head = {"id": doc["id"], "uid": doc["uid"], "title": doc["title"], "url": url(doc), "hasAcl": False}
    return {**head, **rights, **{name: doc[name] for name in names}}


@route("GET /api/folders", "limit", "page", "parentUid")
def folders(call: Call) -> Answer:
    """One page of all folders, whatever the parent."""
    found = by_title([doc for doc in call.store.all("dashboard", call.org) if doc["folder"]])
    page = call.page(found, "limit", DEFAULT_LIMIT)
    return answer([{name: doc[name] for name in ("id", "uid", "title")} for doc in page])


@route("GET /api/folders/{uid}")
def folder(call: Call, uid: str) -> Answer:
    """One folder."""
    return answer(shown_folder(the_folder(call, uid)))


@route("POST /api/folders")
def create_folder(call: Call) -> Answer:
    """A new folder; a parent is not looked at."""
    given = call.document()
    uid, title = given.get("uid") or fresh_uid(), given.get("title", "")
    if not title:
        raise NotRecorded("no recorded exchange has a folder without a title")
    check_uid(uid, traceID="")
    doc = {
        "id": 0,
        "uid": uid,
        "title": title,
        "folder": True,
        "parent": "",
        "tags": [],
        "version": 0,
        "provisioned": "",
    }
    if call.store.get("dashboard", call.org, uid):
        raise Refused(412, "the folder has been changed by someone else", status="version-mismatch")
    if namesake(call, doc, ""):
        raise Refused(409, "a folder or dashboard in the general folder with the same name already exists")
    keep(call, doc, {}, "")
    return answer(shown_folder(doc))


@route("PUT /api/folders/{uid}")
def update_folder(call: Call, uid: str) -> Answer:
    """Another title; with overwrite, a folder that has it already is the one that changes."""
    given, doc = call.document(), the_folder(call, uid)
    if not given.get("title") or given.get("uid", uid) != uid:
        raise NotRecorded("no recorded exchange changes a folder like this: with a title and its own uid is")
    if not given.get("overwrite") and given.get("version") != doc["version"]:
        raise Refused(412, "the folder has been changed by someone else", status="version-mismatch")
    wanted = {**doc, "title": given["title"]}
    if other := namesake(call, wanted, ""):
        if not given.get("overwrite") or not other["folder"]:
            raise Refused(409, "a folder or dashboard in the general folder with the same name already exists")
        wanted = dict(other)
    keep(call, wanted, {}, "")
    return answer(shown_folder(wanted))


@route("POST /api/folders/{uid}/move")
def move_folder(call: Call, uid: str) -> Answer:
    """Folders hold no folders here."""
    the_folder(call, uid)
    raise Refused(404, "To use this service, you need to activate nested folder feature.")


@route("DELETE /api/folders/{uid}", "forceDeleteRules")
def delete_folder(call: Call, uid: str) -> Answer:
    """A folder and everything in it, unless that is in use."""
    doc = the_folder(call, uid)
    elements = [element for element in call.store.all("library", call.org) if element["folder"] == uid]
    if any(connected(call, element["uid"]) for element in elements):
        raise traced(403, "Folder could not be deleted because it contains library elements in use")
    rules = [rule for rule in call.store.all("rule", call.org) if rule["folderUID"] == uid]
    if rules and call.parameters.get("forceDeleteRules") != "true":
        raise Refused(400, "folder cannot be deleted: folder contains alert rules")
    for kind, docs in (("library", elements), ("rule", rules)):
        for inside in docs:
            call.store.delete(kind, call.org, inside["uid"])
    for board in call.store.all("dashboard", call.org):
        if board["parent"] == uid:
            remove(call, board)
    remove(call, doc)
    return Answer()


def connected(call: Call, uid: str) -> int:
    """How many dashboards show a library panel."""
    return sum(uid in doc.get("libraries", ()) for doc in call.store.all("dashboard", call.org))


@route("POST /api/dashboards/db", needs="any of dashboards:create, dashboards:write")
def save_dashboard(call: Call) -> Answer:
    """A new dashboard, or a new version of one, whatever has changed."""
    given = call.document()
    content = given.get("dashboard")
    if not isinstance(content, dict):
        raise traced(400, "bad request data")
    parent, overwrite = given.get("folderUid") or "", bool(given.get("overwrite"))
    if given.get("folderId"):
        raise NotRecorded("no recorded exchange saves a dashboard by the number of its folder")
    if parent and not find(call.store, call.org, parent, True):
        raise traced(400, "Folder not found")
    title, uid = content.get("title") or "", content.get("uid") or ""
    if not title:
        raise Refused(400, "Dashboard title cannot be empty", status="empty-name")
    check_uid(uid)
    doc = saved(call, content, uid, parent, overwrite)
    doc.update(title=title, parent=parent, tags=content.get("tags") or [], libraries=libraries(content))
    keep(call, doc, content, given.get("message") or "")
    slug = slugify(title)
    return answer(
        {
            "id": doc["id"],
            "slug": slug,
            "status": "success",
            "uid": doc["uid"],
            "url": url(doc),
            "version": doc["version"],
        }
    )


def saved(call: Call, content: Doc, uid: str, parent: str, overwrite: bool) -> Doc:
    """The dashboard that a save creates or changes, if it may."""
    number = content.get("id")
    known = {doc["id"]: doc for doc in call.store.all("dashboard", call.org)} if number else {}
    if number and number not in known:
        raise Refused(404, "Dashboard not found", status="not-found")
    existing = known[number] if number else call.store.get("dashboard", call.org, uid)
    if existing and (existing["folder"] or (uid and existing["uid"] != uid)):
        raise NotRecorded("no recorded exchange saves a dashboard over a folder, or under another uid")
    if existing and existing["provisioned"]:
        raise Refused(400, "Cannot save provisioned dashboard")
    if existing and not overwrite and content.get("version") != existing["version"]:
        raise Refused(412, "The dashboard has been changed by someone else", status="version-mismatch")
    new = {"id": 0, "uid": uid or fresh_uid(), "folder": False, "version": 0, "provisioned": ""}
    doc = dict(existing or new)
    other = namesake(call, {**doc, "title": content["title"]}, parent)
    if other and other["folder"]:
        raise Refused(400, "Dashboard name cannot be the same as folder", status="name-match")
    if other and not overwrite:
        raise Refused(412, "A dashboard with the same name in the folder already exists", status="name-exists")
    if other and other["provisioned"]:
        raise Refused(400, "Cannot save provisioned dashboard")
    return dict(other) if other else doc


def libraries(content: Any) -> list[str]:
    """The library panels that a dashboard shows, also those in rows."""
    found: list[str] = []
    for panel in content.get("panels") or []:
        if isinstance(panel, dict):
            uid = (panel.get("libraryPanel") or {}).get("uid")
            found += [uid] if uid else []
            found += libraries(panel)
    return sorted(set(found))


@route("GET /api/dashboards/uid/{uid}", least="Viewer")
def dashboard(call: Call, uid: str) -> Answer:
    """One dashboard, and what is known about it."""
    doc = the_dashboard(call, uid)
    if call.who.role == "Viewer":
        raise Refused(403, "Access denied to this dashboard")
    if call.who.role == "Editor":
        raise NotRecorded("no recorded exchange shows a dashboard to an Editor")
    if any(public["dashboardUid"] == uid for public in call.store.all("public", call.org)):
        raise NotRecorded("no recorded exchange shows a dashboard that is public")
    meta = {
        "type": "db",
        **dict.fromkeys(("canSave", "canEdit", "canAdmin", "canStar", "canDelete"), True),
        "slug": slugify(doc["title"]),
        "url": url(doc),
        "expires": NEVER,
        "created": doc["created"],
        "updated": doc["updated"],
        "updatedBy": doc["updatedBy"],
        "createdBy": doc["createdBy"],
        "version": doc["version"],
        "hasAcl": False,
        "isFolder": False,
        **(of_folder(call, doc) or {"folderId": 0, "folderUid": "", "folderTitle": "General", "folderUrl": ""}),
        "provisioned": bool(doc["provisioned"]),
        "provisionedExternalId": doc["provisioned"],
        "annotationsPermissions": {
            of: dict.fromkeys(("canAdd", "canEdit", "canDelete"), True) for of in ("dashboard", "organization")
        },
        "hasPublicDashboard": False,
        "publicDashboardAccessToken": "",
        "publicDashboardUid": "",
        "publicDashboardEnabled": False,
    }
    return Answer(f'{{"meta":{dumps(meta)},"dashboard":{call.store.content(doc)}}}')


def of_folder(call: Call, doc: Doc) -> Doc:
    """The folder of a dashboard; nothing for the General folder."""
    parent = find(call.store, call.org, doc["parent"], True)
    if not parent:
        return {}
    shown = {"folderId": parent["id"], "folderUid": parent["uid"]}
    return {**shown, "folderTitle": parent["title"], "folderUrl": url(parent)}


@route("DELETE /api/dashboards/uid/{uid}")
def delete_dashboard(call: Call, uid: str) -> Answer:
    """Delete a dashboard."""
    doc = the_dashboard(call, uid)
    if doc["provisioned"]:
        raise NotRecorded("no recorded exchange deletes a provisioned dashboard")
    remove(call, doc)
    return said(f"Dashboard {doc['title']} deleted", id=doc["id"], title=doc["title"])


@route("GET /api/dashboards/uid/{uid}/versions")
def versions(call: Call, uid: str) -> Answer:
    """What a dashboard has been."""
    shown = []
    for number, version, parent, created, created_by, message, data in call.store.versions(the_dashboard(call, uid)):
        content = json.loads(data)
        content["id"] = content["id"] if parent else None
        shown.append(
            {
                "id": number,
                "dashboardId": json.loads(data)["id"],
                "dashboardUid": "",
                "parentVersion": parent,
                "restoredFrom": 0,
                "version": version,
                "created": created,
                "createdBy": created_by,
                "message": message,
                "data": content,
            }
        )
    return answer(shown)


@route("GET /api/search", "type", "limit", "page", "folderUIDs", "tag")
def search(call: Call) -> Answer:
    """One page of folders and dashboards, by title, and folders first on it."""
    limit, kind = call.number("limit", DEFAULT_LIMIT), call.parameters.get("type", "")
    if limit > MOST:
        message = f"Limit is above maximum allowed ({MOST}), use page parameter to access hits beyond limit"
        raise Refused(422, message)
    if kind not in ("", "dash-db", "dash-folder"):
        raise NotRecorded(f"no recorded exchange searches for {kind}")
    tag = call.parameters.get("tag")
    found = [
        doc
        for doc in call.store.all("dashboard", call.org)
        if kind in ("", "dash-folder" if doc["folder"] else "dash-db") and (not tag or tag in doc["tags"])
    ]
    page = call.page(by_title(found), "limit", DEFAULT_LIMIT)
    return answer([hit(call, doc) for doc in sorted(page, key=lambda doc: not doc["folder"])])


def hit(call: Call, doc: Doc) -> Doc:
    """One line of a search."""
    return {
        "id": doc["id"],
        "uid": doc["uid"],
        "title": doc["title"],
        "uri": f"db/{slugify(doc['title'])}",
        "url": url(doc),
        "slug": "",
        "type": "dash-folder" if doc["folder"] else "dash-db",
        "tags": doc["tags"],
        "isStarred": False,
        **of_folder(call, doc),
        "sortMeta": 0,
    }


@route("GET /api/dashboards/home")
def home(call: Call) -> Answer:
    """What a new server shows first."""
    if call.store.all("preferences", call.org):
        raise NotRecorded("no recorded exchange shows a home dashboard that somebody prefers")
    return Answer((Path(__file__).parent / "home.json").read_text())


def provision(store: Store) -> None:
    """The dashboard that a file provisions; nobody has made it."""
    now = stamp()
    content = {"panels": [], "schemaVersion": 38, "tags": [], "title": "Provisioned board", "uid": "provisioned"}
    doc = {
        "id": store.next("dashboard"),
        "uid": content["uid"],
        "title": content["title"],
        "folder": False,
        "parent": "",
    }
    doc.update(tags=[], version=1, provisioned="p.json", created=now, updated=now)
    doc.update(dict.fromkeys(("createdBy", "updatedBy"), "Anonymous"))
    store.put("dashboard", 1, doc["uid"], doc)
    roles = [{"role": "Editor", "permission": 2, "created": now}, {"role": "Viewer", "permission": 1, "created": now}]
    store.put("acl", 1, doc["uid"], {"items": roles})
    store.add_version(doc, 0, "", dumps({**content, "id": doc["id"], "version": 1}))


@route("GET /api/folders/{uid}/permissions")
def folder_permissions(call: Call, uid: str) -> Answer:
    """Who may do what in a folder."""
    return permissions(call, the_folder(call, uid))


@route("GET /api/dashboards/uid/{uid}/permissions")
def dashboard_permissions(call: Call, uid: str) -> Answer:
    """Who may do what with a dashboard, besides what the folder says."""
    return permissions(call, the_dashboard(call, uid))


def permissions(call: Call, doc: Doc) -> Answer:
    """Every entry, with what is known of whom it is for."""
    parent = {} if doc["folder"] else {"dashboardId": doc["id"]}
    parent["folderId"] = doc["id"] if doc["folder"] else of_folder(call, doc).get("folderId", 0)
    slug = slugify(doc["title"])
    shown = []
    for item in (call.store.get("acl", call.org, doc["uid"]) or {"items": []})["items"]:
        user = call.store.get("user", 0, item.get("userId", 0)) or {}
        team = call.store.get("team", call.org, item.get("teamId", 0)) or {}
        shown.append(
            {
                **parent,
                "created": item["created"],
                "updated": item["created"],
                "userId": user.get("id", 0),
                "userLogin": user.get("login", ""),
                "userEmail": user.get("email", ""),
                "userAvatarUrl": AVATAR,
                "teamId": team.get("id", 0),
                "teamEmail": team.get("email", ""),
                "team": team.get("name", ""),
                "teamAvatarUrl": AVATAR if team else "",
                **({"role": item["role"]} if item.get("role") else {}),
                "permission": item["permission"],
                "permissionName": PERMISSIONS[item["permission"]],
                "uid": doc["uid"],
                "title": doc["title"],
                "slug": slug,
                "isFolder": doc["folder"],
                "url": url(doc),
                "inherited": False,
            }
        )
    return answer(shown)


@route("POST /api/folders/{uid}/permissions")
def set_folder_permissions(call: Call, uid: str) -> Answer:
    """Replace who may do what in a folder."""
    return set_permissions(call, the_folder(call, uid))


@route("POST /api/dashboards/uid/{uid}/permissions")
def set_dashboard_permissions(call: Call, uid: str) -> Answer:
    """Replace who may do what with a dashboard."""
    return set_permissions(call, the_dashboard(call, uid))


def set_permissions(call: Call, doc: Doc) -> Answer:
    """Replace all entries; those that stay keep their time."""
    before = (call.store.get("acl", call.org, doc["uid"]) or {"items": []})["items"]
    known = {tuple(item.get(name) for name in ("role", "userId", "teamId", "permission")): item for item in before}
    items = []
    for item in call.document().get("items") or []:
        wanted = {name: item[name] for name in ("role", "userId", "teamId", "permission") if item.get(name)}
        if wanted.get("teamId") and not call.store.get("team", call.org, wanted["teamId"]):
            raise traced(500, "Failed to create permission")
        user = wanted.get("userId")
        if (
            len(wanted) != 2
            or wanted.get("permission") not in PERMISSIONS
            or (user and not call.store.get("user", 0, user))
        ):
            raise NotRecorded(f"no recorded exchange sets a permission like {item}")
        key = tuple(wanted.get(name) for name in ("role", "userId", "teamId", "permission"))
        items.append(known.get(key) or {**wanted, "created": stamp()})
    items.sort(key=lambda item: ("role" in item, "teamId" in item, str(item.get("role")), item.get("userId", 0)))
    call.store.put("acl", call.org, doc["uid"], {"items": items})
    return said("Dashboard permissions updated")
