# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have Windows' firewall let the gateway be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_firewall import (
    NAME,
    NEW,
    blockers,
    changes,
    lets_in,
    removals,
    rule_of,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

PRESENT, ABSENT = "present", "absent"


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "firewall"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
        "remote": {"type": "list", "elements": "str", "default": []},
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Read the rules, and have netsh change ours where it is not as it should be; what is right takes one round trip."""
        state, remote, port = options["state"], options["remote"], site.port
        ours, blocking = self._rules(site, port)
        if state == PRESENT and blocking:
            raise WindowsError(
                f"port {port} was expected to be open to the gateway, and {' and '.join(map(repr, blocking))} of the firewall"
                f" {'blocks' if len(blocking) == 1 else 'block'} it, which no other rule overrides: remove what blocks"
                f" {site.installation.program} in 'Windows Defender Firewall with Advanced Security', and run again; the firewall was left as it is"
            )
        if (state == ABSENT and not ours) or (state == PRESENT and lets_in(list(map(rule_of, ours)), port, remote)):
            said = (
                f"the firewall has the rule '{NAME}' for port {port}" if ours else f"the firewall has no rule '{NAME}'"
            )
            return Outcome(False, said, values={"rules": ours})
        diff = {"before": "".join(f"{rule}\n" for rule in ours), "after": ""}
        there = [rule_of(text).name for text in ours]
        commands = changes(there, port, remote) if state == PRESENT else removals(there)
        if state == PRESENT:
            diff["after"] = "".join(f"netsh {command}\n" for command in commands)
        if not self._task.check_mode:
            site.windows.run("firewall_change", Commands=commands)
            ours = self._rules(site, port)[0]
            self._expect(state, ours, port, remote)
        said = f"the rule '{NAME}' of the firewall " + (f"opens port {port}" if state == PRESENT else "is removed")
        return Outcome(True, said, evidence={"rules": ours}, values={"rules": ours}, diff=diff)

    def _rules(self, site: Site, port: int) -> tuple[list[str], list[str]]:
        """Our rules, and the names of those that block the gateway."""
        answer = site.windows.run("firewall_look", Name=NAME)
        known = [*answer["local"], *answer["policy"]]
        ours = [text for text in answer["local"] if rule_of(text).name in (NAME, NEW)]
        return ours, blockers([rule_of(text) for text in known], port, site.installation.program)

    def _expect(self, state: str, ours: list[str], port: int, remote: list[str]) -> None:
        if not ours if state == ABSENT else lets_in(list(map(rule_of, ours)), port, remote):
            return
        raise WindowsError(
            f"netsh was expected to leave the rule '{NAME}' {state} for port {port}, and the registry has {ours or 'none'}: see whether"
            " a group policy keeps the firewall's rules, and run again"
        )
