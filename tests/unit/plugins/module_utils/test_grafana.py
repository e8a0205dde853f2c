# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever answers instead of a Grafana has an error of its own; numbers name the recorded exchanges with a real 9.4."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    AnswerCut,
    CredentialsRefused,
    GatewayError,
    NotGrafana,
    OpsError,
    Redirected,
    RequestRefused,
    RightMissing,
    ServerError,
    TooManyRequests,
    UnknownForm,
    WrongOrganization,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import TIMES_ASKED, Grafana, part

from tests.unit.plugins.module_utils.conftest import Given, Server

pytestmark = pytest.mark.unit

URL = "https://gw/grafana"
PREFIX = "/grafana"
SEARCH = "/api/search"
# 006
ORGANIZATION = (200, {"id": 1, "name": "Main Org.", "address": {"address1": "", "city": ""}})
NEEDED = "You'll need additional permissions to perform this action. Permissions needed: "
LOGIN = "<!DOCTYPE html>\n<html><title>Sign  in</title>"


@dataclass
class Client:
    """A Grafana that answers so, and how long was waited for it."""

    server: Server
    waited: list[float] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)

    @property
    def grafana(self) -> Grafana:
        """The client."""
        return Grafana(URL + "/", self.server, self.effects, self.waited.append)


def answering(answer: Any, path: str = SEARCH) -> Client:
    """One that answers so on a path."""
    return Client(Server({PREFIX + path: answer}))


def html(status: int, text: str = LOGIN) -> Given:
    """A page."""
    return status, text, {"Content-Type": "text/html"}


def to(target: str, status: int = 302) -> Given:
    """A redirect."""
    return status, '<a href="/login">Found</a>.\n\n', {"Location": target}


def denied(message: str) -> Given:
    """What a Grafana says to one who may not: 021 to 023, 148."""
    return 403, {"accessErrorId": "ACE8534392255", "message": NEEDED + message, "title": "Access denied"}


NOT_WORKING: dict[str, tuple[Given, type[OpsError], str]] = {
    "003": ((401, {"message": "Unauthorized"}), CredentialsRefused, r"status 401 \('Unauthorized'\): check the token"),
    "004": (
        (401, {"message": "invalid username or password", "traceID": ""}),
        CredentialsRefused,
        r"status 401 \('invalid username or password'\)",
    ),
    "005": (
        (401, {"message": "invalid API key", "traceID": ""}),
        CredentialsRefused,
        r"status 401 \('invalid API key'\)",
    ),
    "a proxy's own 401": (html(401), CredentialsRefused, "status 401 .*Sign in"),
    "022": (
        denied("orgs:read"),
        RightMissing,
        r"needs the permission orgs:read \(.*'\): .* administrator of the whole server",
    ),
    "023": (
        denied("users:read"),
        RightMissing,
        r"the permission users:read .*'\): give the name and password of an adm",
    ),
    "148": (
        denied("alert.provisioning:read"),
        RightMissing,
        r"needs the permission alert\.provisioning:read \(.*'\): give the service account the role Admin of the organization",
    ),
    "users of the organization": (
        denied("org.users:read"),
        RightMissing,
        r"org\.users:read .*'\): give the service account",
    ),
    "021": (denied("any of dashboards:create, dashboards:write"), RightMissing, "dashboards:create, dashboards:write"),
    "043": (
        (403, {"message": "Cannot update read-only data source"}),
        RightMissing,
        r"needs more rights \('Cannot update read-only data source'\)",
    ),
    "a page to log in": (html(200), NotGrafana, "status 200 with '<!DOCTYPE html> <html><title>Sign in.*of its own"),
    "a page that forbids": (html(403), NotGrafana, "status 403 with '<!DOCTYPE html>"),
    "no such page": (
        html(404, "404 page not found"),
        NotGrafana,
        "with '404 page not found': check the address and its path",
    ),
    "nothing": ((200, ""), NotGrafana, "status 200 with ''"),
    "a word": ((200, '"ok"'), NotGrafana, "status 200 with '\"ok\"'"),
    "122": (to("/login"), CredentialsRefused, r"leads to the login page \(/login\): give a service account token"),
    "its login page": (to("/grafana/login?redirectTo=%2F"), CredentialsRefused, "leads to the login page"),
    "its login page, whole": (to("https://gw/grafana/login"), CredentialsRefused, "leads to the login page"),
    "another login page": (
        to("https://sso.example.org/login"),
        Redirected,
        r"leads to https://sso\.example\.org/login: use",
    ),
    "another host": (
        to("https://other/grafana/api/search", 301),
        Redirected,
        "leads to https://other/grafana/api/search: use",
    ),
    "a path prefix": (to("/grafana/grafana/", 308), Redirected, "leads to /grafana/grafana/: .*path prefix"),
    "a redirect to nowhere": ((307, "", {}), Redirected, "leads to nowhere"),
    "502": (
        html(502, "<h1>502 Bad Gateway</h1>"),
        GatewayError,
        r"status 502 \('<h1>502 Bad Gateway</h1>'\): see whether Grafana",
    ),
    "503": (html(503), GatewayError, "in front of it answered status 503"),
    "504": (html(504, ""), GatewayError, r"status 504 \(''\)"),
    "its own 500": (
        (500, {"message": "database is locked"}),
        ServerError,
        r"status 500 \('database is locked'\), expected 200",
    ),
    "its own 503": (
        (503, {"message": "starting"}),
        ServerError,
        r"status 503 \('starting'\), expected 200: read Grafana's log",
    ),
    "088": (
        (422, {"message": "Limit is above maximum allowed (5000)"}),
        ServerError,
        r"status 422 \('Limit is above maximum",
    ),
    "half a body": ((200, '{"half": '), ServerError, r"to answer JSON, and answered status 200 with '\{\"half\":'"),
    "half a list": ((200, '[{"uid": "a"},'), ServerError, "to answer JSON, and answered status 200"),
    "half an answer": (AnswerCut("cut"), AnswerCut, "^cut$"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), NOT_WORKING.values(), ids=NOT_WORKING)
