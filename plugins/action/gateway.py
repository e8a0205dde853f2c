# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start, stop, reload or restart a gateway on Windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import PROBES, UNCHANGED, GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import RUNNING, Gateway
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan, Probe

STATES = ("started", "stopped", "reloaded", "restarted")


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "gateway {state}"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "state": {"type": "str", "choices": list(STATES), "required": True},
        "probes": PROBES,
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Look, and where the gateway is not as it should be, have the host make it so."""
        gateway, settled = site.settled(check=self._task.check_mode)
        state = options["state"]
        if as_wanted(gateway, state):
            status = "warning" if gateway.findings else "good"
            return Outcome(bool(settled), settled + gateway.sentence, status=status, values=UNCHANGED)
        plan = plan_for(site, gateway, state, [Probe(**probe) for probe in options["probes"]])
        if self._task.check_mode:
            return Outcome(True, f"{settled}the gateway would be {state}", values=UNCHANGED)
        return site.changed_by(plan, settled)


def as_wanted(gateway: Gateway, state: str) -> bool:
    """Nothing has to be done."""
    enabled = gateway.kept
    if state == "started":
        broken = {"second_master", "orphan_workers", "no_worker", "not_listening"} & {
            finding.name for finding in gateway.findings
        }
        return gateway.state == RUNNING and enabled and not broken
    return state == "stopped" and not enabled and not gateway.masters and not gateway.workers


def plan_for(site: Site, gateway: Gateway, state: str, probes: list[Probe]) -> Plan:
    """The transaction that makes it so."""
    if state == "stopped":
        return gateway_transaction.stop(site.gateway)
    if state == "reloaded":
        return gateway_transaction.reload(site.gateway, gateway.digest, probes)
    # What several masters have in hand, or the identity of, only a new one settles; and where there is none, a task that is enabled may
    # start one at any moment, of a configuration that nobody knows.
    if state == "restarted" or len(gateway.masters) > 1 or (gateway.kept and not gateway.masters):
        return gateway_transaction.restart(site.gateway, gateway.digest, probes)
    # What a master that runs has read, nobody knows.
    return gateway_transaction.start(site.gateway, probes, generation="" if gateway.masters else gateway.digest)
