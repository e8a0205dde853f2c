# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults that are injected: each is defined once, tested by `make test`, and written down by `make faults`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Found:
    """What the operator and an independent look have found; ``state`` is the look in words."""

    exit: int | None
    message: str
    state: str
    holds: bool


Inject = Callable[[Any], Found]


@dataclass(frozen=True)
class Fault:
    """One fault, and the function that injects it into the world of its part."""

    id: str
    injected: str
    inject: Inject


class Faults(list[Fault]):
    """The faults of one part, in the order in which they are written."""

    def of(self, id: str, injected: str) -> Callable[[Inject], Inject]:
        """Enter the function that injects this fault."""

        def enter(inject: Inject) -> Inject:
            self.append(Fault(id, injected, inject))
            return inject

        return enter
