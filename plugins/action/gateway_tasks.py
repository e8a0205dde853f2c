# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install what of ours runs on a gateway's host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_rotation import Rotation
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import WSL_TASK
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_wsl import Wsl, not_kept, wsl_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

# How long WSL may take to start a distribution, in seconds; a task that is there already comes within a minute.
PATIENCE = 90
DISABLED = (
    f"; task {WSL_TASK} is disabled, so that a boot does not start the distribution: enable it with schtasks.exe /Change /TN"
    f" {WSL_TASK} /ENABLE when the work for which somebody has disabled it is done"
)


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "tasks"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "account": {"type": "str", "required": True},
        "logs": {"type": "list", "elements": "str", "default": [r"logs\error.log", r"logs\access.log"]},
        "log_keep_days": {"type": "int", "default": 30},
        "log_megabytes": {"type": "int", "default": 100},
        "distribution": {"type": "str", "default": ""},
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Make folders, scripts and tasks what they should be; one round trip, and one more to look at WSL2."""
        account, distribution = options["account"], options["distribution"]
        wsl = None
        if distribution:
            wsl = look_at_wsl(site, account)
            refusal = wsl.refusal(distribution)
            if refusal:
                raise WindowsError(refusal)
        wanted = site.installation
        rotation = Rotation(options["logs"], options["log_keep_days"], options["log_megabytes"])
        rotation.refuse_nonsense()
        files = {**wanted.files(distribution), **rotation.files(wanted)}
        tasks = {task.name: task.definition(account) for task in (*wanted.tasks(distribution), rotation.task(wanted))}
        answer = site.windows.run(
            "install",
            Folders=wanted.folders(),
            Protected=wanted.state_directory,
            Required=wanted.required(),
            Files=[{"path": path, "text": text} for path, text in files.items()],
            Tasks=[{"name": name, "xml": xml, "start": name == WSL_TASK} for name, xml in tasks.items()],
            Gone=[] if distribution else [WSL_TASK],
            Check=self._task.check_mode,
        )
        if answer["wrong"]:
            raise WindowsError(wrong_layout(answer["wrong"], wanted.prefix))
        made = list(answer["changed"])
        said = f"installed {', '.join(made)}" if made else "everything is as it should be"
        status = "good"
        if wsl is not None and not self._task.check_mode:
            started = f"task {WSL_TASK}" in made
            if wsl.enabled is False and not started:
                said, status = said + DISABLED, "warning"
            elif started or not wsl.keeps(distribution):
                self._expect_kept(site, account, distribution, wsl)
        contents = {**files, **{f"task {name}": xml for name, xml in tasks.items()}}
        diff = [difference(what, answer["before"].get(what, ""), contents.get(what, "")) for what in made]
        return Outcome(bool(made), said, status=status, evidence={"made": made}, values={"made": made}, diff=diff)

    def _expect_kept(self, site: Site, account: str, distribution: str, before: Wsl) -> None:
        wsl = look_at_wsl(site, account, PATIENCE, before.log)
        if not wsl.keeps(distribution):
            raise WindowsError(not_kept(wsl, distribution, site.installation.distribution_log))


def look_at_wsl(site: Site, account: str, wait: int = 0, before: str = "") -> Wsl:
    """What an account has of WSL2; one round trip.

    :param wait: for how many seconds to wait until a distribution is kept, or an attempt to keep it has failed
    :param before: the log of the attempt that is not to be taken for that one
    """
    answer = site.windows.run(
        "wsl_look",
        Account=account,
        Task=WSL_TASK,
        Log=site.installation.distribution_log,
        Before=before,
        WaitSeconds=wait,
    )
    return wsl_of(account, answer)


def wrong_layout(wrong: Sequence[Mapping[str, str]], prefix: str) -> str:
    """What lies on the host that must not be put right by us, and what to do."""
    missing = [each["path"] for each in wrong if each["wanted"] == "file"]
    taken = [each["path"] for each in wrong if each["wanted"] == "folder"]
    said = []
    if missing:
        said.append(
            f"{' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} expected on the host, and"
            f" {'is' if len(missing) == 1 else 'are'} not there: unpack OpenResty in {prefix}, with its conf, or say where it is with"
            " flatnet_gateway_prefix, flatnet_gateway_program and flatnet_gateway_configuration"
        )
    if taken:
        said.append(
            f"{' and '.join(taken)} {'was' if len(taken) == 1 else 'were'} expected to be a folder or not there, and a file has that"
            " name: move it away"
        )
    return "; ".join([*said, "nothing was changed"])


def difference(what: str, before: str, after: str) -> dict[str, str]:
    """What changes of one thing; a folder has no content."""
    return {"before_header": what, "after_header": what, "before": before, "after": after or ("" if before else what)}
