# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routes of an nginx configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.nginx_routes import (
    Directive,
    Route,
    Upstream,
    below,
    is_loopback,
    listened_addresses,
    load,
    parse,
    routes,
)

pytestmark = pytest.mark.unit


def read(text: str) -> list[Route]:
    """The routes of one server that holds this."""
    return routes(parse(f"http {{ server {{ listen 80; server_name site.example; {text} }} }}", "nginx.conf"))


def only(text: str) -> Route:
    """The only route of one server that holds this."""
    (route,) = read(text)
    return route


def test_words_quotation_marks_comments_and_lines() -> None:
    text = "a 'b c' \"d\\\"e\" f\\;g; # h;\n\nlog '$x ${y}' ${z}.log;\nblock x{ inner; }\nempty '';"

    assert parse(text, "a.conf") == [
        Directive("a", ("b c", 'd"e', "f\\;g"), "a.conf:1"),
        Directive("log", ("$x ${y}", "${z}.log"), "a.conf:3"),
        Directive("block", ("x",), "a.conf:4", (Directive("inner", (), "a.conf:4"),)),
        Directive("empty", ("",), "a.conf:5"),
    ]


@pytest.mark.parametrize(
    "lua",
    [
        'ngx.say("}")',
        "ngx.say('}\\'}')",
        "-- }\n",
        "--[[ } \n } ]]",
        "local s = [==[ } ]] } ]==]",
        "if a then b = {1, {2}} end",
    ],
)
def test_a_lua_block_ends_where_lua_says(lua: str) -> None:
    found = parse(f"content_by_lua_block {{ {lua} }} next;", "a.conf")

    assert [one.name for one in found] == ["content_by_lua_block", "next"]


@pytest.mark.parametrize(
    "text", ["a", "a { b;", "a; }", "a 'b;", ";", "a { b }", "content_by_lua_block { {}", "{ a; }"]
)
def test_what_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.conf:1: "):
        parse(text, "a.conf")


def test_includes_are_followed_in_order_with_their_own_lines(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("http {\n include conf.d/*.conf;\n include missing/*.conf;\n}")
    (tmp_path / "conf.d" / "b.conf").write_text("server { server_name b; location / { return 200; } }")
    (tmp_path / "conf.d" / "a.conf").write_bytes(b"# \xe9\nserver { server_name a;\n location /x { return 200; } }")

    assert [(str(route), route.where) for route in routes(load(tmp_path / "nginx.conf"))] == [
        ("http://a/x", "conf.d/a.conf:3"),
        ("http://b/", "conf.d/b.conf:1"),
    ]


@pytest.mark.parametrize(
    ("location", "path", "unasked"),
    [
        ("/", "/", ""),
        ("= /exact", "/exact", ""),
        ("=/exact", "/exact", ""),
        ("^~ /prefix/", "/prefix/", ""),
        (r"~ \.php$", r"~ \.php$", "a pattern does not say which paths it is for"),
        (r"~* \.PHP$", r"~* \.PHP$", "a pattern does not say which paths it is for"),
        ("@fallback", "@fallback", "it is internal"),
    ],
)
def test_locations(location: str, path: str, unasked: str) -> None:
    route = only(f"location {location} {{ return 200; }}")

    assert (route.path, route.unasked) == (path, unasked)


def test_internal_locations_are_not_asked() -> None:
    assert only("location /x { internal; return 200; }").unasked == "it is internal"


def test_nested_locations_are_routes_of_their_own() -> None:
    outer, inner = read("location /a/ { root /srv; location /a/b/ { proxy_pass http://app:81; } }")

    assert (outer.path, outer.directory, outer.upstream) == ("/a/", "/srv", None)
    assert (inner.path, inner.upstream) == ("/a/b/", Upstream((("app", 81),)))


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("listen 8080; server_name a.example b.example;", "http://a.example:8080/"),
        ("listen 10.0.0.1:81; server_name a.example;", "http://a.example:81/"),
        ("listen 443 ssl; server_name a.example;", "https://a.example/"),
        ("listen 443; ssl on; server_name a.example;", "https://a.example/"),
        ("listen unix:/run/x; listen 82; server_name a.example;", "http://a.example:82/"),
        ("listen 80 proxy_protocol; listen 82; server_name a.example;", "http://a.example:82/"),
        ("server_name *.a.example;", "http://flatnet-drill.a.example/"),
        ("server_name .a.example;", "http://a.example/"),
        ("server_name ~^x b.example;", "http://b.example/"),
        ("server_name _;", "http://localhost/"),
        ("", "http://localhost/"),
    ],
)
def test_servers(server: str, url: str) -> None:
    (route,) = routes(parse(f"http {{ server {{ {server} location / {{ return 200; }} }} }}", "nginx.conf"))

    assert (str(route), route.unasked) == (url, "")


