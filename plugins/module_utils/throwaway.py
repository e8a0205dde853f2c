# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throwaway copy of a site: containers and a gateway in networks of their own that have no way out.

No network of the copy is joined to one of the host: each container has a network namespace, and a bridge in one more
namespace, the hub, connects them. There the copies keep the addresses of their originals, the gateway runs, and questions
are asked from.
"""

from __future__ import annotations

import ctypes
import os
import time
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.nginx_routes import is_address, is_loopback
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_containers import Copy
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Transport
from ansible_collections.flatnet.ops.plugins.module_utils.undo import Guard, quote

NAMESPACES = Path("/run/netns")
BRIDGE = "drill0"
# Addresses for tests of devices (RFC 2544): no site has them.
MEMBERS, FOREIGN = "198.18", "198.19"
HUB = f"{MEMBERS}.0.1"
PREFIX = 15
SETTLE_SECONDS = 1
NGINX = "/usr/sbin/nginx"
MODULES = Path("/usr/lib/nginx/modules")
_NEW_NETWORK = 0x40000000
_REMOVE = ["podman", "rm", "--force", "--volumes", "--ignore", "--time=0"]
_INSIDE = ["ip", "netns", "exec"]


@dataclass(frozen=True)
class Member:
    """A network namespace of the copy: the containers in it, and what the rest of the copy knows of them."""

    namespace: str
    address: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    ports: Mapping[int, int]
    copies: tuple[Copy, ...]


def numbered(network: str, number: int) -> str:
    """An address of the copy: of a member, or for a name that only the gateway knows."""
    return f"{network}.{number // 250 + 1}.{number % 250 + 1}"


class Throwaway:
    """One copy. Whatever it makes, :meth:`removal` removes, also what does not exist yet."""

    def __init__(self, effects: Effects, guard: Guard, name: str, directory: Path, members: Sequence[Member]) -> None:
        """
        :param name: begins the name of everything that is made
        :param directory: holds all files of the copy
        """
        self._effects = effects
        self._guard = guard
        self._name = name
        self._directory = directory
        self.members = members
        self._foreign: dict[str, str] = {}
        self._led: set[tuple[str, int]] = set()

    @property
    def hub(self) -> Path:
        """The namespace that everybody in the copy can be asked from."""
        return NAMESPACES / self._name

    def removal(self) -> list[str]:
        """Shell commands that leave nothing of the copy; one that fails does not keep the others from their work."""
        containers = [copy.name for member in self.members for copy in member.copies]
        namespaces = [*(member.namespace for member in self.members), self._name]
        service = quote(["systemctl", "stop", f"{self._name}.service"])
        return [
            "failed=0",
            f"{service} 2>/dev/null || [ $? = 5 ] || failed=1",
            *([f"{quote([*_REMOVE, *containers])} >/dev/null || failed=1"] if containers else []),
            *(
                f"[ ! -e {NAMESPACES / namespace} ] || {quote(['ip', 'netns', 'delete', namespace])} || failed=1"
                for namespace in namespaces
            ),
            f"{quote(['rm', '-rf', '--one-file-system', '--', str(self._directory)])} || failed=1",
            '[ "$failed" = 0 ]',
        ]

    def connect(self) -> None:
        """Make the namespaces, and join them to the hub."""
        self._add(self._name)
        self._ip("link", "add", BRIDGE, "type", "bridge")
        self._ip("address", "add", f"{HUB}/{PREFIX}", "dev", BRIDGE)
        self._ip("link", "set", BRIDGE, "up")
        taken: set[str] = set()
        for number, member in enumerate(self.members):
            self._add(member.namespace)
            port = f"member{number}"
            self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", member.namespace)
            self._ip("link", "set", port, "master", BRIDGE, "up")
            for address in (f"{member.address}/{PREFIX}", *member.addresses):
                if address not in taken:
                    self._ip("address", "add", address, "dev", "eth0", namespace=member.namespace)
                taken.add(address)
            self._ip("link", "set", "eth0", "up", namespace=member.namespace)
            for address in member.addresses:
                self._lead(_bare(address))

    def start(self, copy: Copy, member: Member, run: str) -> None:
        """Start one container.

        :raises CommandFailed: Podman could not
        """
        hosts = [f"{name}:{other.address}" for other in self.members for name in other.names]
        command = copy.original.command(copy, run, copy.binds, NAMESPACES / member.namespace, hosts)
        environment = self._directory / f"{copy.name}.env"
        script = self._directory / f"{copy.name}.sh"
        self._effects.write(environment, command.lines().encode("utf-8", "surrogateescape"))
        self._effects.write(script, command.script(environment).encode("utf-8", "surrogateescape"))
        self._guard.run(["sh", str(script)])

    def start_again(self, known: Collection[str]) -> None:
        """Start what has ended once more: it may have looked for another container that was not there yet.

        :param known: the containers that could not be started at all
        """
        names = [copy.name for copy, _state in self._ended(known)]
        if names:
            self._guard.run(["podman", "start", *names])
            time.sleep(SETTLE_SECONDS)

    def ended(self, known: Collection[str]) -> dict[str, str]:
        """The containers that do not run any more, each with its last words.

        :param known: those of which that is known already
        """
        found = {}
        for copy, state in self._ended(known):
            logs = run(["podman", "logs", "--tail", "3", copy.name], expect=(0, 125))
            words = " ".join(f"{logs.stdout} {logs.stderr}".split())[-300:]
            found[copy.original.name] = f"{state}: {words or 'it said nothing'}"
        return found

    def _ended(self, known: Collection[str]) -> list[tuple[Copy, str]]:
        copies = [copy for member in self.members for copy in member.copies if copy.original.name not in known]
        ask = ["podman", "container", "inspect", "--format", "{{.State.Status}}"]
        states = [(copy, run([*ask, copy.name], expect=(0, 125)).stdout.strip() or "gone") for copy in copies]
        return [(copy, state) for copy, state in states if state != "running"]

    def url(self, url: str) -> str:
        """An application's address on the site, as it is in the copy.

        :raises UsageError: no container of the copy has it
        """
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = self._place(parts.hostname or "", port)
        if place is None:
            raise UsageError(
                f"{url} was expected to lead to a container that the drill has copied, and none publishes port {port}: correct"
                " flatnet_drill_urls, or see which containers were not started"
            )
        member, inside = place
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{member.address}:{inside}"))

    def lead(self, host: str, port: int) -> str | None:
        """Let what the gateway sends to an address or name of the site's host arrive at the copy.

        :return: the container that it arrives at; None if there is none
        """
        if is_loopback(host) or ":" in host:
            return None
        place = self._place(host, port)
        if any(host in _known_as(member) for member in self.members):
            return place[0].names[0] if place else None
        address = self._address_of(host)
        if place is None:
            return None
        member, inside = place
        if (address, port) not in self._led:
            self._led.add((address, port))
            rule = ["--protocol", "tcp", "--destination", address, "--dport", str(port), "--jump", "DNAT"]
            nat = ["iptables", "--wait", "--table", "nat", "--append", "OUTPUT", *rule]
            self._guard.run([*_INSIDE, self._name, *nat, "--to-destination", f"{member.address}:{inside}"])
        return member.names[0]

    def _place(self, host: str, port: int) -> tuple[Member, int] | None:
        """Who answers to an address of the site, and at which port.

        An address that is no container's may be the host's own, however it is seen from outside: then published ports lead on.
        """
        for member in self.members:
            if host in _known_as(member):
                return member, port
        return next(((member, member.ports[port]) for member in self.members if port in member.ports), None)

    def listen(self, address: str) -> None:
        """Give the hub an address that the gateway listens on."""
        self._ip("address", "add", address, "dev", "lo")

    def test_gateway(self, prefix: Path, settings: str) -> str:
        """What nginx has against a configuration; empty if nothing.

        :param settings: directives that come before the configuration
        """
        tested = self._effects.run([*self._nginx(prefix, "--wait", "--pipe"), "-t", "-g", settings], expect=(0, 1))
        return tested.stderr if tested.code else ""

    def start_gateway(self, prefix: Path, settings: str) -> None:
        """Start nginx on a prefix of its own. It can write there alone, and sees no socket of the host."""
        service = [f"--unit={self._name}", "--property=Type=exec"]
        self._guard.run([*self._nginx(prefix, *service), "-g", f"{settings} daemon off;"])

    def _nginx(self, prefix: Path, *how: str) -> list[str]:
        hosts = self._directory / "hosts"
        self._effects.write(hosts, self._hosts().encode(), 0o444)
        sandbox = {
            "NetworkNamespacePath": self.hub,
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "NoNewPrivileges": "yes",
            "CapabilityBoundingSet": "CAP_CHOWN CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID",
            "TemporaryFileSystem": "/run",
            "ReadWritePaths": prefix,
            "BindPaths": f"{prefix / 'logs'}:/var/log/nginx {prefix / 'temp'}:/var/lib/nginx",
            "BindReadOnlyPaths": f"{hosts}:/etc/hosts {MODULES}:{prefix / 'modules'}",
        }
        properties = [f"--property={name}={value}" for name, value in sandbox.items()]
        run_it = ["systemd-run", "--quiet", "--collect", *how, *properties, "--"]
        return [*run_it, NGINX, "-p", str(prefix), "-c", "conf/nginx.conf"]

    def _hosts(self) -> str:
        """What the gateway finds in ``/etc/hosts``."""
        own = [(member.address, name) for member in self.members for name in member.names]
        foreign = [(address, name) for name, address in self._foreign.items() if name != address]
        return "".join(f"{address} {name}\n" for address, name in [("127.0.0.1", "localhost"), *own, *foreign])

    def _address_of(self, host: str) -> str:
        if host not in self._foreign:
            address = host if is_address(host) else numbered(FOREIGN, len(self._foreign))
            self._foreign[host] = address
            self._lead(address)
        return self._foreign[host]

    def _lead(self, address: str) -> None:
        self._ip("route", "replace", address, "dev", BRIDGE, "src", HUB)

    def _add(self, namespace: str) -> None:
        self._guard.run(["ip", "netns", "add", namespace])
        self._ip("link", "set", "lo", "up", namespace=namespace)

    def _ip(self, *words: str, namespace: str | None = None) -> None:
        self._guard.run(["ip", "-netns", namespace or self._name, *words])


def _bare(address: str) -> str:
    """An address without the length of its prefix."""
    return address.partition("/")[0]


def _known_as(member: Member) -> tuple[str, ...]:
    return (*member.names, *map(_bare, member.addresses))


class InNamespace:
    """Sends requests from another network namespace."""

    def __init__(self, transport: Transport, namespace: Path) -> None:
        self._transport = transport
        self._namespace = namespace

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Send and wait for the whole answer."""
        with entered(self._namespace):
            return self._transport.request(method, url, params, body)


@contextmanager
def entered(namespace: Path) -> Iterator[None]:
    """Open sockets in another network namespace; only this thread does."""
    with Path("/proc/thread-self/ns/net").open("rb") as own, namespace.open("rb") as other:
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the network namespace cannot be entered: {os.strerror(number)}")
