# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore a tree from a set: staged beside, verified, swapped by rename, the old one kept until the probes have passed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import RestorePending, SetDamaged, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman, quiesce_command, resume_command
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY, guarded, only_if_status, quote

JOURNALS = Path("/var/lib/flatnet-ops/restores")
STAGED, SWAPPING, SWAPPED, CONFIRMED = "staged", "swapping", "swapped", "confirmed"
# Stopping and starting the containers of one volume; a database may take its time.
SWAP_SECONDS = 600


@dataclass(frozen=True)
class Journal:
    """How far the restore of one source has come."""

    run: str
    source: str
    area: str
    set_id: str
    target: str
    phase: str
    containers: tuple[str, ...] = ()

    @property
    def beside(self) -> Path:
        """Where the restored tree is staged."""
        return Path(f"{self.target}.flatnet-staged")

    @property
    def old(self) -> Path:
        """Where the replaced tree waits."""
        return Path(f"{self.target}.flatnet-old")

    def undo(self) -> list[str]:
        """Shell commands that put the old tree back and start what was stopped, from whatever point was reached."""
        target, beside, old = (quote([str(path)]) for path in (self.target, self.beside, self.old))
        stop = [only_if_status(name, ("running",), ["podman", "stop", name]) for name in self.containers]
        start = [
            only_if_status(name, ("exited", "stopped", "created"), resume_command("stopped", [name]))
            for name in self.containers
        ]
        back = [f"if [ -e {target} ]; then mv -T {target} {beside}; fi", f"mv -T {old} {target}"]
        return [f"if [ -e {old} ]; then", *stop, *back, "fi", *start]


class Journals:
    """The restores of this host that are not finished."""

    def __init__(self, effects: Effects, directory: Path = JOURNALS) -> None:
        self._effects = effects
        self._directory = directory

    def all(self) -> list[Journal]:
        """Every unfinished restore."""
        if not self._directory.is_dir():
            return []
        return [_journal(path.read_bytes()) for path in sorted(self._directory.rglob("*.json"))]

    def find(self, source: str) -> Journal | None:
        """The unfinished restore of one source."""
        path = self._path(source)
        return _journal(path.read_bytes()) if path.exists() else None

    def write(self, journal: Journal) -> Journal:
        """Remember how far a restore has come, durably."""
        path = self._path(journal.source)
        for parent in reversed(path.parents):
            self._effects.make_directory(parent, 0o700)
        self._effects.write(path, json.dumps(asdict(journal), indent=1, sort_keys=True).encode("ascii") + b"\n", 0o600)
        return journal

    def forget(self, journal: Journal) -> None:
        """A restore is finished, or wholly undone."""
        self._effects.unlink(self._path(journal.source))

    def refusal(self) -> str | None:
        """Why no backup may be taken now; None if one may."""
        for journal in self.all():
            if journal.phase in (SWAPPING, SWAPPED):
                return (
                    f"no restore was expected to be under way, and the one of {journal.source} from set {journal.set_id} (run"
                    f" {journal.run}) was neither confirmed nor undone; the data before it is in {journal.old}: run playbook"
                    " flatnet.ops.restore again, which undoes it first"
                )
        return None

    def _path(self, source: str) -> Path:
        return self._directory / f"{sets.check_source_name(source)}.json"


@dataclass(frozen=True)
class Staged:
    """A verified copy, ready to be swapped in; sizes in bytes."""

    files: int
    bytes: int


