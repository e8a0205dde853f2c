# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a look at the WSL2 of a Windows host means: whose a distribution is, and whether it is kept running."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import WSL_TASK

# WSL's own mark of a distribution of WSL 2; the value Version beside it is that of the file system.
VM_MODE = 8
_TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


@dataclass(frozen=True)
class Wsl:
    """The distributions of an account, and the one that the task keeps."""

    account: str
    # None where Windows knows no such account.
    sid: str | None
    # Whether what the account has could be read.
    loaded: bool
    # By name, whether it is of WSL 2.
    distributions: Mapping[str, bool]
    program: str | None
    # None where there is no task.
    enabled: bool | None
    # The distribution that is up now, by the doing of the task.
    kept: str | None
    # What WSL said when the last attempt to keep it failed.
    said: str
    # All that the last attempt has left.
    log: str

    def of_wsl2(self, distribution: str) -> bool | None:
        """Whether the account's distribution of this name, which WSL takes in any case, is of WSL 2; None where there is none."""
        return {name.casefold(): modern for name, modern in self.distributions.items()}.get(distribution.casefold())

    def keeps(self, distribution: str) -> bool:
        """The distribution is up by the doing of the task."""
        return self.kept is not None and self.kept.casefold() == distribution.casefold()

    def refusal(self, distribution: str) -> str:
        """Why the account cannot keep a distribution, and what to do; empty where nothing is against it."""
        if self.sid is None:
            return (
                f"account '{self.account}' was expected on the host, and Windows knows none of that name: correct"
                " flatnet_setup_gateway_account; nothing was changed"
            )
        if not self.loaded:
            return (
                f"the distributions of account {self.account} were expected to be known, and Windows has them only while that account"
                " is logged on: reach the host as that account, with ansible_user, and run again; nothing was changed"
            )
        if self.of_wsl2(distribution) is None:
            owned = ", ".join(sorted(self.distributions)) or "none"
            return (
                f"account {self.account} was expected to own the WSL2 distribution '{distribution}', and it owns {owned}: distributions"
                " belong to accounts, so install it as that account, or correct flatnet_setup_gateway_account or"
                " flatnet_setup_gateway_distribution; nothing was changed"
            )
        if not self.of_wsl2(distribution):
            return (
                f"distribution '{distribution}' was expected to be of WSL 2, and is of WSL 1: convert it as account {self.account}"
                f" with wsl.exe --set-version {distribution} 2, and run again; nothing was changed"
            )
        if self.program is None:
            return (
                r"wsl.exe was expected in C:\Program Files\WSL or in System32, and is in neither: install WSL with wsl.exe --install or"
                " its .msi; nothing was changed"
            )
        return ""


def wsl_of(account: str, look: Mapping[str, Any]) -> Wsl:
    """What the answer of ``wsl_look.ps1`` means."""
    events = [json.loads(line) for line in look["log"].splitlines() if line.startswith("{") and line.endswith("}")]
    up = look["held"] and any(event["event"] == "up" for event in events)
    failures = [event for event in events if event["event"] in ("mute", "end")]
    said = failures[-1] if failures else None
    return Wsl(
        account=account,
        sid=look["sid"],
        loaded=look["loaded"],
        distributions={each["name"]: bool(each["flags"] & VM_MODE) for each in look["distributions"]},
        program=look["program"],
        enabled=enabled_in(look["task"]),
        kept=next((event["distribution"] for event in events if event["event"] == "begin"), None) if up else None,
        said=f"wsl.exe ended with {said['code']}, '{' '.join(said['said'].split())}'" if said else "",
        log=look["log"],
    )


def enabled_in(xml: str | None) -> bool | None:
    """Whether a task is enabled, by its definition; None where there is none."""
    if xml is None:
        return None
    # The file says UTF-16 of itself; what it says has been decoded already.
    root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", xml))
    return root.findtext(f"{_TASK}Settings/{_TASK}Enabled", "true").strip().lower() != "false"


def not_kept(wsl: Wsl, distribution: str, log: str) -> str:
    """Why the task does not keep the distribution, and what to do."""
    why = wsl.said or "it has said nothing so far"
    return (
        f"task {WSL_TASK} was expected to keep the distribution '{distribution}' running, and does not: {why} (see {log} on the host); the"
        f" task tries again every minute, so put that right as account {wsl.account} and run again"
    )
