# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask an application the questions that a set holds, and compare the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe


@dataclass(frozen=True)
class Asked:
    """One question asked again."""

    question: str
    at: float
    expected: str
    answer: str

    @property
    def same(self) -> bool:
        """The application says what it said before."""
        return self.expected == self.answer


def ask_prometheus(server: Prometheus, probes: Sequence[Probe]) -> list[Asked]:
    """Ask every question again.

    :raises ServerError: the server does not answer
    """
    return [Asked(probe.question, probe.at, probe.answer, server.query(probe.question, probe.at)) for probe in probes]
