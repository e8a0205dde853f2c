# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways to break the code under trial: a trial that does not notice them proves nothing."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from ansible_collections.flatnet.ops.plugins.module_utils import undo
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import Ref, Thing
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_writes import Dashboards, Target
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle


def unguarded() -> None:
    """Guards that do nothing when their run dies."""
    patch.object(undo, "_WAIT", "exit 0").start()


def unsynced() -> None:
    """A manifest that is written before the data is durable."""
    patch.object(Effects, "sync_filesystem").start()


def forgetful() -> None:
    """Runs that leave everything as dead runs have left it."""
    patch.object(Lifecycle, "_recover", return_value=[]).start()


def untidy() -> None:
    """Sets and generations in the making that stay when their run is dead."""
    patch.object(Lifecycle, "_clear", return_value=[]).start()


def anew() -> None:
    """Dashboards that are deleted, then made anew, where they should be changed."""

    def update(self: Dashboards, target: Target, thing: Thing, _ref: Ref, _version: int) -> Any:
        target.server.send("DELETE", f"/api/dashboards/uid/{thing.key}")
        return self.create(target, thing)

    patch.object(Dashboards, "update", update).start()


SABOTAGE = {"unguarded": unguarded, "unsynced": unsynced, "forgetful": forgetful, "untidy": untidy, "anew": anew}
