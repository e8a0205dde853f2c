# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try on a Windows host what no other one can show, and keep what has come out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, ClassVar

from ansible import __version__ as ansible_version
from ansible_collections.flatnet.ops.plugins.action.gateway_tasks import look_at_wsl
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.module_utils.version import VERSION
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_firewall, gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import (
    FAILED,
    FORMAT,
    NOT_TRIED,
    VERIFIED,
    CannotTell,
    Connection,
    Host,
    Look,
    Result,
    Tried,
    judge,
    look_of,
    named,
    sentence,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import (
    CHECKS,
    MOST_SECONDS_AWAY,
    TEXT,
    booted,
    came_back,
    versions,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import RUNNING, Gateway
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import WSL_TASK
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.directory import dump, write
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError, WindowsUnreachable

# How long Windows waits before it restarts, so that the answer leaves; and how long it may take to be back.
RESTART_SECONDS, BOOT_SECONDS = 5, 900
# After a boot the scheduler may take its time.
START_SECONDS = 300
ASK_AGAIN = 3
NOT_KEPT = "the gateway does not run, or its task is not there to start it again: run flatnet.ops.start first"
CHECK_MODE, NOT_ASKED = "check mode changes nothing", "run again with flatnet_acceptance_reboot=true"


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "acceptance"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "account": {"type": "str", "required": True},
        "distribution": {"type": "str", "default": ""},
        "path": {"type": "path", "required": True},
        "reboot": {"type": "bool", "default": False},
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Look and try, say what has come out, and write it down."""
        account, distribution = options["account"], options["distribution"]
        gateway = site.look(name_owners=True)
        reload = self._reload(site, gateway)
        look = self._look(site, gateway, account, distribution)
        wsl = look_at_wsl(site, account) if distribution else None
        down = [Tried(None, CHECK_MODE if self._task.check_mode else NOT_ASKED)] * 4
        if options["reboot"] and not self._task.check_mode:
            rolled_out = self._rollout(site, gateway)
            down = [rolled_out, *self._boot(site, look, account, distribution), self._back(site)]
        rollout, boot, wsl_boot, back = down
        host = Host(
            installation=site.installation,
            account=account,
            distribution=distribution,
            wsl=wsl,
            connection=self._connected(),
            gateway=gateway,
            look=look,
            reload=reload,
            rollout=rollout,
            boot=boot,
            wsl_boot=wsl_boot,
            back=back,
        )
        verdicts = judge(CHECKS, host)
        result = Result(
            format=FORMAT,
            host=self._variables["inventory_hostname"],
            date=f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
            run=options["run"],
            versions={**versions(host), "ansible": ansible_version, "flatnet.ops": VERSION},
            checks=verdicts,
        )
        path = None if self._task.check_mode else str(self._write(result, Path(options["path"])))
        said = [{"id": each.id, "verdict": each.verdict, "found": each.found} for each in verdicts]
        counts = {verdict: len(named(verdicts, verdict)) for verdict in (VERIFIED, FAILED, NOT_TRIED)}
        return Outcome(
            any(tried.good is not None for tried in (reload, *down)),
            sentence(verdicts) + (f"; the evidence is in {path}" if path else ""),
            status="failed" if counts[FAILED] else "warning" if counts[NOT_TRIED] else "good",
            numbers={f"checks_{verdict}": count for verdict, count in counts.items()},
            evidence={"checks": said},
            values={"checks": said, "path": path},
        )

    def _look(self, site: Site, gateway: Gateway, account: str, distribution: str) -> Look:
        installation = site.installation
        asked = time.time()
        answer = site.windows.run(
            "acceptance_look",
            Program=gateway.program,
            Account=account,
            Tasks=[task.name for task in installation.tasks(distribution)],
            Closed=[installation.state_directory, installation.transactions, *installation.files(distribution)],
            Keeper=installation.keeper,
            Rule=gateway_firewall.NAME,
            Text=TEXT,
        )
        return look_of(answer, asked, time.time())

    def _reload(self, site: Site, gateway: Gateway) -> Tried:
        """Reload what is in effect already: nothing else may be put into effect by the way."""
        if self._task.check_mode:
            return Tried(None, CHECK_MODE)
        return self._carried_out(site, gateway, lambda: gateway_transaction.reload(site.gateway, gateway.digest))

    def _rollout(self, site: Site, gateway: Gateway) -> Tried:
        """Roll out a copy of what is in effect already."""

        def staged() -> Plan:
            transaction = gateway_transaction.new_id("rollout")
            site.windows.run(
                "stage",
                Prefix=site.installation.prefix,
                Staged=gateway_transaction.staged_tree(site.gateway, transaction),
                Transactions=site.installation.transactions,
                Contents={},
                Removed=[],
                Identity="",
                Program="",
            )
            return gateway_transaction.rollout(site.gateway, transaction, gateway.digest, live=gateway.digest)

        return self._carried_out(site, gateway, staged)

    def _carried_out(self, site: Site, gateway: Gateway, planned: Callable[[], Plan]) -> Tried:
        """What comes of a transaction that leaves everything as it is."""
        if gateway.state != RUNNING:
            return Tried(None, gateway.sentence)
        if gateway.identity is None or gateway.identity.generation != gateway.digest:
            return Tried(
                None,
                "a configuration that is not in effect lies there: put it into effect with flatnet.ops.reload first",
            )
        try:
            done = site.changed_by(planned())
        except WindowsUnreachable:
            raise
        except WindowsError as error:
            return Tried(False, str(error))
        return Tried(True, done.message, done.evidence)

    def _boot(self, site: Site, before: Look, account: str, distribution: str) -> tuple[Tried, Tried]:
        """Restart Windows; what becomes of the gateway, and of WSL2."""
        if not comes_back(site.look()):
            return (Tried(None, NOT_KEPT),) * 2
        try:
            was = before.fact("booted")
        except CannotTell as why:
            return (Tried(None, str(why)),) * 2
        try:
            # It may go before its answer comes.
            with suppress(WindowsUnreachable):
                site.windows.run("reboot", Seconds=RESTART_SECONDS)
        except WindowsError as error:
            return (Tried(None, str(error)),) * 2
        after = self._until(lambda: self._look_after(site, was, account, distribution), BOOT_SECONDS)
        if after is None:
            return (Tried(False, f"the host was told to restart, and had not after {BOOT_SECONDS} s"),) * 2
        gateway = self._until_running(site, START_SECONDS)
        kept = Tried(None, NOT_ASKED)
        try:
            if distribution:
                wsl = look_at_wsl(site, account)
                if wsl.enabled:
                    wsl = look_at_wsl(site, account, START_SECONDS, wsl.log)
                kept = booted(
                    before,
                    after,
                    wsl.keeps(distribution),
                    f"{WSL_TASK} {'keeps' if wsl.keeps(distribution) else 'does not keep'} {distribution}",
                )
            return booted(before, after, gateway.state == RUNNING, gateway.sentence), kept
        except CannotTell as why:
            return (Tried(None, str(why)),) * 2

    def _look_after(self, site: Site, was: str, account: str, distribution: str) -> Look | None:
        """What the host shows when it has booted since."""
        look = self._look(site, site.look(), account, distribution)
        return None if look.facts["booted"]["value"] in (None, was) else look

    def _back(self, site: Site) -> Tried:
        gateway = site.look()
        if not comes_back(gateway):
            return Tried(None, NOT_KEPT)
        site.windows.run("end_gateway", Program=gateway.program)
        began = time.monotonic()
        gateway = self._until_running(site, MOST_SECONDS_AWAY)
        return came_back(time.monotonic() - began, gateway)

    def _until_running(self, site: Site, seconds: float) -> Gateway:
        """The gateway as soon as it runs, or as it is when nobody waits any longer."""

        def running() -> Gateway | None:
            gateway = site.look()
            return gateway if gateway.state == RUNNING and gateway.identity else None

        return self._until(running, seconds) or site.look()

    def _until(self, look: Callable[[], Any], seconds: float) -> Any:
        """What a look gives when it gives something; a host that is away, or only half there, is asked again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except WindowsError:
                found = None
            if found is not None or time.monotonic() >= deadline:
                return found
            time.sleep(ASK_AGAIN)

    def _connected(self) -> Connection:
        """How this run reaches the host."""
        plugin = self._connection
        psrp = plugin.transport == "psrp"
        if not psrp and plugin.transport != "winrm":
            return Connection(plugin.transport, plugin.transport, validated=False, login="another way")
        # What validates a certificate is said to the library of winrm by a variable alone.
        checked = (
            plugin.get_option("cert_validation")
            if psrp
            else self._variables.get("ansible_winrm_server_cert_validation", "validate")
        )
        login = plugin.get_option("auth") if psrp else ", ".join(plugin.get_option("transport") or ["ssl"])
        scheme = plugin.get_option("protocol" if psrp else "scheme")
        return Connection(
            plugin=plugin.transport,
            scheme=scheme or ("http" if plugin.get_option("port") == 5985 else "https"),
            validated=str(checked).lower() not in ("ignore", "false", "no"),
            login=login,
        )

    def _write(self, result: Result, path: Path) -> Path:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, dump(result.dump()))
        except OSError as error:
            raise WindowsError(
                f"the result was expected to be written to {path} on the controller, and that refused: {error}; name another"
                " file with flatnet_acceptance_file, and run again"
            ) from error
        return path


def comes_back(gateway: Gateway) -> bool:
    """A gateway that may be ended: one that is kept."""
    return gateway.state == RUNNING and gateway.kept