def test_whatever_answers_instead_has_its_own_error(answer: Given, kind: type[OpsError], words: str) -> None:
    for ask in ("get", "find"):
        with pytest.raises(OpsError, match=words) as caught:
            getattr(answering(answer).grafana, ask)(SEARCH)
        assert caught.type is kind
        assert isinstance(answer, Exception) or str(caught.value).startswith(f"GET {URL}/api/search ")


def test_there_is_no_such_object_only_if_grafana_says_so() -> None:
    # 039
    assert answering((404, {"message": "Data source not found"})).grafana.find(SEARCH) is None
    for nobody in (html(404), (404, "[]"), (404, {"detail": "Not Found"})):
        with pytest.raises(ServerError, match="answered status 404"):
            answering(nobody).grafana.find(SEARCH)
    with pytest.raises(ServerError, match=r"status 404 \('Data source not found'\)"):
        answering((404, {"message": "Data source not found"})).grafana.get(SEARCH)


ELSEWHERE = "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards/x"
REFUSED = (406, {"message": f"dashboard api version not supported, use {ELSEWHERE} instead"})


def test_an_object_is_found_where_a_newer_server_says_that_it_is() -> None:
    # From source, not observed.
    path = "/api/dashboards/uid/x"
    client = Client(Server({PREFIX + path: REFUSED, PREFIX + ELSEWHERE: (200, {"spec": {}})}))
    assert client.grafana.find(path) == {"spec": {}}

    gone = (404, {"kind": "Status", "message": "not found", "code": 404})
    assert Client(Server({PREFIX + path: REFUSED, PREFIX + ELSEWHERE: gone})).grafana.find(path) is None
    forbidden = (403, {"kind": "Status", "message": "dashboards is forbidden", "code": 403})
    with pytest.raises(RightMissing, match=rf"GET {URL}{ELSEWHERE} .*needs more rights \('dashboards is forbidden'\)"):
        Client(Server({PREFIX + path: REFUSED, PREFIX + ELSEWHERE: forbidden})).grafana.find(path)
    nowhere = (406, {"message": "dashboard api version not supported"})
    with pytest.raises(
        ServerError, match=r"answered status 406 \('dashboard api version not supported'\), expected 200"
    ):
        answering(nowhere, path).grafana.find(path)


