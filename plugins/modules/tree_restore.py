#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore a directory or a Podman volume from a backup set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_restore
short_description: Restore a directory or a Podman volume from a backup set
version_added: 1.0.0
description:
  - Restores one source of a set in steps, so that several sources can go together and all of them can be put back.
  - A run that was killed leaves a journal on the host. The next run that opens a set of any kind puts right what is not in use
    yet; a restored tree in use stays until O(state=staged) of that source undoes it first.
  - The run needs an open set of O(area=before-restore) (see M(flatnet.ops.backup_set)), which takes in what is replaced.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that restores.
    required: true
  area:
    description:
      - Where O(id) is; what a restore has replaced can itself be restored from V(before-restore).
  state:
    description:
      - V(staged) copies the source out of the set to a place beside its target, and verifies the copy, content and metadata.
      - V(swapped) stops the containers that use the target, swaps the trees by rename, and starts the containers again. On any
        failure the old tree is back in place and they run; if the module is killed, a guard on the host sees to that. Data of a
        container that no container uses is a warning. Where the run has come so far already, it makes sure that the containers
        still run.
      - V(confirmed) moves the old tree into the open set of what was replaced.
      - V(undone) puts the old tree back.
    type: str
    choices: [staged, swapped, confirmed, undone]
    required: true
  source:
    description:
      - The name of the source in the set.
    type: str
    required: true
  id:
    description:
      - The set, with O(state=staged).
    type: str
  path:
    description:
      - The directory to restore, with O(state=staged); created if it does not exist. Where neither O(path) nor O(volume) is given,
        the source goes to where it was saved from, if a container of this host mounts that.
    type: path
  volume:
    description:
      - The Podman volume to restore, with O(state=staged). It must exist, as it does once its container has been created.
    type: str
  container:
    description:
      - Says that O(path) is a directory of this container; its mounts tell where that lies on the host.
    type: str
  devices:
    description:
      - Restore device files as well, with O(state=staged). A set that holds some is refused otherwise.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says which set would replace what; reads only.
    support: full
  diff_mode:
    description: Shows files and bytes of the target before and after, with O(state=staged) and O(state=swapped).
    support: full
  idempotent:
    description: A state that the run has reached is not reached again.
    support: full
requirements:
  - rsync and, for volumes and containers, Podman 4 on the host
  - systemd on the host, for the guard
seealso:
  - module: flatnet.ops.tree_backup
  - module: flatnet.ops.backup_set
"""

EXAMPLES = r"""
- name: Open the set that takes in what is replaced
  flatnet.ops.backup_set:
    run: 20261124T031500Z-restore-77b2
    area: before-restore
    state: opened
    purpose: restore

- name: Stage a volume
  flatnet.ops.tree_restore:
    run: 20261124T031500Z-restore-77b2
    state: staged
    source: volumes/app_notes_data
    id: latest
    volume: app_notes_data

- name: Swap it in
  flatnet.ops.tree_restore:
    run: 20261124T031500Z-restore-77b2
    state: swapped
    source: volumes/app_notes_data

- name: Accept it
  flatnet.ops.tree_restore:
    run: 20261124T031500Z-restore-77b2
    state: confirmed
    source: volumes/app_notes_data

- name: Complete the set of what was replaced
  flatnet.ops.backup_set:
    run: 20261124T031500Z-restore-77b2
    area: before-restore
    state: committed
"""

RETURN = r"""
target:
  description: The directory that is restored.
  returned: success, if the run restores this source
  type: str
  sample: /var/lib/containers/storage/volumes/app_notes_data/_data
containers:
  description: The containers that were stopped and started again.
  returned: with O(state=swapped)
  type: list
  elements: str
  sample: [app-notes]
files:
  description: How many files were verified, with O(state=staged).
  returned: with O(state=staged)
  type: int
bytes:
  description: Their size.
  returned: with O(state=staged)
  type: int
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SetDamaged
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import STAGED, SWAPPED, Journal, Journals
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area, Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_restore import TreeRestore


