# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring a tree: staged, swapped, confirmed or undone, and from every point there is a way back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree, tree_copy
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CommandFailed,
    DiskFull,
    NotReady,
    RestorePending,
    SetDamaged,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
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
from ansible_collections.flatnet.ops.plugins.module_utils.tree_restore import Staged, TreeRestore

from tests.unit.plugins.module_utils.conftest import (
    NOTES,
    OTHER_RUN,
    RUN,
    AddProgram,
    Backups,
    PodmanHost,
    Stopped,
    expect_no_guard,
    files,
    grow,
    in_secret,
    rewrite,
    stop_at,
)

pytestmark = pytest.mark.unit

SAVED = {"journal": b"as it was saved", "deep/er": b"file"}
PRESENT = {"journal": b"as it is", "newer": b"file"}


@dataclass
class Site:
    """A host with a set, and with newer data where the set's source came from."""

    backups: Backups
    podman_host: PodmanHost
    set_id: str
    target: Path

    @property
    def journals(self) -> Journals:
        """What is not finished here."""
        return self.backups.journals()

    def restore(self, run: str = RUN, effects: Effects | None = None) -> TreeRestore:
        """The restore of one run."""
        effects = effects or Effects()
        return TreeRestore(effects, Podman(), self.backups.journals(effects), run, NOTES, self.backups.root)

    def stage(self, run: str = RUN, effects: Effects | None = None) -> Staged:
        """Stage the set's source beside the target; the set of what is replaced is open, whichever run asks."""
        with self.filling() as filling:
            return self.restore(run, effects).stage(self.backups.area(), self.set_id, self.target, filling)

    def filling(self) -> AbstractContextManager[Filling]:
        """The set that takes in what is replaced."""
        return self.backups.lifecycle("before-restore").filling(RUN)

    def swapped(self) -> None:
        """Stage and swap."""
        self.stage()
        self.restore().swap()

    def confirm(self, effects: Effects | None = None) -> None:
        """Accept what was swapped in."""
        with self.filling() as filling:
            self.restore(effects=effects).confirm(filling)

    def phase(self) -> str | None:
        """How far the restore has come."""
        journal = self.journals.find(NOTES)
        return journal.phase if journal else None


@pytest.fixture
def site(backups: Backups, podman_host: PodmanHost) -> Site:
    """The target's name is one that a shell would trip over; a container runs on it, another one does not."""
    backups.open()
    backups.save(NOTES, SAVED)
    made = Site(backups, podman_host, backups.commit().id, grow(backups.base / "a 'target'\n$x", PRESENT))
    backups.now += 3600
    backups.open(RUN, "before-restore")
    podman_host.add("writer", notes=(made.target, "/srv"))
    podman_host.add("idle", "exited", notes=(made.target, "/srv"))
    podman_host.add("other", other=(backups.base / "elsewhere", "/srv"))
    return made


def beside(site: Site) -> dict[str, dict[str, bytes] | None]:
    """What lies beside the target: staged, or waiting."""
    return {
        path.name.removeprefix(f"{site.target.name}."): files(path) for path in site.target.parent.glob("*.flatnet-*")
    }


def test_a_staged_tree_changes_nothing(site: Site) -> None:
    assert site.stage() == Staged(files=2, bytes=19)

    assert beside(site) == {"flatnet-staged": SAVED}
    assert files(site.target) == PRESENT
    assert (site.podman_host.calls(), site.journals.refusal()) == ([], None)
    mine = Journal(RUN, str(site.backups.root), NOTES, "sets", site.set_id, str(site.target), STAGED)
    assert site.journals.all() == [mine]
    assert (site.restore().mine(), site.restore(OTHER_RUN).mine()) == (mine, None)


