# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routes of an nginx configuration: what a visitor may ask, and who answers. Reads what ``nginx -t`` has accepted."""

from __future__ import annotations

import glob
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

PASSED = ("proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass")
# Answered by nginx itself, whatever lies on the disk.
OWN = ("return", "content_by_lua", "content_by_lua_block", "content_by_lua_file", "stub_status", "empty_gif", "echo")
PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
DEFAULT_ROOT = "html"

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*
    |(?P<mark>[;{}])
    |"(?P<double>(?:\\.|[^"\\])*)"
    |'(?P<single>(?:\\.|[^'\\])*)'
    |(?P<plain>(?!["'])(?:\\.|\$\{|[^\s;{\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_LUA = re.compile(
    r"""--\[(?P<comment>=*)\[.*?\](?P=comment)\]|--[^\n]*
    |\[(?P<string>=*)\[.*?\](?P=string)\]
    |"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'
    |(?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}


@dataclass(frozen=True)
class Directive:
    """One directive; ``where`` is its file and line, ``block`` what its braces hold."""

    name: str
    arguments: tuple[str, ...]
    where: str
    block: tuple[Directive, ...] | None = None


@dataclass(frozen=True)
class Upstream:
    """Where a request is passed on to: servers as host and port, or why nobody can tell."""

    servers: tuple[tuple[str, int], ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Route:
    """A server and a location of it.

    ``address`` and ``port`` are where nginx listens, ``host`` is what to ask for there; ``upstream`` is who answers, and
    ``directory`` where the files are, if neither is nginx itself; ``unasked`` says why it cannot be asked.
    """

    host: str
    path: str
    where: str
    scheme: str = "http"
    address: str = "127.0.0.1"
    port: int = 80
    upstream: Upstream | None = None
    directory: str | None = None
    unasked: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{'' if PORTS[self.scheme] == self.port else f':{self.port}'}{self.path}"


def load(main: Path) -> tuple[Directive, ...]:
    """A configuration with everything that it includes.

    :raises ValueError: a file is not a configuration
    :raises OSError: a file cannot be read
    """
    return tuple(_included(main, main.parent))


def find(configuration: Sequence[Directive], name: str) -> Iterator[Directive]:
    """Every directive of this name, at any depth."""
    for directive in configuration:
        if directive.name == name:
            yield directive
        yield from find(directive.block or (), name)


def routes(configuration: Sequence[Directive]) -> list[Route]:
    """Every location of every server."""
    found: list[Route] = []
    for http in _named(configuration, "http"):
        upstreams = {block.arguments[0]: block for block in _named(http, "upstream")}
        for server in _named(http, "server"):
            found.extend(_Server(server, upstreams, _root(http.block or (), DEFAULT_ROOT)).routes())
    for stream in _named(configuration, "stream"):
        for server in _named(stream, "server"):
            listens = ", ".join(listen.arguments[0] for listen in _named(server, "listen"))
            found.append(Route("", listens, server.where, unasked="it is no HTTP server"))
    return found


def listened_addresses(configuration: Sequence[Directive]) -> set[str]:
    """The addresses that this host must have for nginx to listen there."""
    found = (_listen(listen) for listen in find(configuration, "listen"))
    addresses = {address for address, _port in found}
    return {address for address in addresses if address and not _is_loopback(address)}


def is_loopback(host: str) -> bool:
    """The host itself."""
    return host == "localhost" or _is_loopback(host)


def is_address(host: str) -> bool:
    """It is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse(text: str, file: str) -> list[Directive]:
    """The directives of one file.

    :raises ValueError: it is not a configuration
    """
    directives, end = _block(text, 0, file, inside=False)
    del end
    return directives


def _included(path: Path, base: Path) -> Iterator[Directive]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    name = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
    yield from _resolved(parse(text, name), base)


def _resolved(directives: Sequence[Directive], base: Path) -> Iterator[Directive]:
    for directive in directives:
        if directive.name == "include":
            for found in sorted(glob.glob(str(base / directive.arguments[0]))):
                yield from _included(Path(found), base)
        elif directive.block is not None:
            yield replace(directive, block=tuple(_resolved(directive.block, base)))
        else:
            yield directive


def _block(text: str, begin: int, file: str, inside: bool) -> tuple[list[Directive], int]:
    directives: list[Directive] = []
    words: list[str] = []
    position = first = begin
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{_where(text, position, file)}: a quotation mark is open")
        word = _word(match)
        if word is not None:
            first = first if words else position
            words.append(word)
        position = match.end()
        mark = match["mark"]
        if mark is None:
            continue
        if mark == "}" and inside and not words:
            return directives, position
        if mark == "}" or not words:
            raise ValueError(f"{_where(text, match.start(), file)}: '{mark}' stands where a directive was expected")
        where = _where(text, first, file)
        block: tuple[Directive, ...] | None = None
        if mark == "{" and words[0].endswith("_by_lua_block"):
            position, block = _end_of_lua(text, position, where), ()
        elif mark == "{":
            inner, position = _block(text, position, file, inside=True)
            block = tuple(inner)
        directives.append(Directive(words[0], tuple(words[1:]), where, block))
        words = []
    if words or inside:
        raise ValueError(f"{_where(text, position, file)}: a directive or block does not end")
    return directives, position


def _word(match: re.Match[str]) -> str | None:
    for kind in ("plain", "double", "single"):
        if match[kind] is not None:
            return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match[kind], flags=re.DOTALL)
    return None


def _end_of_lua(text: str, begin: int, where: str) -> int:
    depth = 1
    for match in _LUA.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(match["brace"] or "", 0)
        if depth == 0:
            return match.end()
    raise ValueError(f"{where}: the Lua block does not end")


def _where(text: str, position: int, file: str) -> str:
    return f"{file}:{text.count(chr(10), 0, position) + 1}"


def _named(where: Directive | Sequence[Directive], name: str) -> list[Directive]:
    block = (where.block or ()) if isinstance(where, Directive) else where
    return [directive for directive in block if directive.name == name]


def _root(block: Sequence[Directive], inherited: str) -> str:
    return next((one.arguments[0] for one in block if one.name in ("root", "alias")), inherited)


class _Server:
    """One server block."""

    def __init__(self, server: Directive, upstreams: Mapping[str, Directive], root: str) -> None:
        self._server = server
        self._block = server.block or ()
        self._upstreams = upstreams
        self._root = _root(self._block, root)

    def routes(self) -> Iterator[Route]:
        """Its locations; one route where it answers everything in one way."""
        base = self._base()
        locations = list(self._locations(self._block, self._root))
        if not locations or _named(self._block, "return"):
            yield self._answered(base, self._block, self._root)
            return
        for location, root in locations:
            kind, path = self._path(location)
            route = replace(base, path=path, where=location.where)
            if kind in ("~", "~*"):
                yield replace(route, path=f"{kind} {path}", unasked="a pattern does not say which paths it is for")
            elif path.startswith("@") or _named(location, "internal"):
                yield replace(route, unasked="it is internal")
            else:
                yield self._answered(route, location.block or (), root)

    def _locations(self, block: Sequence[Directive], root: str) -> Iterator[tuple[Directive, str]]:
        for location in _named(block, "location"):
            own = _root(location.block or (), root)
            yield location, own
            yield from self._locations(location.block or (), own)

    def _path(self, location: Directive) -> tuple[str, str]:
        if len(location.arguments) == 2:
            return location.arguments[0], location.arguments[1]
        for kind in ("=", "~*", "^~", "~"):
            if location.arguments[0].startswith(kind):
                return kind, location.arguments[0][len(kind) :]
        return "", location.arguments[0]

    def _base(self) -> Route:
        names = [name for one in _named(self._block, "server_name") for name in one.arguments]
        host = next(
            (name for name in map(_host, names) if name), "" if any(names) and "_" not in names else "localhost"
        )
        route = Route(host, "/", self._server.where)
        if not host:
            return replace(route, host=names[0], unasked="a pattern does not say which names it is for")
        return self._listening(route)

    def _listening(self, route: Route) -> Route:
        listens = _named(self._block, "listen")
        if not listens:
            return route
        for listen in listens:
            address, port = _listen(listen)
            if port and "proxy_protocol" not in listen.arguments and "quic" not in listen.arguments:
                switched_on = any(one.arguments == ("on",) for one in _named(self._block, "ssl"))
                scheme = "https" if "ssl" in listen.arguments or switched_on else "http"
                only = "::1" if listen.arguments[0].startswith("[::]") else "127.0.0.1"
                return replace(route, scheme=scheme, address=address or only, port=port)
        return replace(route, unasked="it listens where nobody can ask from outside")

    def _answered(self, route: Route, block: Sequence[Directive], root: str) -> Route:
        conditional = [one for inner in block if inner.name in ("if", "limit_except") for one in inner.block or ()]
        for directive in (*block, *conditional):
            if directive.name in PASSED:
                return replace(route, upstream=self._upstream(directive))
        if any(directive.name in OWN for directive in block):
            return route
        for tried in _named(block, "try_files"):
            for location in _named(self._block, "location"):
                if location.arguments == tried.arguments[-1:] and tried.arguments[-1].startswith("@"):
                    return self._answered(route, location.block or (), root)
        return replace(route, directory=root)

    def _upstream(self, passed: Directive) -> Upstream:
        scheme, separator, rest = passed.arguments[0].rpartition("://")
        target = rest if rest.startswith("unix:") else rest.partition("/")[0]
        if target in self._upstreams:
            servers = [one.arguments[0] for one in _named(self._upstreams[target], "server")]
        else:
            servers = [target]
        if any("$" in server for server in servers):
            return Upstream(unknown=f"{passed.arguments[0]} is decided when it is asked")
        sockets = [server for server in servers if server.startswith("unix:")]
        if sockets:
            return Upstream(unknown=f"{sockets[0]} is a socket of the gateway's own host")
        return Upstream(tuple(_endpoint(server, PORTS.get(scheme, 80) if separator else 80) for server in servers))


def _host(name: str) -> str:
    """A name that a server answers to; empty if it has no such name."""
    if name.startswith("*."):
        return f"flatnet-drill{name[1:]}"
    if name.startswith("~") or name.endswith("*") or name in ("_", '""', ""):
        return ""
    return name.lstrip(".")


def _listen(listen: Directive) -> tuple[str, int]:
    """Address and port of a listen directive; no address for all of them, no port for a socket."""
    where = listen.arguments[0]
    if where.startswith("unix:"):
        return "", 0
    if where.isdigit():
        return "", int(where)
    address, port = _endpoint(where, 80)
    return ("" if address in ("*", "0.0.0.0", "::") else address), port


def _endpoint(text: str, port: int) -> tuple[str, int]:
    match = re.fullmatch(r"\[(?P<six>[^\]]+)\](?::(?P<a>\d+))?|(?P<host>[^:]+)(?::(?P<b>\d+))?", text)
    if match is None:
        return text, port
    return match["six"] or match["host"], int(match["a"] or match["b"] or port)


def _is_loopback(host: str) -> bool:
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def below(directory: str, base: Path, prefix: Path) -> bool:
    """Whether files are looked for inside a directory.

    :param prefix: what a relative path begins at
    """
    normal = PurePosixPath(directory if directory.startswith("/") else prefix / directory)
    return base == Path(normal) or base in Path(normal).parents