class Restore:
    """One source, and the states that it can be brought to."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self._effects = Effects()
        self._podman = Podman()
        self._area = Area(Path(self._params["root"]), self._params["area"])
        self._lifecycle = Lifecycle(Area(self._area.root, "before-restore"), self._effects)
        self._restore = TreeRestore(
            self._effects,
            self._podman,
            Journals(self._effects),
            self._params["run"],
            self._params["source"],
            self._area.root,
        )

    def staged(self) -> Outcome:
        """Copy and verify, beside the target."""
        params = self._params
        name = self._area.find(params["id"])
        journal = self._restore.mine()
        if journal and journal.set_id == name and journal.phase in (STAGED, SWAPPED):
            return self._reached(journal)
        set_path = self._area.path(name)
        held = self._area.manifest(name).sources
        if params["source"] not in held:
            raise NoSuchSet(
                f"set {set_path} was expected to hold {params['source']}, and holds {', '.join(held)}: name one of these"
            )
        saved = held[params["source"]]
        size = {"files": saved.files, "bytes": saved.bytes}
        try:
            target = self._target(saved)
        except UsageError as error:
            if not self._module.check_mode:
                raise
            words = f"{params['source']} of set {name} would be restored once its place is there: {error}"
            return Outcome(True, words, status="warning", values=size)
        after = f"{saved.files} files, {saved.bytes} bytes, from {set_path}\n"
        diff = {"before": summary(target), "after": after} if self._module._diff else None
        if self._module.check_mode:
            words = f"{params['source']} of set {name} would replace {target}"
            return Outcome(True, words, values=size, diff=diff)
        with self._lifecycle.filling(params["run"]) as filling:
            done = self._restore.stage(self._area, name, target, filling, params["devices"])
        return Outcome(
            True,
            f"{params['source']} of set {name} is staged: {done.files:,} files, {done.bytes:,} bytes, all as they were saved",
            numbers={"files": done.files, "bytes": done.bytes, "verified": done.files},
            values={"files": done.files, "bytes": done.bytes, **described(self._restore.mine())},
            diff=diff,
        )

    def _target(self, source: Source) -> Path:
        """Where the task, or else the set, says that a source goes."""
        given = {name: self._params[name] for name in ("path", "volume", "container")}
        place = given if any(given.values()) else {**given, **source.place}
        target = self._restore.target(
            Path(place["path"]) if place["path"] else None, place["volume"], place["container"]
        )
        if not any(given.values()) and set(source.place) == {"path"}:
            self._restore.check_used(target)
        return target

    def swapped(self) -> Outcome:
        """Put the staged tree in place."""
        journal = self._restore.mine()
        if journal and journal.phase == SWAPPED:
            self._restore.check_users(journal)
            running = list(journal.containers)
            words = f"{', '.join(running) or 'no container'} runs on the restored {journal.source}"
            values = {**described(journal), "containers": running}
            return Outcome(False, words, evidence={"running": running}, values=values)
        if self._module.check_mode:
            return Outcome(True, f"{self._params['source']} would be swapped in")
        before = summary(Path(journal.target) if journal else None) if self._module._diff else ""
        with self._lifecycle.filling(self._params["run"]):
            journal = self._restore.swap()
        users = ", ".join(journal.containers) or "no container"
        unused = self._unused(journal)
        warning = "; no container of this host uses it: check that this is the right place" if unused else ""
        return Outcome(
            True,
            f"{self._params['source']} of set {journal.set_id} is in place at {journal.target}; {users} restarted; the tree"
            f" before it waits in {journal.old}{warning}",
            status="warning" if unused else "good",
            evidence={"containers": list(journal.containers)},
            values={**described(journal), "containers": list(journal.containers)},
            diff={"before": before, "after": summary(Path(journal.target))} if self._module._diff else None,
        )

    def confirmed(self) -> Outcome:
        """Keep what was replaced in its own set, and be done."""
        if self._module.check_mode:
            return Outcome(True, f"what {self._params['source']} was before would be kept in before-restore")
        with self._lifecycle.filling(self._params["run"]) as filling:
            if self._params["source"] in sets.load_sources(filling.path) and self._restore.mine() is None:
                return Outcome(False, f"{self._params['source']} is confirmed already")
            self._restore.confirm(filling)
            kept = f"set {filling.opening.id} of before-restore"
        return Outcome(True, f"{self._params['source']} is confirmed; what was there before is kept in {kept}")

    def undone(self) -> Outcome:
        """Put the old tree back."""
        journal = self._restore.mine()
        if journal is None:
            return Outcome(False, f"this run has restored nothing of {self._params['source']}")
        if self._module.check_mode:
            return Outcome(True, f"{journal.target} would be put back as it was", values=described(journal))
        with self._lifecycle.filling(self._params["run"]):
            self._restore.undo()
        words = f"{journal.target} is as it was before the restore"
        return Outcome(True, words, status="warning", values=described(journal))

    def _unused(self, journal: Journal) -> bool:
        source = Area(self._area.root, journal.area).manifest(journal.set_id).sources[journal.source]
        return bool({"volume", "container"} & set(source.place)) and not self._podman.using(Path(journal.target))

    def _reached(self, journal: Journal) -> Outcome:
        return Outcome(
            False, f"{journal.source} of set {journal.set_id} is {journal.phase} already", values=described(journal)
        )


def described(journal: Journal | None) -> dict[str, str]:
    """The part of the result that is the same in every state."""
    return {"target": journal.target} if journal else {}


def summary(target: Path | None) -> str:
    """A tree in one line, for diff mode."""
    if target is None or not target.is_dir():
        return "nothing\n"
    found = tree.count(target)
    return f"{found.files} files, {found.bytes} bytes\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "state": {"type": "str", "choices": ["staged", "swapped", "confirmed", "undone"], "required": True},
            "source": {"type": "str", "required": True},
            "id": {"type": "str"},
            "path": {"type": "path"},
            "volume": {"type": "str"},
            "container": {"type": "str"},
            "devices": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("path", "volume"), ("container", "volume")],
        required_by={"container": ["path"]},
        required_if=[("state", "staged", ["id"])],
        supports_check_mode=True,
    )
    restore = Restore(module)
    states = {
        "staged": restore.staged,
        "swapped": restore.swapped,
        "confirmed": restore.confirmed,
        "undone": restore.undone,
    }
    carry_out(module, module.params["source"], states[module.params["state"]])


if __name__ == "__main__":
    main()
