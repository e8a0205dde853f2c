# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_firewall import (
    NAME,
    NEW,
    blockers,
    changes,
    lets_in,
    normal,
    rule_of,
)

pytestmark = pytest.mark.unit

EXE = r"C:\openresty\nginx.exe"
OURS = f"v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name={NAME}|Desc=x|"
# What Windows makes of its question that somebody has closed.
QUESTION = rf"v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|Profile=Public|App={EXE}|Name=nginx.exe|Desc=nginx.exe|Defer=User|"


def let_in(*texts: str, port: int = 80, remote: tuple[str, ...] = ()) -> bool:
    return lets_in([rule_of(text) for text in texts], port, remote)


def blocking(*texts: str) -> list[str]:
    return blockers([rule_of(text) for text in texts], 80, EXE)


def test_our_rule_opens_the_port_to_everybody() -> None:
    assert let_in(OURS)
    assert let_in(OURS.replace("Active=TRUE|", ""))
    (add, rename) = changes([], 80, [])
    assert "localport=80 description=" in add
    assert rename.endswith(f'set rule name="{NEW}" new name="{NAME}"')


def test_a_rule_is_removed_when_the_other_one_has_been_taken() -> None:
    verbs = [
        command.split()[2] + (" new" if f'name="{NEW}"' in command else "")
        for command in changes([NAME, NAME, NEW], 80, [])
    ]

    assert verbs == ["delete new", "add new", "delete", "set new"]


@pytest.mark.parametrize(
    "texts",
    [
        (),
        (OURS, OURS),
        (OURS, OURS.replace(NAME, NEW)),
        (OURS.replace("LPort=80", "LPort=8080"),),
        (OURS.replace("LPort=80|", ""),),
        (OURS.replace("LPort=80", "LPort=80|LPort=81"),),
        (OURS.replace("Action=Allow", "Action=Block"),),
        (OURS.replace("Active=TRUE", "Active=FALSE"),),
        (OURS.replace("Dir=In", "Dir=Out"),),
        (OURS.replace("Protocol=6", "Protocol=17"),),
        (OURS.replace("Dir=In", "Dir=In|Profile=Domain"),),
        (OURS.replace("Dir=In", "Dir=In|RA4=10.0.0.5"),),
        (OURS.replace("Dir=In", rf"Dir=In|App={EXE}"),),
        (OURS.replace("Dir=In", "Dir=In|IFType=Wireless"),),
        (OURS.replace(NAME, "other"),),
    ],
)
def test_a_rule_that_is_not_exactly_ours_does_not(texts: tuple[str, ...]) -> None:
    assert not let_in(*texts)


def test_addresses_are_the_same_in_every_spelling() -> None:
    limited = OURS.replace("LPort=80", "LPort=80|RA4=10.0.0.0/255.0.0.0|RA42=LocalSubnet|RA6=fd00::/8")

    assert let_in(limited, remote=("localsubnet", "10.0.0.0/8", "FD00::/8"))
    assert not let_in(limited, remote=("localsubnet", "10.0.0.0/9", "fd00::/8"))
    assert "remoteip=10.0.0.0/8,LocalSubnet " in changes([], 80, ["10.0.0.0/8", "LocalSubnet"])[0]
    assert normal(["any"]) == normal([])


def test_a_rule_that_blocks_the_gateway_is_named() -> None:
    port = "v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort2_10=70-90|Name=no web|"

    assert blocking(OURS, port, port.replace("|LPort2_10=70-90|Name=no web", "|Name=nothing")) == ["no web", "nothing"]


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.replace("Active=TRUE", "Active=FALSE"),
        QUESTION.replace("Action=Block", "Action=Allow"),
        QUESTION.replace("Action=Block", "Action=ByPass"),
        QUESTION.replace("nginx.exe|Name", "other.exe|Name"),
        QUESTION.replace("Protocol=6", "Protocol=17"),
        QUESTION.replace("Protocol=6", "Protocol=6|LPort=443"),
        QUESTION.replace("Protocol=6", "Protocol=6|RA4=10.0.0.5"),
        QUESTION.replace("Dir=In", "Dir=Out"),
    ],
)
def test_a_rule_that_blocks_something_else_is_not(text: str) -> None:
    assert blocking(text) == []


def test_the_answer_that_somebody_has_given_to_windows_question_blocks() -> None:
    assert blocking(QUESTION, QUESTION.replace(EXE, r"%systemdrive%\OpenResty\nginx.exe")) == ["nginx.exe"] * 2