OTHERS: dict[str, Given] = {
    "Prometheus": (200, {"status": "success", "data": []}),
    "a list": (200, []),
    "another id": (200, {"id": 1}),
    "a page": html(200),
}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("number", [None, 1])
def test_a_server_that_is_no_grafana_is_named(answer: Given, number: int | None) -> None:
    words = rf"GET {URL}/api/(org|health) was expected to answer as Grafana's API does, .*check the address"
    with pytest.raises(NotGrafana, match=words):
        answering(answer, "/api/org").grafana.organization(number)
    with pytest.raises(NotGrafana, match=words):
        answering(answer, "/api/health").grafana.version()


def test_version_and_organization_are_told() -> None:
    # 001, 006
    health = (200, {"commit": "NA", "database": "ok", "version": "9.4.0-pre"})

    assert answering(health, "/api/health").grafana.version() == "9.4.0-pre"
    # From source, not observed: a server may hide its version from strangers.
    assert answering((200, {"database": "ok"}), "/api/health").grafana.version() == "unknown"
    assert answering(ORGANIZATION, "/api/org").grafana.organization(None) == "Main Org."
    assert answering(ORGANIZATION, "/api/org").grafana.organization(1) == "Main Org."


def test_an_organization_that_is_not_there_is_found_out_where_lists_are_empty() -> None:
    # changes/117 and 119: an unknown number is answered with 200 and empty lists.
    client = Client(Server({PREFIX + "/api/search": (200, []), PREFIX + "/api/org": ORGANIZATION}))

    assert client.grafana.get(SEARCH) == []
    with pytest.raises(
        WrongOrganization,
        match=r"answer for organization 77, and answered for 1 \('Main Org\.'\): a token belongs to one",
    ):
        client.grafana.organization(77)


def test_a_path_prefix_is_kept_and_names_are_encoded() -> None:
    path = f"/api/folders/{part('a/b c?d%')}/groups/{part('監視')}"
    client = answering((200, {}), path)

    client.grafana.get(path, {"q": "1"})
    client.grafana.find(path)
    assert client.server.asked == [
        ("GET", "/grafana/api/folders/a%2Fb%20c%3Fd%25/groups/%E7%9B%A3%E8%A6%96", params)
        for params in ({"q": "1"}, {})
    ]


def test_pages_are_asked_for_until_the_caller_has_enough() -> None:
    def page(params: Mapping[str, str]) -> Given:
        return 200, [params]

    pages = answering(page).grafana.pages(SEARCH, {"type": "dash-db"}, "limit", 50)
    assert [next(pages) for _page in range(3)] == [
        [{"type": "dash-db", "limit": "50", "page": number}] for number in ("1", "2", "3")
    ]


def test_an_answer_that_lacks_something_is_named_with_what_came() -> None:
    grafana = answering((200, {"title": "Ops", "uid": "ops"})).grafana

    words = rf"^of folders 'Ops', 'parentUid' was expected, and GET {URL}/api/search answered '\{{\"title\": \"Ops\", .*kinds"
    with pytest.raises(UnknownForm, match=words), grafana.understood("folders 'Ops'"):
        print(grafana.get(SEARCH)["parentUid"])


def test_an_answer_of_another_form_is_named_with_what_is_wrong() -> None:
    grafana = answering((200, {"title": 7})).grafana

    words = r"of x, a form that flatnet.ops knows \(can only concatenate .*\) was expected"
    with pytest.raises(UnknownForm, match=words), grafana.understood("x"):
        print("a" + grafana.get(SEARCH)["title"])


def test_what_is_not_understood_is_never_the_answer_to_something_else() -> None:
    grafana = answering((200, {"title": "other"})).grafana
    grafana.get(SEARCH)

    def nothing_asked() -> None:
        with grafana.understood("x", {"listed": 1}), ThreadPoolExecutor(1) as pool:
            pool.submit(grafana.get, SEARCH).result()
            raise KeyError("y")

    with pytest.raises(UnknownForm, match=r"'y' was expected, and the server answered '\{'listed': 1\}'"):
        nothing_asked()