class TreeRestore:
    """Restores one source of one set onto this host."""

    def __init__(
        self,
        effects: Effects,
        podman: Podman,
        journals: Journals,
        run: str,
        name: str,
        undo_directory: Path = UNDO_DIRECTORY,
    ) -> None:
        self._effects = effects
        self._podman = podman
        self._journals = journals
        self._run = run
        self._name = name
        self._undo_directory = undo_directory

    def mine(self) -> Journal | None:
        """How far this run has come with this source."""
        journal = self._journals.find(self._name)
        return journal if journal and journal.run == self._run else None

    def stage(self, area: Area, set_id: str, path: Path | None, volume: str | None) -> Staged:
        """Copy the source out of the set, beside its target, and verify the copy by the set's listing.

        What a dead run left of this source is put right first.

        :raises SetDamaged: the copy is not what the listing says
        """
        self._settle()
        set_path = area.path(set_id)
        listing = sets.load_listing(set_path, self._name)
        target = self._target(path, volume)
        journal = Journal(self._run, self._name, area.name, set_id, str(target), STAGED)
        if journal.beside.exists():
            self._effects.remove_tree(journal.beside)
        self._journals.write(journal)
        TreeCopy(self._effects, set_path / self._name, journal.beside).take_resting()
        wrong = list(tree.compare(listing, tree.list_tree(journal.beside, {})))
        if wrong:
            self._effects.remove_tree(journal.beside)
            self._journals.forget(journal)
            raise SetDamaged(
                f"{self._name} of set {set_id} was expected to be as it was saved, and {wrong[0][0]} {wrong[0][1]}"
                f" ({len(wrong)} such names): use another set; nothing on this host was changed"
            )
        totals = tree.totals(listing)
        return Staged(totals.files, totals.bytes)

    def swap(self) -> Journal:
        """Stop the containers that use the target, swap the trees, start them again.

        :raises UsageError: nothing is staged
        """
        journal = self._phase(STAGED, SWAPPED)
        if journal.phase == SWAPPED:
            return journal
        target = Path(journal.target)
        users = tuple(container.name for container in self._podman.using(target) if container.running)
        journal = self._journals.write(replace(journal, phase=SWAPPING, containers=users))
        with guarded(self._effects, "restore", SWAP_SECONDS, self._undo_directory) as guard:
            guard.promise(journal.undo())
            if users:
                guard.run(quiesce_command("stopped", list(users)))
            self._effects.sync_filesystem(journal.beside)
            self._effects.rename(target, journal.old)
            self._effects.rename(journal.beside, target)
            self._effects.sync_directory(target.parent)
            if users:
                guard.run(resume_command("stopped", list(users)))
            journal = self._journals.write(replace(journal, phase=SWAPPED))
            guard.keep()
        return journal

    def confirm(self, filling: Filling) -> None:
        """Accept the restored tree: the old one is kept in the before-restore set, and only then let go.

        :raises UsageError: nothing is swapped
        """
        journal = self._phase(SWAPPED, CONFIRMED)
        if journal.phase == SWAPPED:
            self._keep_old(journal, filling)
            journal = self._journals.write(replace(journal, phase=CONFIRMED))
        self._discard_old(journal)

    def undo(self) -> bool:
        """Put the old tree back.

        :return: something was changed
        """
        journal = self.mine()
        if journal is None:
            return False
        if journal.phase == CONFIRMED:
            raise RestorePending(
                f"the restore of {self._name} was expected to be unconfirmed, and is confirmed: the data before it is in"
                " before-restore; restore it from there"
            )
        self._undo(journal)
        return True

    def _undo(self, journal: Journal) -> None:
        if journal.phase != STAGED:
            with guarded(self._effects, "restore", SWAP_SECONDS, self._undo_directory) as guard:
                guard.promise(journal.undo())
            self._effects.sync_directory(Path(journal.target).parent)
        if journal.beside.exists():
            self._effects.remove_tree(journal.beside)
        self._journals.forget(journal)

    def _settle(self) -> None:
        journal = self._journals.find(self._name)
        if journal is None:
            return
        if journal.phase == CONFIRMED:
            self._discard_old(journal)
        else:
            self._undo(journal)

    def _keep_old(self, journal: Journal, filling: Filling) -> None:
        began = time.monotonic()
        place, previous = filling.place(self._name), filling.previous(self._name)
        copied = TreeCopy(self._effects, journal.old, place, previous).take_resting()
        totals = tree.totals(copied.listing)
        source = Source(
            name=self._name,
            kind="directory",
            origin=journal.target,
            consistency="stopped",
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=copied.linked_files,
            linked_bytes=copied.linked_bytes,
            seconds=time.monotonic() - began,
            containers=journal.containers,
            facts={"replaced_by": f"{journal.area}/{journal.set_id}"},
        )
        filling.add(source, copied.listing)
        self._effects.sync_filesystem(filling.path)

    def _discard_old(self, journal: Journal) -> None:
        if journal.old.exists():
            self._effects.remove_tree(journal.old)
        self._journals.forget(journal)

    def _phase(self, *wanted: str) -> Journal:
        journal = self.mine()
        if journal is None or journal.phase not in wanted:
            there = f"it is {journal.phase}" if journal else "nothing is"
            raise UsageError(
                f"{self._name} was expected to be {wanted[0]} by run {self._run}, and {there}: the order is state=staged,"
                " swapped, then confirmed or undone"
            )
        return journal

    def _target(self, path: Path | None, volume: str | None) -> Path:
        if volume is None:
            if path is None:
                raise UsageError(
                    f"a path or a volume was expected as the target of {self._name}, and neither was given"
                )
            self._effects.make_directory(path, 0o755)
            return path
        found = self._podman.mountpoint(volume)
        if found is None:
            self._podman.create_volume(volume)
            found = self._podman.mountpoint(volume)
        if found is None:
            raise UsageError(f"volume '{volume}' was expected after 'podman volume create', and is not there")
        return found


def _journal(content: bytes) -> Journal:
    stored: dict[str, Any] = json.loads(content)
    return Journal(**{**stored, "containers": tuple(stored["containers"])})