def test_staging_again_begins_afresh(site: Site) -> None:
    site.stage()
    grow(Path(f"{site.target}.flatnet-staged"), {"stray": b"1"})
    site.stage()

    assert beside(site) == {"flatnet-staged": SAVED}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda data: rewrite(data / "journal"),
            r"and journal has sha256 .* \(1 such names\): use another set; nothing",
        ),
        (lambda data: (data / "journal").unlink(), "and journal is missing"),
        (lambda data: grow(data, {"stray": b"1"}), "and stray does not belong there"),
        (lambda data: (data / "deep").chmod(0o777), "and deep has mode 0o777"),
    ],
)
def test_a_damaged_set_is_not_staged(site: Site, damage: Callable[[Path], object], words: str) -> None:
    in_secret(site.backups.area().path(site.set_id) / NOTES, damage)

    with pytest.raises(SetDamaged, match=words):
        site.stage()
    assert (beside(site), site.phase(), files(site.target)) == ({}, None, PRESENT)


def test_a_set_without_the_source_is_named(site: Site) -> None:
    sets.listing_path(site.backups.area().path(site.set_id), NOTES).unlink()

    with pytest.raises(SetDamaged, match="was expected to be the listing of volumes/notes"):
        site.stage()
    assert site.phase() is None


def test_a_set_without_the_files_is_named(site: Site) -> None:
    data = site.backups.area().path(site.set_id) / NOTES
    data.rename(data.with_name("lost"))

    with pytest.raises(SetDamaged, match=f"{data} was expected to hold the files of {NOTES}, and is not there"):
        site.stage()
    assert (site.phase(), beside(site)) == (None, {})


@pytest.mark.parametrize("content", [{}, {"journal": b"of somebody"}])
def test_what_no_restore_accounts_for_is_left_alone(site: Site, content: dict[str, bytes]) -> None:
    grow(Path(f"{site.target}.flatnet-old"), content)

    with pytest.raises(UsageError, match=r"flatnet-old, where the data before a restore waits, .* move it away"):
        site.stage()
    assert (site.phase(), beside(site), files(site.target)) == (None, {"flatnet-old": content}, PRESENT)


def test_without_room_for_what_is_replaced_nothing_is_staged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # More than any disk has free.
    monkeypatch.setattr(tree_copy, "MARGIN", 1 << 60)

    with pytest.raises(DiskFull, match=f"the copy of {re.escape(str(site.target))} needs"):
        site.stage()
    assert (site.phase(), beside(site), files(site.target)) == (None, {}, PRESENT)


@pytest.mark.parametrize(
    ("path", "volume", "container", "words"),
    [
        (None, None, None, "a path or a volume was expected as the target of volumes/notes, and neither was given"),
        (None, None, "writer", "a path or a volume was expected as the target of volumes/notes"),
        (
            None,
            "lost",
            None,
            r"volume 'lost' was expected on this host as the target of volumes/notes.* create its container",
        ),
        ("/srv", None, "lost", "container 'lost' was expected on this host"),
        (
            "/elsewhere",
            None,
            "writer",
            "a mount of container writer was expected to cover /elsewhere, the target of volumes",
        ),
    ],
)
def test_a_target_that_is_nowhere_is_refused(
    site: Site, path: str | None, volume: str | None, container: str | None, words: str
) -> None:
    effects = Effects()
    with pytest.raises(UsageError, match=words):
        site.restore(effects=effects).target(Path(path) if path else None, volume, container)
    assert (effects.log, site.podman_host.calls()) == ([], [])


def test_a_target_is_found_where_this_host_has_it(site: Site) -> None:
    target = site.restore().target
    data = site.podman_host.add_volume("data")

    assert target(None, "data", None) == data
    assert target(Path("/no/such/place"), None, None) == Path("/no/such/place")
    assert target(Path("/srv"), None, "writer") == site.target
    assert target(Path("/srv/tsdb"), None, "idle") == site.target / "tsdb"