def busy(times: int, wait: Mapping[str, str]) -> Client:
    """One that wants to be left alone so many times."""
    answers = iter([(429, "", wait)] * times)
    return answering(lambda _params: next(answers, (200, {"ok": True})))


@pytest.mark.parametrize(
    ("wait", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({}, 1.0),
        ({"Retry-After": "3600"}, 60.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.0),
        ({"Retry-After": "0"}, 0.0),
    ],
)
@pytest.mark.parametrize("ask", ["get", "find"])
def test_too_many_requests_are_made_again_after_the_wait_that_is_asked_for(
    ask: str, wait: Mapping[str, str], waited: float
) -> None:
    client = busy(2, wait)

    assert getattr(client.grafana, ask)(SEARCH) == {"ok": True}
    assert client.waited == [waited, waited]


def test_a_server_that_stays_busy_is_given_up() -> None:
    client = busy(99, {"Retry-After": "2"})

    with pytest.raises(TooManyRequests, match=f"status 429 {TIMES_ASKED} times.*fewer workers"):
        client.grafana.get(SEARCH)
    assert (len(client.server.asked), client.waited) == (TIMES_ASKED, [2.0] * (TIMES_ASKED - 1))


@pytest.mark.parametrize(
    ("answer", "decoded"), [((200, {"id": 1}), {"id": 1}), ((201, []), []), ((202, " \n"), None), ((204, ""), None)]
)
def test_a_change_is_an_effect_and_its_answer_is_decoded(answer: Given, decoded: Any) -> None:
    client = answering(answer, "/api/folders")

    assert client.grafana.send("POST", "/api/folders", {"title": "監視"}) == decoded
    assert client.server.asked == [("POST", "/grafana/api/folders", {})]
    assert client.server.sent == [{"title": "監視"}]
    assert client.effects.log == [Effect("http", f"POST {URL}/api/folders")]


def test_a_change_is_tried_again_when_the_server_is_busy() -> None:
    client = busy(1, {})

    assert client.grafana.send("POST", SEARCH, {}) == {"ok": True}
    assert client.server.sent == [{}, {}]


REFUSALS: dict[str, tuple[Given, str]] = {
    "034": (
        (409, {"message": "data source with the same name already exists", "traceID": ""}),
        "status 409: data source with",
    ),
    "043": (
        (403, {"message": "Cannot update read-only data source"}),
        "status 403: Cannot update read-only data source",
    ),
    "045": (
        (412, {"message": "changed by someone else", "status": "version-mismatch"}),
        "status 412: changed by someone else",
    ),
    "075": ((400, {"message": "Folder not found", "traceID": ""}), "status 400: Folder not found"),
    "079": ((404, {"message": "Dashboard not found", "status": "not-found"}), "status 404: Dashboard not found"),
    "122": ((500, {"message": "could not find alert rule", "traceID": ""}), "status 500: could not find alert rule"),
    "175": (
        (403, {"message": "the library element has connections", "traceID": ""}),
        "status 403: the library element has",
    ),
    "a list": ((400, [{"message": "no"}]), r"status 400: \[\{\"message\": \"no\"\}\]"),
}


@pytest.mark.parametrize(("answer", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_change_that_is_refused_says_why(answer: Given, words: str) -> None:
    with pytest.raises(RequestRefused, match=f"^PUT {URL}/api/search answered {words}"):
        answering(answer).grafana.send("PUT", SEARCH, {})


NO_REFUSALS = (
    "003",
    "004",
    "021",
    "148",
    "a page to log in",
    "a page that forbids",
    "122",
    "another host",
    "502",
    "504",
)


@pytest.mark.parametrize("name", NO_REFUSALS)
def test_a_change_that_does_not_reach_its_object_is_not_refused(name: str) -> None:
    answer, kind, words = NOT_WORKING[name]

    with pytest.raises(OpsError, match=words) as caught:
        answering(answer).grafana.send("PUT", SEARCH, {})
    assert caught.type is kind
