# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Library panels, annotations, playlists, snapshots and public dashboards."""

from __future__ import annotations

import secrets
import time

from .dashboards import AVATAR, NEVER, connected, find, the_dashboard
from .routes import JSON_UTF8, Answer, Call, NotRecorded, Refused, answer, route, said, traced
from .store import Doc, fresh_uid, stamp

ELEMENTS = "/api/library-elements"


def by_name(call: Call) -> list[Doc]:
    """All library elements, by name."""
    return sorted(call.store.all("library", call.org), key=lambda element: (element["name"].lower(), element["id"]))


def the_element(call: Call, uid: str) -> Doc:
    """The library element of a uid."""
    if element := call.store.get("library", call.org, uid):
        return element
    raise traced(404, "library element could not be found")


def shown(call: Call, element: Doc, general: str = "General") -> Doc:
    """A library element with what is known about it."""
    folder = find(call.store, call.org, element["folder"], True) or {"id": 0, "title": general, "uid": ""}
    who = {"id": element["by"], "name": element["byName"], "avatarUrl": AVATAR}
    meta = {
        "folderName": folder["title"],
        "folderUid": folder["uid"],
        "connectedDashboards": connected(call, element["uid"]),
        "created": element["created"],
        "updated": element["updated"],
        "createdBy": who,
        "updatedBy": who,
    }
    return {
        "id": element["id"],
        "orgId": call.org,
        "folderId": folder["id"],
        "folderUid": folder["uid"],
        "uid": element["uid"],
        "name": element["name"],
        "kind": element["kind"],
        "type": element["model"].get("type", ""),
        "description": element["model"].get("description", ""),
        "model": element["model"],
        "version": element["version"],
        "meta": meta,
    }


def taken(call: Call, given: Doc, uid: str) -> Doc:
    """A library element as it is kept, if its name is free in its folder."""
    folder, name = given.get("folderUid") or "", given.get("name")
    if given.get("folderId") or (folder and not find(call.store, call.org, folder, True)):
        raise NotRecorded(
            "no recorded exchange has a library element by a folder's number, or in one that does not exist"
        )
    if not name or given.get("kind") != 1 or not isinstance(given.get("model"), dict):
        raise NotRecorded("no recorded exchange has a library element like this: a panel with a name and a model is")
    for other in call.store.all("library", call.org):
        if other["uid"] != uid and (other["folder"], other["name"]) == (folder, name):
            raise traced(400, "library element with that name or UID already exists")
    model = {"description": "", **given["model"]}
    return {"uid": uid, "folder": folder, "name": name, "kind": 1, "model": model, "updated": stamp()}


@route(f"GET {ELEMENTS}", "perPage", "page", "kind")
def elements(call: Call) -> Answer:
    """One page; only those in folders are counted, though all are shown."""
    found = by_name(call)
    if call.parameters.get("kind", "1") != "1":
        raise NotRecorded("no recorded exchange asks for library elements that are no panels")
    counted = sum(bool(element["folder"]) for element in found)
    page = {"page": call.number("page", 1), "perPage": call.number("perPage", 100)}
    listed = [shown(call, element) for element in call.page(found, "perPage", 100)]
    return answer({"result": {"totalCount": counted, "elements": listed, **page}})


@route(f"POST {ELEMENTS}")
def create_element(call: Call) -> Answer:
    """A new library panel."""
    given = call.document()
    uid = given.get("uid") or fresh_uid()
    element = taken(call, given, uid)
    if call.store.get("library", call.org, uid):
        raise traced(400, "library element with that name or UID already exists")
    by = {"by": call.who.id, "byName": call.who.login, "created": element["updated"]}
    element = {**element, **by, "id": call.store.next("library"), "version": 1}
    call.store.put("library", call.org, uid, element)
    return answer({"result": shown(call, element, "")})


@route(f"GET {ELEMENTS}/{{uid}}")
def element(call: Call, uid: str) -> Answer:
    """One library panel."""
    return answer({"result": shown(call, the_element(call, uid))})