@pytest.mark.parametrize(
    ("server", "unasked"),
    [
        ("server_name ~^x$;", "a pattern does not say which names it is for"),
        ("listen unix:/run/x; server_name a;", "it listens where nobody can ask from outside"),
    ],
)
def test_servers_that_cannot_be_asked(server: str, unasked: str) -> None:
    (route,) = routes(parse(f"http {{ server {{ {server} }} }}", "nginx.conf"))

    assert route.unasked == unasked


def test_streams_are_named() -> None:
    (route,) = routes(parse("stream { server { listen 5432; proxy_pass db:5432; } }", "nginx.conf"))

    assert (route.path, route.unasked) == ("5432", "it is no HTTP server")


@pytest.mark.parametrize(
    ("passed", "upstream"),
    [
        ("proxy_pass http://10.0.0.1:3000;", Upstream((("10.0.0.1", 3000),))),
        ("proxy_pass http://app/path;", Upstream((("app", 80),))),
        ("proxy_pass https://app;", Upstream((("app", 443),))),
        ("proxy_pass http://[::1]:81;", Upstream((("::1", 81),))),
        ("proxy_pass http://pool;", Upstream((("10.0.0.1", 81), ("app", 80)))),
        ("fastcgi_pass 127.0.0.1:9000;", Upstream((("127.0.0.1", 9000),))),
        ("proxy_pass http://$where;", Upstream(unknown="http://$where is decided when it is asked")),
        ("proxy_pass http://unix:/run/x;", Upstream(unknown="unix:/run/x is a socket of the gateway's own host")),
        ("if ($a) { proxy_pass http://app:82; }", Upstream((("app", 82),))),
    ],
)
def test_upstreams(passed: str, upstream: Upstream) -> None:
    text = "http { upstream pool { server 10.0.0.1:81 weight=2; server app; } server { location / { %s } } }"
    (route,) = routes(parse(text % passed, "nginx.conf"))

    assert route.upstream == upstream


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("location / { root /srv; }", "/srv"),
        ("location / { alias /srv/; }", "/srv/"),
        ("root /www; location / { index x; }", "/www"),
        ("location / { index x; }", "html"),
        ("", "html"),
        ("location / { return 301 /x; }", None),
        ("return 301 https://x; location / { root /srv; }", None),
        ("location / { if ($bad) { return 403; } root /srv; }", "/srv"),
        ("location / { root /srv; location /own { return 200; } }", "/srv"),
    ],
)
def test_who_answers_without_an_upstream(text: str, directory: str | None) -> None:
    route = read(text)[0]

    assert (route.upstream, route.directory) == (None, directory)


def test_a_fallback_answers_for_its_location() -> None:
    route, fallback = read("location / { try_files $uri @app; } location @app { proxy_pass http://app:83; }")

    assert (route.path, route.upstream) == ("/", Upstream((("app", 83),)))
    assert fallback.unasked == "it is internal"


def test_addresses_that_nginx_listens_on() -> None:
    text = "http { server { listen 80; listen *:81; listen 10.0.0.1:80; listen 127.0.0.1:82; listen [::]:80; } }"

    assert listened_addresses(parse(text, "nginx.conf")) == {"10.0.0.1"}


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "10.0.0.1", "app")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("directory", "inside"),
    [
        ("conf/pages", True),
        ("/p/conf", True),
        ("/p/conf/a", True),
        ("html", False),
        ("/p/html", False),
        ("D:/www", False),
    ],
)
def test_directories_of_the_configuration(directory: str, inside: bool) -> None:
    assert below(directory, Path("/p/conf"), Path("/p")) is inside
