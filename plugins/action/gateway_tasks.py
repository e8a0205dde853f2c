# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install what of ours runs on a gateway's host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_rotation import Rotation


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "tasks"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "account": {"type": "str", "required": True},
        "logs": {"type": "list", "elements": "str", "default": [r"logs\error.log", r"logs\access.log"]},
        "log_keep_days": {"type": "int", "default": 30},
        "log_megabytes": {"type": "int", "default": 100},
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Make folders, scripts and tasks what they should be; one round trip."""
        wanted = site.installation
        rotation = Rotation(options["logs"], options["log_keep_days"], options["log_megabytes"])
        rotation.refuse_nonsense()
        files = {**wanted.files(), **rotation.files(wanted)}
        tasks = [*wanted.tasks(), rotation.task(wanted)]
        answer = site.windows.run(
            "install",
            Folders=wanted.folders(),
            Protected=wanted.state_directory,
            Files=[{"path": path, "text": text} for path, text in files.items()],
            Tasks=[{"name": task.name, "xml": task.definition(options["account"])} for task in tasks],
            Check=self._task.check_mode,
        )
        made = list(answer["changed"])
        said = f"installed {', '.join(made)}" if made else "everything is as it should be"
        return Outcome(bool(made), said, evidence={"made": made}, values={"made": made})
