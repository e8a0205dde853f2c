# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a gateway on Windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import Gateway

PENDING = (
    "; files of its configuration were changed since it was last started or reloaded by our playbooks: flatnet.ops.reload puts"
    " them into effect"
)


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "look"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {"error_lines": {"type": "int", "default": 5}}

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Ask once, and say what it means."""
        gateway = site.look(options["error_lines"])
        values = shown(gateway)
        pending = gateway.identity is not None and gateway.identity.generation != gateway.digest
        return Outcome(
            False,
            gateway.sentence + (PENDING if pending else ""),
            status="warning" if gateway.findings or pending or gateway.under_way else "good",
            numbers={"masters": len(gateway.masters), "workers": len(gateway.workers)},
            evidence={
                name: values[name] for name in ("identity", "program", "tasks", "generation", "errors", "transactions")
            },
            values=values,
        )


def shown(gateway: Gateway) -> dict[str, Any]:
    """What a play gets to know of a gateway."""
    return {
        "state": gateway.state,
        "version": gateway.version,
        "since": gateway.since,
        "program": gateway.program,
        "identity": vars(gateway.identity) if gateway.identity else None,
        "masters": [each.pid for each in gateway.masters],
        "workers": [each.pid for each in gateway.workers],
        "configuration": sorted(gateway.configuration),
        "generation": gateway.digest,
        "errors": list(gateway.errors),
        "tasks": {task.name: {"enabled": task.enabled, "command": task.command} for task in gateway.tasks},
        "transactions": [
            {"id": each.id, "state": each.verdict, "message": each.sentence} for each in gateway.transactions
        ],
        "findings": [vars(finding) for finding in gateway.findings],
    }
