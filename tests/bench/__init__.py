# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark: ours and the same promise by other means, side by side in one run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of docs/benchmarks.json: seconds, bytes or counts, and the most that the ratio, or without a peer ours, may be."""

    id: str
    ours: float
    peer: float | None
    target: float

    @property
    def ratio(self) -> float | None:
        """Ours over theirs; nothing can be said over nothing."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool:
        """The target is kept."""
        return self.ours <= self.target * (1 if self.peer is None else self.peer)

    def dump(self) -> dict[str, str | float | bool | None]:
        """The row as the file holds it."""
        rounded = {name: None if value is None else round(value, 3) for name, value in self._numbers().items()}
        return {"id": self.id, **rounded, "target": self.target, "holds": self.holds}

    def _numbers(self) -> dict[str, float | None]:
        return {"ours": self.ours, "peer": self.peer, "ratio": self.ratio}
