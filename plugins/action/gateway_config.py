# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roll out a configuration of a gateway on Windows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ansible.plugins.loader import lookup_loader
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import HandedTree
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import PROBES, UNCHANGED, GatewayAction, Site
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import RUNNING, Gateway
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Probe
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tree import (
    OURS,
    Change,
    TreeRefused,
    change,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.windows import WindowsError

TEMPLATE = ".j2"


class ConfigurationRefused(WindowsError):
    """The tree cannot be the gateway's configuration, or its program does not take it."""


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "configuration"
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "src": {"type": "path"},
        "tree": {"type": "str", "no_log": True},
        "purge": {"type": "bool", "default": False},
        "probes": PROBES,
    }
    rules: ClassVar[Mapping[str, Any]] = {
        "mutually_exclusive": [("src", "tree")],
        "required_one_of": [("src", "tree")],
    }

    def act(self, site: Site, options: Mapping[str, Any]) -> Outcome:
        """Compare, and where something differs, have the host try it, swap it in, and prove it."""
        gateway, settled = site.settled(check=self._task.check_mode)
        try:
            tree = handed(options["tree"]) if options["tree"] is not None else self._tree(Path(options["src"]))
            wanted = change(tree, gateway.configuration, options["purge"], exact=options["tree"] is not None)
        except (TreeRefused, UsageError) as error:
            # Ansible prints the cause of an error too, and the sentence would be read twice.
            raise ConfigurationRefused(f"{error}; nothing was changed") from None
        files = {"added": wanted.added, "replaced": wanted.changed, "removed": wanted.removed}
        probes = [Probe(**probe) for probe in options["probes"]]
        if wanted.anything:
            outcome = self._rolled_out(site, gateway, wanted, probes)
        else:
            outcome = self._in_effect(site, gateway, wanted, probes)
        return replace(
            outcome,
            changed=outcome.changed or bool(settled),
            message=settled + outcome.message,
            values={**outcome.values, **files},
        )

    def _rolled_out(self, site: Site, gateway: Gateway, wanted: Change, probes: list[Probe]) -> Outcome:
        transaction = gateway_transaction.new_id("rollout")
        before = self._stage(site, transaction, wanted)
        diff = list(differences(before, wanted)) if self._task.diff else None
        if self._task.check_mode:
            return Outcome(True, f"would be rolled out: {wanted.sentence}", values=UNCHANGED, diff=diff)
        plan = gateway_transaction.rollout(site.gateway, transaction, wanted.generation, probes, live=gateway.digest)
        return replace(site.changed_by(plan, f"{wanted.sentence}; "), diff=diff)

    def _in_effect(self, site: Site, gateway: Gateway, wanted: Change, probes: list[Probe]) -> Outcome:
        """The files are as they should be; whether the gateway runs with them is another matter."""
        answers = gateway.identity.generation if gateway.identity else None
        if gateway.state != RUNNING or answers == wanted.generation:
            return Outcome(False, f"nothing to roll out; {gateway.sentence}", values=UNCHANGED)
        if self._task.check_mode:
            return Outcome(True, "the files lie there already, and would be put into effect", values=UNCHANGED)
        return site.changed_by(gateway_transaction.reload(site.gateway, wanted.generation, probes))

    def _stage(self, site: Site, transaction: str, wanted: Change) -> Mapping[str, bytes]:
        """Put the tree beside the live one; in check mode only for the gateway's program to try it. What the files were."""
        only_tried = self._task.check_mode
        answer = site.windows.run(
            "stage",
            Prefix=site.installation.prefix,
            Staged=gateway_transaction.staged_tree(site.gateway, transaction),
            Transactions=site.installation.transactions,
            Contents={path: base64.b64encode(content).decode() for path, content in wanted.contents.items()},
            Removed=list(wanted.removed),
            Identity=gateway_transaction.identity(wanted.generation).text if only_tried else "",
            Program=site.installation.program if only_tried else "",
        )
        tested = answer["tested"]
        if tested and tested["code"] != 0:
            raise ConfigurationRefused(
                f"nginx was expected to accept the configuration, and said '{complaint(tested['said'])}': correct it; nothing was"
                " changed"
            )
        return {path: base64.b64decode(content) for path, content in answer["before"].items()}

    def _tree(self, src: Path) -> dict[str, bytes]:
        """The files of a folder; templates as they come out for this host, without their ending."""
        if not src.is_dir():
            src = Path(self._find_needle("files", str(src)))
        tree: dict[str, bytes] = {}
        for path in sorted(path for path in src.rglob("*") if path.is_file()):
            name = path.relative_to(src).as_posix()
            content = self._rendered(path) if name.endswith(TEMPLATE) else path.read_bytes()
            if tree.setdefault(name.removesuffix(TEMPLATE), content) is not content:
                raise TreeRefused(
                    f"{path} and the file without {TEMPLATE} are one file on the gateway: remove one of them"
                )
        return tree

    def _rendered(self, path: Path) -> bytes:
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        (text,) = lookup.run([str(path)], variables=self._variables)
        return str(text).encode("utf-8")


def handed(text: str) -> dict[str, bytes]:
    """The files of a tree that another task has read, but for our own."""
    files = HandedTree.unpack(text).files
    return {file.path: file.content for file in files if file.path.partition("/")[0].casefold() != OURS}


def complaint(said: str) -> str:
    """The line of nginx's test that says what is wrong."""
    return next((line for line in said.splitlines() if "[emerg]" in line), said)


def differences(before: Mapping[str, bytes], wanted: Change) -> Iterator[dict[str, str]]:
    """What ``--diff`` shows."""
    for path in (*wanted.added, *wanted.changed, *wanted.removed):
        was, becomes = before.get(path), wanted.contents.get(path)
        yield {
            "before_header": path if was is not None else f"{path} (is not there)",
            "after_header": path if becomes is not None else f"{path} (goes)",
            "before": (was or b"").decode("utf-8", "replace"),
            "after": (becomes or b"").decode("utf-8", "replace"),
        }