@route(f"GET {ELEMENTS}/{{uid}}/connections/")
def connections(call: Call, uid: str) -> Answer:
    """The dashboards that show it, as long as there are none."""
    the_element(call, uid)
    if connected(call, uid):
        raise NotRecorded("no recorded exchange shows the connections of a library element")
    return answer({"result": []})


@route(f"PATCH {ELEMENTS}/{{uid}}")
def update_element(call: Call, uid: str) -> Answer:
    """Another model, name or folder, for whoever knows the version."""
    before, given = the_element(call, uid), call.document()
    if given.get("version") != before["version"]:
        raise traced(412, "the library element has been changed by someone else")
    element = {**before, **taken(call, given, uid), "version": before["version"] + 1}
    call.store.put("library", call.org, uid, element)
    return answer({"result": shown(call, element, "")})


@route(f"DELETE {ELEMENTS}/{{uid}}")
def delete_element(call: Call, uid: str) -> Answer:
    """Delete a library panel that no dashboard shows."""
    element = the_element(call, uid)
    if connected(call, uid):
        raise traced(403, "the library element has connections")
    call.store.delete("library", call.org, uid)
    return said("Library element deleted", id=element["id"])


def now() -> int:
    """Now, in milliseconds."""
    return time.time_ns() // 10**6


def shown_annotation(call: Call, note: Doc) -> Doc:
    """An annotation with who made it."""
    user = call.store.get("user", 0, note["user"]) or {"login": "", "email": ""}
    boards = {doc["id"]: doc["uid"] for doc in call.store.all("dashboard", call.org)} if note["dashboardId"] else {}
    return {
        "id": note["id"],
        "alertId": 0,
        "alertName": "",
        "dashboardId": note["dashboardId"],
        "dashboardUID": boards.get(note["dashboardId"]),
        "panelId": note["panelId"],
        "userId": 0,
        "newState": "",
        "prevState": "",
        "created": note["created"],
        "updated": note["updated"],
        "time": note["time"],
        "timeEnd": note["timeEnd"],
        "text": note["text"],
        "tags": note["tags"],
        "login": user["login"],
        "email": user["email"],
        "avatarUrl": AVATAR,
        "data": {},
    }


@route("GET /api/annotations", "type", "limit", "from", "to", "dashboardUID")
def noted(call: Call) -> Answer:
    """The newest annotations of a time, or of a dashboard."""
    begin, end = call.number("from", 0), call.number("to", 0)
    uid = call.parameters.get("dashboardUID")
    board = the_dashboard(call, uid)["id"] if uid else None
    found = [
        note
        for note in call.store.all("annotation", call.org)
        if board in (None, note["dashboardId"]) and (not end or note["time"] <= end) and note["timeEnd"] >= begin
    ]
    found.sort(key=lambda note: (note["timeEnd"], note["time"]), reverse=True)
    return answer([shown_annotation(call, note) for note in found[: call.number("limit", 100)]])


@route("POST /api/annotations")
def create_annotation(call: Call) -> Answer:
    """A new annotation, as often as one likes."""
    given, moment = call.document(), now()
    uid, begin = given.get("dashboardUID"), given.get("time")
    if not given.get("text") or not begin or given.get("dashboardId"):
        raise NotRecorded("no recorded exchange has an annotation like this: with a text and a time is")
    note = {
        "id": call.store.next("annotation"),
        "dashboardId": the_dashboard(call, uid)["id"] if uid else 0,
        "panelId": given.get("panelId", 0),
        "time": begin,
        "timeEnd": given.get("timeEnd") or begin,
        "text": given["text"],
        "tags": given.get("tags") or [],
        "user": call.who.id,
        "created": moment,
        "updated": moment,
    }
    call.store.put("annotation", call.org, note["id"], note)
    return said("Annotation added", id=note["id"])


def the_annotation(call: Call, id: str) -> Doc:
    """The annotation of a number."""
    if note := call.store.get("annotation", call.org, id):
        return note
    raise Refused(404, "Annotation not found")


