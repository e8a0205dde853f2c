# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journals of restores: what a dead run left is finished or undone, from whatever point it had reached."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import (
    CONFIRMED,
    STAGED,
    STAGING,
    SWAPPED,
    SWAPPING,
    Journal,
    Journals,
)

from tests.unit.plugins.module_utils.conftest import (
    NOTES,
    RUN,
    AddProgram,
    Backups,
    PodmanHost,
    Stopped,
    files,
    grow,
    stop_at,
)

pytestmark = pytest.mark.unit

SET = "20261124T021500Z"
SAVED = {"journal": b"as it was saved"}
PRESENT = {"journal": b"as it is"}
PARTIAL = {"half": b"a copy in the making"}
PHASES = (STAGING, STAGED, SWAPPING, SWAPPED, CONFIRMED)


@dataclass(frozen=True)
class Trees:
    """What lies at the target and beside it; None where nothing is."""

    target: dict[str, bytes] | None
    old: dict[str, bytes] | None = None
    beside: dict[str, bytes] | None = None

    @classmethod
    def of(cls, journal: Journal) -> Trees:
        """What there is."""
        return cls(files(Path(journal.target)), files(journal.old), files(journal.beside))

    def lay(self, journal: Journal) -> None:
        """Make it so."""
        for path, content in (
            (Path(journal.target), self.target),
            (journal.old, self.old),
            (journal.beside, self.beside),
        ):
            if content is not None:
                grow(path, content)


# What a run that died in each phase has left at the worst.
LEFT = {
    STAGING: Trees(PRESENT, None, PARTIAL),
    STAGED: Trees(PRESENT, None, SAVED),
    SWAPPING: Trees(SAVED, PRESENT, None),
    SWAPPED: Trees(SAVED, PRESENT, None),
    CONFIRMED: Trees(SAVED, PRESENT, None),
}
SETTLED = {
    STAGING: Trees(PRESENT),
    STAGED: Trees(PRESENT),
    SWAPPING: Trees(PRESENT),
    SWAPPED: Trees(PRESENT),
    CONFIRMED: Trees(SAVED),
}


def left(backups: Backups, phase: str, source: str = NOTES, *containers: str) -> Journal:
    """A restore whose run has died in this phase; the target's name is one that a shell would trip over."""
    target = backups.base / f"a '{source.replace('/', ' ')}'\n$x"
    journal = Journal(RUN, str(backups.root), source, "sets", SET, str(target), phase, containers)
    LEFT[phase].lay(journal)
    return backups.journals().write(journal)


class Kept(list[dict[str, bytes] | None]):
    """What was stored of restored trees that were in use."""

    def __call__(self, path: Path) -> None:
        """Store one."""
        self.append(files(path))


def test_a_journal_comes_back_as_it_was(backups: Backups) -> None:
    journals = backups.journals()
    written = Journal(RUN, "/backup", "prometheus", "before-restore", SET, "/srv/日本", SWAPPED, ("a", "b"))
    odd = Journal(RUN, "/backup", NOTES, "sets", SET, "/srv/not\udcffutf8", STAGED)
    assert journals.write(written) == written

    assert journals.find("prometheus") == written
    assert journals.find(NOTES) is None
    journals.write(odd)
    assert journals.all() == [written, odd]
    assert {path.stat().st_mode & 0o7777 for path in backups.restores.rglob("*.json")} == {0o600}
    journals.forget(written)
    assert journals.all() == [odd]
    with pytest.raises(UsageError):
        journals.find("../../etc/passwd")


