# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a Windows host that is to be accepted, what is said of each check, and the file that keeps it.

docs/formats/windows-acceptance.md describes the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Callable

from ansible_collections.flatnet.ops.plugins.module_utils.times import from_iso
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import Gateway
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import Installation
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_wsl import Wsl
from ansible_collections.flatnet.ops.plugins.plugin_utils.text import Text

FORMAT = 1
VERIFIED, FAILED, NOT_TRIED = "verified", "failed", "not_tried"


class CannotTell(Exception):
    """Why a check could not be tried, with what was seen instead."""

    def __init__(self, why: str, **evidence: Any) -> None:
        super().__init__(why)
        self.evidence = evidence


@dataclass(frozen=True)
class Look:
    """What a host shows of itself; times are seconds since the epoch, the first two by the controller's clock."""

    asked: float
    answered: float
    began: float
    ended: float
    facts: Mapping[str, Mapping[str, Any]]

    def fact(self, name: str) -> Any:
        """One of ``acceptance_look.ps1``.

        :raises CannotTell: it could not be looked at
        """
        fact = self.facts[name]
        if fact["problem"] is not None:
            raise CannotTell(f"it could not be looked at: {' '.join(fact['problem'].split())}")
        return fact["value"]


def look_of(answer: Mapping[str, Any], asked: float, answered: float) -> Look:
    """What the answer of ``acceptance_look.ps1`` means."""
    return Look(asked, answered, from_iso(answer["began"]), from_iso(answer["ended"]), answer["facts"])


@dataclass(frozen=True)
class Connection:
    """How the controller reaches the host, as its connection plugin has it."""

    plugin: str
    scheme: str
    validated: bool
    login: str


@dataclass(frozen=True)
class Tried:
    """What came of something that was done to find out; ``good`` is None where it was not done."""

    good: bool | None
    said: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """Everything that is known of a host."""

    installation: Installation
    account: str
    # The distribution of WSL2 that is kept, and what is known of it; nothing where none is named.
    distribution: str
    wsl: Wsl | None
    connection: Connection
    gateway: Gateway
    look: Look
    reload: Tried
    rollout: Tried
    boot: Tried
    wsl_boot: Tried
    back: Tried


@dataclass(frozen=True)
class Found:
    """What a check has found."""

    good: bool
    found: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """Something that only a real Windows host can show; ``judge`` raises :class:`CannotTell` where this one does not."""

    id: str
    expected: Text
    judge: Callable[[Host], Found]


@dataclass(frozen=True)
class Verdict:
    """What is said of one check."""

    id: str
    expected: str
    found: str
    verdict: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """The acceptance of one host, as its file keeps it."""

    format: int
    host: str
    date: str
    run: str | None
    versions: Mapping[str, str | None]
    checks: Sequence[Verdict]

    def dump(self) -> dict[str, Any]:
        """The content of the file."""
        return asdict(self)


def judge(checks: Sequence[Check], host: Host) -> list[Verdict]:
    """What is said of every check; the first one is whether the host is a real Windows, without which nothing is verified."""
    verdicts = [_judge_one(check, host) for check in checks]
    if verdicts[0].verdict == VERIFIED:
        return verdicts
    return [_without_proof(verdict) if verdict.verdict == VERIFIED else verdict for verdict in verdicts]


def named(verdicts: Sequence[Verdict], verdict: str) -> list[str]:
    """The ids of the checks of which this is said."""
    return [each.id for each in verdicts if each.verdict == verdict]


def sentence(verdicts: Sequence[Verdict]) -> str:
    """What has come out, in one line."""
    failed = [
        f"{each.id} has failed (expected: {each.expected}; found: {each.found})"
        for each in verdicts
        if each.verdict == FAILED
    ]
    left = named(verdicts, NOT_TRIED)
    parts = [
        f"{len(named(verdicts, VERIFIED))} of {len(verdicts)} checks are verified",
        *failed,
        *([f"not tried: {', '.join(left)}"] if left else []),
    ]
    return "; ".join(parts)


def _judge_one(check: Check, host: Host) -> Verdict:
    try:
        found = check.judge(host)
    except CannotTell as why:
        return Verdict(check.id, check.expected.en, str(why), NOT_TRIED, why.evidence)
    return Verdict(check.id, check.expected.en, found.found, VERIFIED if found.good else FAILED, found.evidence)


def _without_proof(verdict: Verdict) -> Verdict:
    found = f"{verdict.found}; that proves nothing, as the host is not known to be a real Windows"
    return Verdict(verdict.id, verdict.expected, found, NOT_TRIED, verdict.evidence)
