# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the logs of a gateway on Windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_logs import (
    ACCESS,
    ERROR,
    LEVELS,
    Log,
    Wanted,
    logs_of,
    sentence_of,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_rotation import result_of, rotated_of


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "logs"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "error_log": {"type": "str", "default": r"logs\error.log"},
        "access_log": {"type": "str", "default": r"logs\access.log"},
        "lines": {"type": "int", "default": 100},
        "level": {"type": "str", "choices": list(LEVELS), "default": "debug"},
        "since": {"type": "str", "default": ""},
        "after": {
            "type": "dict",
            "default": {},
            "options": {ERROR: {"type": "str"}, ACCESS: {"type": "str"}},
        },
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Ask once, and say what came."""
        wanted = Wanted(
            prefix=site.installation.prefix,
            paths={ERROR: options["error_log"], ACCESS: options["access_log"]},
            lines=options["lines"],
            level=options["level"],
            since=options["since"],
            after=options["after"],
        )
        answer = site.windows.run("gateway_logs", Rotation=result_of(site.installation), **wanted.question())
        logs = logs_of(answer)
        rotation = rotated_of(answer["rotation"])
        fault = rotation.fault if rotation else None
        unread = [log.unread for log in logs if log.unread]
        gaps = [log.gap for log in logs if log.gap]
        return Outcome(
            False,
            "; ".join([sentence_of(logs), *([fault] if fault else [])]),
            status="failed" if unread else "warning" if gaps or fault else "good",
            numbers={f"{log.name}_entries": len(log.entries) for log in logs if not log.unread},
            evidence={log.name: lines_of(log) for log in logs if not log.unread},
            values={
                "logs": {log.name: shown(log) for log in logs},
                "next": {log.name: log.next for log in logs if log.next},
                "unread": unread,
                "gaps": gaps,
                "rotation": rotation.shown() if rotation else None,
            },
        )


def lines_of(log: Log) -> list[str]:
    """What was read, line by line, as a report shows it."""
    return [line for entry in log.entries for line in entry.text.splitlines()]


def shown(log: Log) -> dict[str, Any]:
    """What a play gets to know of a log."""
    return {
        "path": log.path,
        "size": log.size,
        "entries": [asdict(entry) for entry in log.entries],
        "levels": log.levels,
        "next": log.next,
        "rotated": log.rotated,
        "aside": list(log.aside),
        "more": log.more,
        "cut": log.cut,
        "problem": log.problem,
        "said": log.said,
    }