def test_a_target_is_found_behind_a_link(site: Site, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(site.target)
    data = site.podman_host.add_volume("data")
    data.rmdir()
    data.symlink_to(site.target)
    site.podman_host.add("linked", notes=(tmp_path / "link", "/srv"))
    target = site.restore().target

    found = [target(None, "data", None), target(tmp_path / "link", None, None), target(Path("/srv"), None, "linked")]
    assert found == [site.target] * 3


@pytest.mark.usefixtures("systemd_run")
def test_a_target_that_is_not_there_is_made(site: Site) -> None:
    restore, new = site.restore(), site.backups.base / "new"
    with site.filling() as filling:
        restore.stage(site.backups.area(), site.set_id, new, filling)
    assert (files(new), new.stat().st_mode & 0o7777) == ({}, 0o755)

    assert restore.swap().target == str(new)
    assert files(new) == SAVED


@pytest.mark.parametrize(
    ("kind", "target", "staged"),
    [("copies", "flatnet-staged", None), ("copies-begun", "flatnet-staged", None), ("write", "notes.json.new", SAVED)],
)
def test_a_copy_that_is_not_verified_does_not_count_as_staged(
    site: Site, kind: str, target: str, staged: dict[str, bytes] | None
) -> None:
    effects = Effects()

    def watch(effect: Effect) -> None:
        copied = any(one.kind == "run" for one in effects.log[:-1])
        if effect.kind == kind and effect.target.endswith(target) and (kind != "write" or copied):
            raise Stopped

    effects.watch = watch
    with pytest.raises(Stopped):
        site.stage(effects=effects)
    assert (site.phase(), site.restore().mine()) == (STAGING, site.journals.find(NOTES))
    assert staged is None or beside(site) == {"flatnet-staged": staged}


def test_a_copy_that_failed_does_not_count_as_staged_and_is_made_again(site: Site, add_program: AddProgram) -> None:
    real = shutil.which("rsync")
    program = add_program("rsync", f"'{real}' \"$@\"; echo 'rsync: read errors' >&2; exit 23\n")
    with pytest.raises(CommandFailed, match="ended with 23, expected 0 or 24: rsync: read errors"):
        site.stage()

    mine = site.restore().mine()
    assert mine is not None
    assert mine.phase == STAGING
    with pytest.raises(UsageError, match=f"expected to be staged by run {RUN}, and it is staging"):
        site.restore().swap()
    grow(mine.beside, {"journal": b"cut off"})

    program.unlink()
    effects = Effects()
    assert site.stage(effects=effects) == Staged(files=2, bytes=19)
    assert [effect.kind for effect in effects.log if effect.kind == "copies"] == ["copies"]
    assert (beside(site), site.phase(), files(site.target)) == ({"flatnet-staged": SAVED}, STAGED, PRESENT)


@pytest.mark.usefixtures("systemd_run")
def test_a_swap_puts_the_staged_tree_in_place_while_nobody_runs(site: Site) -> None:
    site.stage()
    effects = Effects()
    journal = site.restore(effects=effects).swap()

    assert files(site.target) == SAVED
    assert beside(site) == {"flatnet-old": PRESENT}
    assert (journal.phase, journal.containers) == (SWAPPED, ("writer",))
    assert site.journals.find(NOTES) == journal
    assert site.podman_host.calls() == ["stop writer", "start writer"]
    expect_no_guard(site.backups.undo)
    order = [
        effect.kind for effect in effects.log if str(site.target.parent) == effect.target or "flatnet-" in effect.target
    ]
    assert order[order.index("syncfs") :] == ["syncfs", "rename", "rename", "fsync-directory"]
    stopped = [effect.target for effect in effects.log if effect.kind in ("run", "syncfs", "rename")]
    assert stopped.index("podman stop --time 30 writer") < stopped.index(f"{site.target}.flatnet-staged")


@pytest.mark.usefixtures("systemd_run")
def test_a_swap_that_is_done_is_not_done_again(site: Site) -> None:
    site.swapped()
    journal = site.restore().swap()

    assert journal.phase == SWAPPED
    assert site.podman_host.calls() == ["stop writer", "start writer"]
    assert files(site.target) == SAVED


@pytest.mark.usefixtures("systemd_run")
def test_where_nobody_runs_nobody_is_started(site: Site) -> None:
    site.podman_host.add("writer", "exited", notes=(site.target, "/srv"))
    site.swapped()

    assert site.podman_host.calls() == []
    assert files(site.target) == SAVED


def test_nobody_who_is_paused_is_swapped_under(site: Site) -> None:
    for name in ("writer", "frozen"):
        site.podman_host.add(name, "paused", notes=(site.target, "/srv"))
    site.stage()

    with pytest.raises(UsageError, match=r"to run or to be stopped, and frozen, writer is neither: unpause or stop it"):
        site.restore().swap()
    assert (site.phase(), site.podman_host.calls()) == (STAGED, [])
    assert files(site.target) == PRESENT


@pytest.mark.usefixtures("systemd_run")
def test_who_does_not_run_on_restored_data_is_named(site: Site) -> None:
    site.stage()
    journal = site.restore().swap()
    site.restore().check_users(journal)
    site.podman_host.add("writer", "exited", notes=(site.target, "/srv"))

    words = f"writer was expected to run on the restored {NOTES}, as before, and does not: .*logs --tail 50 writer"
    with pytest.raises(NotReady, match=words):
        site.restore().check_users(journal)
    site.restore().check_users(replace(journal, containers=()))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("run", "writer"),
        ("syncfs", "staged"),
        ("rename", "old"),
        ("rename", "$x"),
        ("fsync-directory", ""),
        ("write", "notes.json.new"),
    ],
)
@pytest.mark.usefixtures("systemd_run")
def test_a_swap_that_is_stopped_is_undone_at_once(site: Site, kind: str, target: str) -> None:
    site.stage()
    begun = stop_at(kind, target)
    armed = begun.watch
    # The first journal of a swap is written before anything is changed; only what comes after it is stopped.
    begun.watch = lambda effect: armed(effect) if armed and any(one.kind == "run" for one in begun.log[:-1]) else None

    with pytest.raises(Stopped):
        site.restore(effects=begun).swap()
    assert files(site.target) == PRESENT
    assert site.podman_host.status("writer") == "running"
    assert site.phase() == SWAPPING
    with pytest.raises(UsageError, match=r"expected to be staged by run .*, and it is swapping"):
        site.restore().swap()
    assert site.restore().undo()
    assert (files(site.target), beside(site), site.phase()) == (PRESENT, {}, None)


