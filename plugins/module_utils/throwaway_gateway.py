# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restored gateway configuration, run by this host's nginx in a throwaway copy of the site, and each of its routes asked."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.nginx_routes import (
    Directive,
    Route,
    below,
    find,
    is_loopback,
    listened_addresses,
    load,
    routes,
)
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway import MODULES, NGINX, Throwaway, entered

GOOD, FAILED, WINDOWS, ELSEWHERE, NOT_ASKED = "good", "failed", "windows", "elsewhere", "not_asked"
OUTCOMES = (GOOD, FAILED, WINDOWS, ELSEWHERE, NOT_ASKED)
ENABLED = Path("/etc/nginx/modules-enabled")
SERVER_ERROR = 500
ASK_SECONDS = 10
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Visit:
    """What became of one route; ``words`` is the answer, or why there is none."""

    route: str
    where: str
    outcome: str
    words: str
    upstream: str = ""


def check_nginx() -> None:
    """Refuse a host that cannot run a gateway.

    :raises UsageError: nginx or its Lua is missing
    """
    for path in (Path(NGINX), MODULES / "ngx_http_lua_module.so"):
        if not path.exists():
            raise UsageError(
                f"{path} was expected on this host, to run the restored gateway configuration, and is not there: install"
                " nginx-light and libnginx-mod-http-lua, as playbook flatnet.ops.setup does; nothing was done"
            )


class Gateway:
    """The restored gateway of a copy."""

    def __init__(self, effects: Effects, site: Throwaway, prefix: Path, windows: str) -> None:
        """
        :param prefix: a directory that holds the configuration as ``conf``
        :param windows: what the prefix was on Windows, as in ``C:/openresty``
        """
        self._effects = effects
        self._site = site
        self._prefix = prefix
        self._windows = windows

    def visit(self, seconds: float) -> list[Visit]:
        """Run the gateway, and ask each route until it answers.

        :param seconds: how long it may take until every route has answered
        :raises NotReady: nginx does not take the configuration; it says why
        """
        self._prepare()
        try:
            configuration = load(self._prefix / "conf" / "nginx.conf")
            planned = [self._plan(route) for route in routes(configuration)]
        except (OSError, ValueError) as error:
            raise NotReady(
                f"the gateway's restored configuration was expected to be one, and it cannot be read: {error}"
            ) from error
        for address in sorted(listened_addresses(configuration)):
            self._site.listen(address)
        for log in (*find(configuration, "access_log"), *find(configuration, "error_log")):
            self._make_parents(log)
        user = "" if any(one.name == "user" for one in configuration) else "user root;"
        settings = f"include {ENABLED}/*.conf; {user}"
        complaint = self._site.test_gateway(self._prefix, settings)
        if complaint:
            raise NotReady(
                f"nginx was expected to take the gateway's restored configuration, and says: {' '.join(complaint.split())[-600:]}"
            )
        self._site.start_gateway(self._prefix, settings)
        return self._ask_all(planned, seconds)

    def _prepare(self) -> None:
        for name in ("logs", "temp", "modules"):
            self._effects.make_directory(self._prefix / name, 0o700)
        drive, _colon, rest = self._windows.partition(":")
        place = re.compile(
            rb"(?i:%s):[\\/]+(?i:%s)(?![\w.-])((?:[\\/]+[^\s\"';\\/{}]*)*)"
            % (drive.encode(), re.escape(rest.strip("/")).encode())
        )
        for path in sorted((self._prefix / "conf").rglob("*")):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                here = place.sub(lambda found: bytes(self._prefix) + re.sub(rb"[\\/]+", b"/", found[1]), content)
                if here != content:
                    self._effects.write(path, here, path.stat().st_mode & 0o777)

    def _make_parents(self, log: Directive) -> None:
        path = self._prefix / log.arguments[0]
        if "$" not in str(path) and self._prefix in path.parents:
            for parent in reversed(path.relative_to(self._prefix).parents):
                self._effects.make_directory(self._prefix / parent, 0o700)

    def _plan(self, route: Route) -> tuple[Route, Visit]:
        """What is known of a route before it is asked; one that can be asked counts as failed until then."""
        visit = Visit(str(route), route.where, FAILED, "no answer")
        if route.unasked:
            return route, replace(visit, outcome=NOT_ASKED, words=route.unasked)
        if route.upstream is not None and route.upstream.unknown:
            return route, replace(visit, outcome=NOT_ASKED, words=route.upstream.unknown)
        if route.upstream is not None:
            servers = route.upstream.servers
            leads = {f"{host}:{port}": self._site.lead(host, port) for host, port in servers}
            led = [f"{server} -> {container}" for server, container in leads.items() if container]
            if led:
                return route, replace(visit, upstream=", ".join(led))
            if all(is_loopback(host) for host, _port in servers):
                return route, replace(visit, outcome=WINDOWS, words=f"{', '.join(leads)} is on Windows itself")
            words = f"no container of the set publishes {', '.join(leads)}"
            return route, replace(visit, outcome=ELSEWHERE, words=words)
        if route.directory is not None and not below(route.directory, self._prefix / "conf", self._prefix):
            return route, replace(visit, outcome=WINDOWS, words=f"its files lie in {self._original(route.directory)}")
        return route, visit

    def _original(self, directory: str) -> str:
        return directory.replace(str(self._prefix), self._windows)

    def _ask_all(self, planned: Sequence[tuple[Route, Visit]], seconds: float) -> list[Visit]:
        end = time.monotonic() + seconds
        visits = [visit for _route, visit in planned]
        while True:
            open_routes = [number for number, visit in enumerate(visits) if visit.outcome == FAILED]
            for number in open_routes:
                visits[number] = self._ask(planned[number][0], visits[number])
            if time.monotonic() > end or all(visit.outcome != FAILED for visit in visits):
                return visits
            time.sleep(POLL_SECONDS)

    def _ask(self, route: Route, visit: Visit) -> Visit:
        try:
            status, reason = ask(route, self._site.hub)
        except (OSError, http.client.HTTPException) as error:
            return replace(visit, words=f"no answer: {error or type(error).__name__}")
        outcome = GOOD if status < SERVER_ERROR else FAILED
        return replace(visit, outcome=outcome, words=f"{status} {reason}".strip())


def ask(route: Route, namespace: Path) -> tuple[int, str]:
    """Ask a route, and wait for the begin of its answer.

    :return: its status, in numbers and words
    """
    with entered(namespace), socket.create_connection((route.address, route.port), ASK_SECONDS) as plain:
        connection = http.client.HTTPConnection(route.host, route.port, timeout=ASK_SECONDS)
        connection.sock = _encrypted(plain, route.host) if route.scheme == "https" else plain
        connection.request("GET", route.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.reason


def _encrypted(plain: socket.socket, name: str) -> ssl.SSLSocket:
    """What is asked is whether it answers, not whether its certificate is still valid."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=name)
