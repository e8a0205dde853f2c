# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore a tree from a set: staged beside, verified, swapped by rename, the old one kept until the probes have passed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady, RestorePending, SetDamaged, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman, quiesce_command, resume_command
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import (
    CONFIRMED,
    STAGED,
    STAGING,
    SWAPPED,
    SWAPPING,
    Journal,
    Journals,
)
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.undo import STATE

# Sources that no container writes to: nothing in them has to run as somebody else.
CONFIGURATION = (*sets.GENERATIONS, "stack", "containers")


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
        root: Path,
    ) -> None:
        """
        :param name: the source
        :param root: the backup directory, which nothing is restored over
        """
        self._root = root.resolve()
        self._effects = effects
        self._podman = podman
        self._journals = journals
        self._run = run
        self._name = name

    def mine(self) -> Journal | None:
        """How far this run has come with this source."""
        journal = self._journals.find(self._name)
        return journal if journal and journal.run == self._run else None

    def target(self, path: Path | None, volume: str | None, container: str | None) -> Path:
        """Where the source goes on this host.

        :param path: a directory of the host or, with a container, of that container
        :raises UsageError: there is no such place
        """
        if path is not None and (not path.is_absolute() or ".." in path.parts):
            raise UsageError(
                f"an absolute path was expected as the target of {self._name}, and it is '{path}': say where it goes with"
                " flatnet_restore_targets"
            )
        return self._checked(self._found(path, volume, container))

    def check_used(self, target: Path) -> None:
        """Refuse a directory of which only the set says that it is this source's.

        :raises UsageError: no container of this host mounts it
        """
        if not self._podman.using(target):
            raise UsageError(
                f"a container of this host was expected to mount {target}, where set and source {self._name} say that it was, and"
                " none does: make the container first, or say where it goes with flatnet_restore_targets"
            )

    def _checked(self, target: Path) -> Path:
        protected = [self._root, STATE]
        if any(own in (target, *target.parents) or target in own.parents for own in protected):
            raise UsageError(
                f"another directory than the backups' and our own was expected as the target of {self._name}, and it is {target}:"
                " say where it goes with flatnet_restore_targets"
            )
        if target.is_mount():
            raise UsageError(
                f"a directory that can be renamed was expected at {target}, the target of {self._name}, and it is a mount point:"
                " say another with flatnet_restore_targets, or unmount it"
            )
        return target

    def _found(self, path: Path | None, volume: str | None, container: str | None) -> Path:
        if volume is not None:
            found = self._podman.mountpoint(volume)
            if found is None:
                raise UsageError(
                    f"volume '{volume}' was expected on this host as the target of {self._name}, and is not there: create"
                    " its container first, or say which volume it is"
                )
            return found.resolve()
        if path is None:
            raise UsageError(f"a path or a volume was expected as the target of {self._name}, and neither was given")
        if container is None:
            return path.resolve()
        found = self._podman.container(container).host_path(path)
        if found is None:
            raise UsageError(
                f"a mount of container {container} was expected to cover {path}, the target of {self._name}, and none does:"
                " say container and path as they are"
            )
        return found.resolve()

    def stage(self, area: Area, set_id: str, target: Path, filling: Filling, devices: bool = False) -> Staged:
        """Copy the source out of the set, beside its target, and verify the copy by the set's listing.

        What a dead run left of this source is put right first. What it had restored may have been written to since: it is
        kept beside the source, as one of kind ``interrupted``.

        :param filling: the set that will take in what is replaced
        :param devices: device files are restored as well
        :raises SetDamaged: the copy is not what the listing says, or holds what no such source has
        :raises DiskFull: there is no room for the copy, or for what is replaced
        """
        left = self._journals.find(self._name)
        if left is not None:
            interrupted = f"interrupted/{self._name.replace('/', '.')}"
            self._journals.settle(left, lambda tree_in_use: self._keep(interrupted, tree_in_use, left, filling))
        set_path = area.path(set_id)
        listing = sets.load_listing(set_path, self._name)
        if not sets.holds(set_path, self._name):
            raise SetDamaged(
                f"{set_path / self._name} was expected to hold the files of {self._name}, and is not there: use another set"
            )
        self._check_harmless(listing, devices)
        made = not target.is_dir()
        for directory in (*reversed(target.parents), target):
            self._effects.make_directory(directory, 0o755)
        origin = area.manifest(set_id).sources[self._name].place
        journal = Journal(
            self._run, str(area.root), self._name, area.name, set_id, str(target), STAGING, place=origin, made=made
        )
        if journal.old.exists():
            raise UsageError(
                f"nothing was expected at {journal.old}, where the data before a restore waits, and there is something that no"
                " restore of ours accounts for: move it away, and run again; nothing on this host was changed"
            )
        replaced, place = tree.scan(target), filling.place(self._name)
        # To load what could be linked to takes time, and is needed only where room is short.
        if not TreeCopy(self._effects, target, place).has_room(replaced):
            TreeCopy(self._effects, target, place, filling.previous(self._name)).check_room(replaced)
        if journal.beside.exists():
            self._effects.remove_tree(journal.beside)
        self._journals.write(journal)
        copied = TreeCopy(self._effects, set_path / self._name, journal.beside).take_resting(read_back=True)
        wrong = list(tree.compare(listing, copied.listing))
        if wrong:
            self._effects.remove_tree(journal.beside)
            self._journals.forget(journal)
            raise SetDamaged(
                f"{self._name} of set {set_id} was expected to be as it was saved, and {tree.shown(wrong[0][0])} {wrong[0][1]}"
                f" ({len(wrong)} such names): use another set; nothing on this host was changed"
            )
        self._journals.write(replace(journal, phase=STAGED))
        totals = tree.totals(listing)
        return Staged(totals.files, totals.bytes)

    def _check_harmless(self, listing: Mapping[str, tree.Item], devices: bool) -> None:
        """Refuse what gives away the host to whoever has written the set."""
        for item in listing.values():
            device = item.type.endswith("-device") and not devices
            privileged = item.type == "file" and item.mode & 0o6000 and self._name.partition("/")[0] in CONFIGURATION
            if device or privileged:
                what = f"a {item.type.replace('-', ' ')}" if device else "a set-user-ID or set-group-ID program"
                raise SetDamaged(
                    f"{self._name} was expected to hold files that may be restored unseen, and {tree.shown(item.path)} is {what}:"
                    " find out who put it there"
                    + (
                        ", or restore it all the same with flatnet_restore_devices=true"
                        if device
                        else ", and use another set"
                    )
                )

    def swap(self) -> Journal:
        """Stop the containers that use the target, swap the trees, start them again.

        :raises UsageError: nothing is staged
        """
        journal = self._phase(STAGED, SWAPPED)
        if journal.phase == SWAPPED:
            return journal
        target = Path(journal.target)
        using = self._podman.using(target)
        frozen = [container.name for container in using if not (container.running or container.at_rest)]
        if frozen:
            raise UsageError(
                f"every container that uses {target} was expected to run or to be stopped, and {', '.join(frozen)} is neither:"
                " unpause or stop it, and run again"
            )
        users = tuple(container.name for container in using if container.running)
        journal = self._journals.write(replace(journal, phase=SWAPPING, containers=users))
        with self._journals.guarded() as guard:
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
            self._keep(self._name, journal.old, journal, filling)
            journal = self._journals.write(replace(journal, phase=CONFIRMED))
        self._journals.discard_old(journal)

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
        self._journals.put_back(journal)
        return True

    def check_users(self, journal: Journal) -> None:
        """Make sure that the containers still run that the swap has started again.

        :raises NotReady: one does not
        """
        statuses = self._podman.statuses(list(journal.containers)) if journal.containers else {}
        ended = sorted(name for name, status in statuses.items() if status != "running")
        if ended:
            raise NotReady(
                f"{', '.join(ended)} was expected to run on the restored {self._name}, as before, and does not: read 'podman"
                f" logs --tail 50 {ended[0]}' on this host"
            )

    def _keep(self, name: str, kept: Path, journal: Journal, filling: Filling) -> None:
        began = time.monotonic()
        place, previous = filling.place(name), filling.previous(name)
        copied = TreeCopy(self._effects, kept, place, previous).take_resting()
        totals = tree.totals(copied.listing)
        source = Source(
            name=name,
            kind="directory",
            origin=tree.shown(journal.target),
            consistency="stopped",
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=copied.linked_files,
            linked_bytes=copied.linked_bytes,
            seconds=time.monotonic() - began,
            containers=journal.containers,
            facts={"replaced_by": f"{journal.area}/{journal.set_id}"},
            place=journal.place or {"path": journal.target},
        )
        filling.add(source, copied.listing)
        self._effects.sync_filesystem(filling.path)

    def _phase(self, *wanted: str) -> Journal:
        journal = self.mine()
        if journal is None or journal.phase not in wanted:
            there = f"it is {journal.phase}" if journal else "nothing is"
            raise UsageError(
                f"{self._name} was expected to be {wanted[0]} by run {self._run}, and {there}: the order is state=staged,"
                " swapped, then confirmed or undone"
            )
        return journal