@pytest.mark.parametrize(("phase", "calls"), [(STAGED, []), (SWAPPED, ["stop writer", "start writer"] * 2)])
@pytest.mark.usefixtures("systemd_run")
def test_an_undone_restore_leaves_everything_where_it_was(site: Site, phase: str, calls: list[str]) -> None:
    site.stage()
    if phase == SWAPPED:
        site.restore().swap()

    effects = Effects()
    assert site.restore(OTHER_RUN).undo() is False
    assert site.restore(effects=effects).undo() is True
    synced = [effect.target for effect in effects.log if effect.kind == "fsync-directory"]
    assert (str(site.target.parent) in synced) is (phase == SWAPPED)
    assert (files(site.target), beside(site), site.phase()) == (PRESENT, {}, None)
    assert site.podman_host.calls() == calls
    assert site.restore().undo() is False


@pytest.mark.usefixtures("systemd_run")
def test_a_confirmed_restore_keeps_what_was_there_in_a_set_of_its_own(site: Site) -> None:
    site.swapped()
    site.confirm()
    site.backups.lifecycle("before-restore").commit(RUN, (), 50, ())

    area = site.backups.area("before-restore")
    (name,) = area.ids()
    source = area.manifest(name).sources[NOTES]
    assert files(area.path(name) / NOTES) == PRESENT
    assert (source.kind, source.origin, source.consistency) == ("directory", tree.shown(str(site.target)), "stopped")
    assert (source.facts, source.containers) == ({"replaced_by": f"sets/{site.set_id}"}, ("writer",))
    assert (files(site.target), beside(site), site.phase()) == (SAVED, {}, None)