@route("PATCH /api/annotations/{id}")
def patch_annotation(call: Call, id: str) -> Answer:
    """Change something of an annotation."""
    note, given = the_annotation(call, id), call.document()
    changed: Doc = {name: given[name] for name in ("time", "timeEnd", "text", "tags") if name in given}
    call.store.put("annotation", call.org, id, {**note, **changed, "updated": now()})
    return said("Annotation patched")


@route("DELETE /api/annotations/{id}")
def delete_annotation(call: Call, id: str) -> Answer:
    """Delete an annotation."""
    the_annotation(call, id)
    call.store.delete("annotation", call.org, id)
    return said("Annotation deleted")


def the_playlist(call: Call, uid: str) -> Doc:
    """The playlist of a uid."""
    if playlist := call.store.get("playlist", call.org, uid):
        return playlist
    raise Refused(404, "Playlist not found", JSON_UTF8, traceID="")


def listed(playlist: Doc) -> Doc:
    """A playlist as lists show it."""
    return {name: playlist[name] for name in ("id", "uid", "name", "interval")}


def items(given: Doc) -> list[Doc]:
    """The items of a playlist, without the order that a client gives them."""
    return [{name: item.get(name, "") for name in ("title", "type", "value")} for item in given.get("items") or []]


@route("GET /api/playlists")
def playlists(call: Call) -> Answer:
    """All playlists."""
    return answer([listed(playlist) for playlist in call.store.all("playlist", call.org)])


@route("GET /api/playlists/{uid}")
def playlist(call: Call, uid: str) -> Answer:
    """One playlist."""
    found = the_playlist(call, uid)
    return answer({name: found[name] for name in ("interval", "items", "name", "uid")})


@route("POST /api/playlists")
def create_playlist(call: Call) -> Answer:
    """A new playlist, under a uid of the server's choice."""
    given = call.document()
    if not given.get("name") or not given.get("items") or "uid" in given:
        raise NotRecorded("no recorded exchange creates a playlist like this: with a name and items is")
    made = {"id": call.store.next("playlist"), "uid": fresh_uid(), "name": given["name"]}
    made = {**made, "interval": given.get("interval", ""), "items": items(given)}
    call.store.put("playlist", call.org, made["uid"], made)
    return answer(listed(made))


@route("PUT /api/playlists/{uid}")
def put_playlist(call: Call, uid: str) -> Answer:
    """Without items, nothing can be saved."""
    the_playlist(call, uid)
    if not call.document().get("items"):
        raise traced(500, "Failed to save playlist")
    raise NotRecorded("no recorded exchange changes a playlist that has items")


@route("DELETE /api/playlists/{uid}")
def delete_playlist(call: Call, uid: str) -> Answer:
    """Delete a playlist."""
    the_playlist(call, uid)
    call.store.delete("playlist", call.org, uid)
    return Answer()


@route("GET /api/dashboard/snapshots")
def snapshots(call: Call) -> Answer:
    """Nobody has made any."""
    return answer(call.store.all("snapshot", call.org))


@route("GET /api/dashboards/public-dashboards")
def public_dashboards(call: Call) -> Answer:
    """The public dashboards, as long as there are none."""
    if call.store.all("public", call.org):
        raise NotRecorded("no recorded exchange lists public dashboards")
    return answer([])


@route("POST /api/dashboards/uid/{uid}/public-dashboards")
def create_public_dashboard(call: Call, uid: str) -> Answer:
    """Show a dashboard to everybody."""
    the_dashboard(call, uid)
    if call.document() != {"isEnabled": True} or call.store.get("public", call.org, uid):
        raise NotRecorded("no recorded exchange publishes a dashboard like this: once, with isEnabled, is")
    public = {
        "uid": fresh_uid(),
        "dashboardUid": uid,
        "timeSettings": {},
        "isEnabled": True,
        "accessToken": secrets.token_hex(16),
        "annotationsEnabled": False,
        "timeSelectionEnabled": False,
        "createdBy": call.who.id,
        "updatedBy": 0,
        "createdAt": stamp(),
        "updatedAt": NEVER,
    }
    call.store.put("public", call.org, uid, public)
    return answer(public)