def test_a_host_that_never_restored_has_no_journals(tmp_path: Path) -> None:
    journals = Journals(Effects(), tmp_path / "none", tmp_path / "undo")

    assert (journals.all(), journals.find(NOTES), journals.refusal(), journals.clear(tmp_path)) == ([], None, None, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("phase", PHASES)
def test_no_backup_is_taken_of_data_that_is_on_trial(backups: Backups, phase: str) -> None:
    left(backups, CONFIRMED, "a")
    journal = left(backups, phase)

    refusal = backups.journals().refusal()
    if phase == SWAPPED:
        words = f"the one of {NOTES} from set {SET} (run {RUN}) was neither confirmed nor undone; the data before it"
        assert f"{words} is in {journal.old}: run playbook flatnet.ops.restore again" in str(refusal)
    else:
        assert refusal is None


@pytest.mark.usefixtures("systemd_run")
def test_what_is_not_in_use_is_cleared_and_what_is_stays(backups: Backups) -> None:
    journals = {phase: left(backups, phase, f"volumes/{phase}") for phase in PHASES}

    assert sorted(backups.journals().clear(backups.root)) == [
        "confirmed restore cleared: volumes/confirmed",
        "staged restore cleared: volumes/staged",
        "staging restore cleared: volumes/staging",
        "swapping restore cleared: volumes/swapping",
    ]
    assert {phase: Trees.of(journal) for phase, journal in journals.items()} == {**SETTLED, SWAPPED: LEFT[SWAPPED]}
    assert backups.journals().all() == [journals[SWAPPED]]
    assert backups.journals().clear(backups.root) == []


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.usefixtures("systemd_run")
def test_what_a_dead_run_left_is_finished_or_undone(backups: Backups, podman_host: PodmanHost, phase: str) -> None:
    for name in ("writer", "stopped"):
        podman_host.add(name, "running" if name == "writer" else "exited")
    journal = left(backups, phase, NOTES, *(("writer", "stopped") if phase in (SWAPPING, SWAPPED, CONFIRMED) else ()))

    effects, kept = Effects(), Kept()
    backups.journals(effects).settle(journal, kept)

    undone = phase in (SWAPPING, SWAPPED)
    assert Trees.of(journal) == SETTLED[phase]
    assert kept == ([SAVED] if phase == SWAPPED else [])
    assert backups.journals().all() == []
    assert podman_host.calls() == (["stop writer", "start writer", "start stopped"] if undone else [])
    synced = [effect.target for effect in effects.log if effect.kind == "fsync-directory"]
    assert (str(Path(journal.target).parent) in synced) is undone


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.usefixtures("systemd_run")
def test_a_journal_is_the_last_to_go(backups: Backups, phase: str) -> None:
    journal, kept = left(backups, phase), Kept()

    with pytest.raises(Stopped):
        backups.journals(stop_at("unlink", "notes.json")).settle(journal, kept)
    assert (Trees.of(journal), backups.journals().all()) == (SETTLED[phase], [journal])
    backups.journals().settle(journal, kept)
    assert kept == ([SAVED] if phase == SWAPPED else [])
    assert (Trees.of(journal), backups.journals().all()) == (SETTLED[phase], [])


@pytest.mark.usefixtures("systemd_run")
def test_a_restored_tree_that_was_in_use_is_kept_before_it_goes(backups: Backups) -> None:
    journal, kept = left(backups, SWAPPED), Kept()

    def die(_path: Path) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        backups.journals().settle(journal, die)
    assert Trees.of(journal) == Trees(PRESENT, None, SAVED)
    backups.journals().settle(journal, kept)
    assert (kept, Trees.of(journal), backups.journals().all()) == ([SAVED], Trees(PRESENT), [])


@pytest.mark.usefixtures("systemd_run")
def test_a_restore_from_another_backup_directory_may_be_alive(backups: Backups) -> None:
    journal = left(backups, SWAPPING)

    assert backups.journals().clear(backups.base / "another") == []
    assert (Trees.of(journal), backups.journals().all()) == (LEFT[SWAPPING], [journal])
    assert backups.journals().clear(backups.root) == [f"swapping restore cleared: {NOTES}"]


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(Trees(PRESENT, None, SAVED), id="nothing was renamed"),
        pytest.param(Trees(None, PRESENT, SAVED), id="the old tree was moved away"),
        pytest.param(Trees(SAVED, PRESENT, None), id="the new tree is in place"),
    ],
)
def test_the_undo_script_finds_its_way_from_every_point(
    tmp_path: Path, podman_host: PodmanHost, reached: Trees
) -> None:
    base = tmp_path / "restored 'it'\n$x"
    journal = Journal(RUN, "/backup", NOTES, "sets", SET, str(base), SWAPPING, ("running", "exited", "created"))
    reached.lay(journal)
    for status in ("running", "exited", "created", "paused"):
        podman_host.add(status, status)
    script = "\n".join(["set -eu", *journal.undo()])

    subprocess.run(["sh", "-c", script], check=True)
    once = podman_host.calls()
    assert Trees.of(journal) == Trees(PRESENT, None, SAVED)
    restarted = ["stop running", "start running"] if reached.old else []
    assert once == [*restarted, "start exited", "start created"]
    subprocess.run(["sh", "-c", script], check=True)
    assert files(base) == PRESENT
    assert podman_host.calls() == once


def test_nobody_stays_stopped_where_the_old_tree_cannot_be_put_back(
    tmp_path: Path, podman_host: PodmanHost, add_program: AddProgram
) -> None:
    journal = Journal(RUN, "/backup", NOTES, "sets", SET, str(tmp_path / "notes"), SWAPPING, ("writer",))
    LEFT[SWAPPING].lay(journal)
    podman_host.add("writer")
    add_program("mv", "echo 'mv: read-only' >&2; exit 7\n")

    done = subprocess.run(["sh", "-c", "\n".join(["set -eu", *journal.undo()])], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (7, b"mv: read-only\n")
    assert podman_host.calls() == ["stop writer", "start writer"]
    assert Trees.of(journal) == LEFT[SWAPPING]