@pytest.mark.parametrize(
    ("kind", "target"), [("remove", "flatnet-old"), ("remove-begun", "flatnet-old"), ("unlink", "notes.json")]
)
@pytest.mark.usefixtures("systemd_run")
def test_a_confirmation_that_is_stopped_is_finished_and_cannot_be_undone(site: Site, kind: str, target: str) -> None:
    site.swapped()
    with pytest.raises(Stopped):
        site.confirm(stop_at(kind, target))

    assert site.phase() == CONFIRMED
    with pytest.raises(RestorePending, match=r"expected to be unconfirmed, and is confirmed: .*before-restore"):
        site.restore().undo()
    site.confirm()
    assert (files(site.target), beside(site), site.phase()) == (SAVED, {}, None)


@pytest.mark.usefixtures("systemd_run")
def test_what_was_replaced_is_durable_before_it_is_let_go(site: Site) -> None:
    site.swapped()
    with pytest.raises(Stopped):
        site.confirm(stop_at("syncfs", ""))

    assert site.phase() == SWAPPED
    assert beside(site) == {"flatnet-old": PRESENT}


def test_the_order_of_steps_is_kept(site: Site) -> None:
    order = "the order is state=staged, swapped, then confirmed or undone"
    with pytest.raises(UsageError, match=f"{NOTES} was expected to be staged by run {RUN}, and nothing is: {order}"):
        site.restore().swap()
    with pytest.raises(UsageError, match=f"expected to be swapped by run {RUN}, and nothing is"):
        site.confirm()
    site.stage()
    with pytest.raises(UsageError, match=f"expected to be swapped by run {RUN}, and it is staged"):
        site.confirm()
    with pytest.raises(UsageError, match=f"expected to be staged by run {OTHER_RUN}, and nothing is"):
        site.restore(OTHER_RUN).swap()


@pytest.mark.parametrize("phase", [STAGING, STAGED, SWAPPED, CONFIRMED])
@pytest.mark.usefixtures("systemd_run")
def test_what_a_dead_run_left_is_put_right_before_staging(site: Site, phase: str) -> None:
    if phase == STAGING:
        with pytest.raises(Stopped):
            site.stage(effects=stop_at("copies-begun", "flatnet-staged"))
    else:
        site.stage()
    if phase in (SWAPPED, CONFIRMED):
        site.restore().swap()
    if phase == CONFIRMED:
        with pytest.raises(Stopped):
            site.confirm(stop_at("remove", "flatnet-old"))
    if phase == SWAPPED:
        grow(site.target, {"written": b"since the swap"})
    site.stage(OTHER_RUN)

    partial = site.backups.area("before-restore").partials()[0]
    stored = site.backups.area("before-restore").partial(partial)
    in_use = {**SAVED, "written": b"since the swap"}
    assert files(stored / "interrupted/volumes.notes") == (in_use if phase == SWAPPED else None)
    kept = {SWAPPED: {"interrupted/volumes.notes"}, CONFIRMED: {NOTES}}.get(phase, set())
    assert set(sets.load_sources(stored)) == kept
    assert files(site.target) == (SAVED if phase == CONFIRMED else PRESENT)
    assert beside(site) == {"flatnet-staged": SAVED}
    assert [(journal.run, journal.phase) for journal in site.journals.all()] == [(OTHER_RUN, STAGED)]
    assert site.podman_host.status("writer") == "running"


def relist(site: Site, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Let a set's listing say something else of one name."""
    path = sets.listing_path(site.backups.area().path(site.set_id), NOTES)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["path"] == name:
            change(line)
    path.chmod(0o600)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("name", ["/etc/passwd", "../passwd", "deep/../../passwd", "deep//er", "./journal", ""])
def test_a_listing_whose_names_lead_elsewhere_is_refused(site: Site, name: str) -> None:
    relist(site, "journal", lambda line: line.update(path=name))

    with pytest.raises(SetDamaged, match="leads out of the source"):
        site.stage()
    assert (beside(site), files(site.target)) == ({}, PRESENT)


@pytest.mark.parametrize("part", [NOTES, NOTES.partition("/")[0]])
def test_a_source_that_is_a_link_is_refused(site: Site, part: str, tmp_path: Path) -> None:
    place = site.backups.area().path(site.set_id) / part
    place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path / "moved")

    with pytest.raises(SetDamaged, match="was expected to hold the files"):
        site.stage()
    assert beside(site) == {}


