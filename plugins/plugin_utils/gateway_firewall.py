# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of Windows' firewall as the registry has them, which no language of the host changes: what lets the gateway be reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NAME = "flatnet gateway"
# What is to take the place of a rule is called so until it does.
NEW = f"{NAME} (new)"
TCP = "6"
_REMOTE = re.compile(r"RA[46]2?")
_PORT = re.compile(r"LPort\d?(_\d+)?")


@dataclass(frozen=True)
class Rule:
    """One rule; empty ports, remote addresses, program or profiles are any, and so is an empty protocol."""

    name: str
    active: bool
    # In lower case: allow, block or bypass.
    action: str
    inward: bool
    protocol: str
    ports: frozenset[str]
    remote: frozenset[str]
    program: str
    profiles: frozenset[str]
    # What else it depends on: a service, an interface, an authentication.
    more: bool

    def concerns(self, port: int, program: str) -> bool:
        """Requests to the port from anywhere, answered by the program, are what it is about."""
        return (
            self.active
            and self.inward
            and self.protocol in ("", TCP)
            and (not self.ports or any(_within(port, each) for each in self.ports))
            and not self.remote
            and (not self.program or self.program.casefold() == program.casefold())
            and not self.more
        )


def rule_of(text: str) -> Rule:
    """A rule from its value in the registry, as in ``v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name=x|``."""
    parts = (part.partition("=") for part in text.split("|"))
    fields = [(name, value) for name, equals, value in parts if equals]
    one = dict(fields)
    protocol = one.get("Protocol", "")
    known = {"Action", "Active", "Dir", "Protocol", "Profile", "App", "Name", "Desc", "EmbedCtxt", "Edge", "Defer"}
    return Rule(
        name=one.get("Name", ""),
        active=one.get("Active", "TRUE").upper() != "FALSE",
        action=one.get("Action", "").casefold(),
        inward=one.get("Dir", "").casefold() == "in",
        protocol="" if protocol == "256" else protocol,
        ports=frozenset(value for name, value in fields if _PORT.fullmatch(name)),
        remote=normal(value for name, value in fields if _REMOTE.fullmatch(name)),
        program=re.sub("%SystemDrive%", "C:", one.get("App", ""), flags=re.IGNORECASE),
        profiles=frozenset(value for name, value in fields if name == "Profile"),
        more=any(
            name not in known and not _PORT.fullmatch(name) and not _REMOTE.fullmatch(name) for name, _value in fields
        ),
    )


def normal(addresses: Iterable[str]) -> frozenset[str]:
    """Remote addresses in one spelling: Windows writes a network with its mask, people with its length; none is any."""
    found = set()
    for address in addresses:
        word = address.strip().casefold()
        try:
            found.add(str(ipaddress.ip_network(word, strict=False)))
        except ValueError:
            # A range, or a word such as LocalSubnet.
            found.add(word)
    return frozenset(found - {"any", "*"})


def lets_in(rules: Sequence[Rule], port: int, remote: Sequence[str]) -> bool:
    """Our rule is there, once, and exactly as it should be."""
    wanted = Rule(NAME, True, "allow", True, TCP, frozenset([str(port)]), normal(remote), "", frozenset(), False)
    return [rule for rule in rules if rule.name in (NAME, NEW)] == [wanted]


def blockers(rules: Sequence[Rule], port: int, program: str) -> list[str]:
    """The names of the rules that block the gateway whatever else allows it: in Windows' firewall they win."""
    return [rule.name for rule in rules if rule.action == "block" and rule.concerns(port, program)]


def changes(there: Sequence[str], port: int, remote: Sequence[str]) -> list[str]:
    """What netsh is told, so that our rule is there as it should be; where netsh refuses that, the earlier one still lets in.

    :param there: the names of our rules that are there
    """
    limited = f" remoteip={','.join(remote)}" if remote else ""
    add = (
        f'advfirewall firewall add rule name="{NEW}" dir=in action=allow protocol=TCP localport={port}{limited}'
        ' description="Lets the gateway of flatnet be reached. Made by flatnet.ops.setup."'
    )
    rename = f'advfirewall firewall set rule name="{NEW}" new name="{NAME}"'
    return [*removals({NEW} & set(there)), add, *removals({NAME} & set(there)), rename]


def removals(names: Iterable[str]) -> list[str]:
    """What netsh is told, so that every rule of these names goes."""
    return [f'advfirewall firewall delete rule name="{name}"' for name in sorted(set(names))]


def _within(port: int, ports: str) -> bool:
    first, _dash, last = ports.partition("-")
    return first.isdigit() and int(first) <= port <= int(last if last.isdigit() else first)