@pytest.mark.parametrize("kind", ["block-device", "character-device"])
def test_a_device_file_is_refused_unless_it_is_asked_for(site: Site, kind: str) -> None:
    relist(site, "journal", lambda line: line.update(type=kind, sha256=None))

    with pytest.raises(SetDamaged, match=f"journal is a {kind.replace('-', ' ')}.*flatnet_restore_devices"):
        site.stage()
    with pytest.raises(SetDamaged, match=f"journal has type file, expected {kind}"), site.filling() as filling:
        site.restore().stage(site.backups.area(), site.set_id, site.target, filling, devices=True)


@pytest.mark.parametrize(("name", "refused"), [("stack", True), ("gateway", True), ("cni/bin", True), (NOTES, False)])
def test_a_program_that_runs_as_its_owner_is_no_configuration(backups: Backups, name: str, refused: bool) -> None:
    backups.open()
    backups.save(name, {"plain": b"1"})
    made = backups.commit(name).id
    copy = backups.area().path(made) / name
    in_secret(copy, lambda data: (data / "plain").chmod(0o4755))
    listing = sets.listing_path(backups.area().path(made), name)
    listing.chmod(0o600)
    listing.write_bytes(tree.dump(tree.list_tree(copy, {})))
    backups.open(RUN, "before-restore")
    restore = TreeRestore(Effects(), Podman(), backups.journals(), RUN, name, backups.root)
    with backups.lifecycle("before-restore").filling(RUN) as filling:
        if refused:
            with pytest.raises(SetDamaged, match="plain is a set-user-ID or set-group-ID program"):
                restore.stage(backups.area(), made, backups.base / "target", filling)
        else:
            assert restore.stage(backups.area(), made, backups.base / "target", filling).files == 1


@pytest.mark.parametrize("path", ["srv", "/srv/../etc"])
def test_a_path_that_is_not_plain_is_no_target(site: Site, path: str) -> None:
    with pytest.raises(UsageError, match="an absolute path was expected"):
        site.restore().target(Path(path), None, None)


def test_a_mount_point_cannot_be_swapped(site: Site) -> None:
    with pytest.raises(UsageError, match="and it is a mount point"):
        site.restore().target(Path("/proc"), None, None)


@pytest.mark.parametrize("place", ["", "20261124T021500Z", ".."])
def test_nothing_is_restored_over_the_backups(site: Site, place: str) -> None:
    path = Path(os.path.normpath(site.backups.root / place))

    with pytest.raises(UsageError, match="another directory than the backups' and our own"):
        site.restore().target(path, None, None)


def test_a_directory_that_no_container_mounts_is_not_taken_from_the_set(site: Site, tmp_path: Path) -> None:
    site.restore().check_used(site.target)
    with pytest.raises(UsageError, match="a container of this host was expected to mount"):
        site.restore().check_used(grow(tmp_path / "other", {"a": b"1"}))


@pytest.mark.usefixtures("systemd_run")
def test_who_was_started_on_the_restored_tree_is_stopped_when_it_goes(site: Site) -> None:
    site.stage()
    site.restore().swap()
    subprocess.run(["podman", "start", "idle"], check=True)
    site.restore().undo()

    assert {name: site.podman_host.status(name) for name in ("writer", "idle")} == {
        "writer": "running",
        "idle": "exited",
    }
    assert files(site.target) == PRESENT


@pytest.mark.usefixtures("systemd_run")
def test_a_target_that_was_made_for_a_restore_goes_with_it(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep"
    with site.filling() as filling:
        site.restore().stage(site.backups.area(), site.set_id, target, filling)
    assert target.is_dir()
    site.restore().undo()

    assert not target.exists()
