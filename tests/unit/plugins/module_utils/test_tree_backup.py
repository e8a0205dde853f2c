# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saving a tree: who rests for it, for how long, and that nobody stays at rest."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Asked, Examined, Question
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CommandFailed,
    CopyFailed,
    QuiesceLost,
    SourceRefused,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe, Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_backup import Command, TreeBackup, TreeSource

from tests.unit.plugins.module_utils.conftest import (
    NOTES,
    RUN,
    Backups,
    PodmanHost,
    expect_no_guard,
    grow,
    in_another_process,
    next_tick,
    until,
)

pytestmark = pytest.mark.unit

Watch = Callable[[Effect], None]


@pytest.fixture
def volume(podman_host: PodmanHost) -> Path:
    """The files of a volume that two running containers and a stopped one use."""
    files = grow(podman_host.add_volume("notes"), {"journal": b"words", "deep/er": b"more"})
    for name, status in {"writer": "running", "reader": "running", "old": "exited"}.items():
        podman_host.add(name, status, notes=(files, "/srv"))
    podman_host.add("other", other=(podman_host.add_volume("other"), "/srv"))
    next_tick()
    return files


def backup(
    backups: Backups,
    consistency: str,
    containers: tuple[str, ...] | None = None,
    path: Path | None = None,
    watch: Watch | None = None,
) -> TreeBackup:
    """What saves the volume, or a directory."""
    effects = Effects(watch)
    source = TreeSource(NOTES, path, None if path else "notes", consistency, containers, 3600)
    return TreeBackup(effects, Podman(), source, backups.undo)


def save(backups: Backups, tree_backup: TreeBackup) -> Source:
    """Save into a new set."""
    backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        return tree_backup.save(filling)


def entered(backups: Backups) -> set[str]:
    """The sources that the open set has."""
    return set(sets.load_sources(backups.area().partial(backups.area().partials()[0])))


def late(volume: Path, then: Callable[[], object]) -> Watch:
    """Give the second look something to copy, and do something just before it is copied."""

    looks = iter(("first", "second"))

    def watch(effect: Effect) -> None:
        if effect.kind == "copies":
            grow(volume, {"late": b"late"})
        if effect.kind == "run" and "--no-recursive" in effect.target and next(looks) == "second":
            then()

    return watch


@pytest.mark.parametrize(
    ("consistency", "containers", "rest"),
    [
        ("hot", None, []),
        ("hot", ("writer",), []),
        ("paused", None, ["reader", "writer"]),
        ("stopped", None, ["reader", "writer"]),
        ("stopped", (), []),
        ("paused", ("writer", "old", "other"), ["writer", "other"]),
    ],
)
@pytest.mark.usefixtures("volume")
def test_who_runs_and_uses_it_rests(
    backups: Backups, consistency: str, containers: tuple[str, ...] | None, rest: list[str]
) -> None:
    assert backup(backups, consistency, containers).running() == rest


@pytest.mark.usefixtures("volume")
def test_a_container_that_was_named_must_be_there(backups: Backups) -> None:
    with pytest.raises(UsageError, match="container 'lost' was expected"):
        backup(backups, "paused", ("lost",)).running()


@pytest.mark.parametrize(
    ("volume_name", "path", "words"),
    [
        ("lost", None, r"volume lost was expected on this host as source volumes/notes, and is not there"),
        (None, "/no/such/directory", "directory /no/such/directory was expected .*the earlier sets are untouched"),
        (None, "/proc/version", "directory /proc/version was expected"),
    ],
)
@pytest.mark.usefixtures("volume")
def test_a_tree_that_is_not_there_is_named(volume_name: str | None, path: str | None, words: str) -> None:
    source = TreeSource(NOTES, Path(path) if path else None, volume_name, "hot", None, 60)

    with pytest.raises(SourceRefused, match=words):
        TreeBackup(Effects(), Podman(), source).directory()


def test_a_directory_is_found_behind_a_link(backups: Backups, volume: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(volume)
    source = save(backups, backup(backups, "hot", path=tmp_path / "link"))

    assert (source.origin, source.files) == (str(tmp_path / "link"), 2)
    assert backup(backups, "paused", path=tmp_path / "link").running() == ["reader", "writer"]


def test_a_directory_whose_name_is_not_text_is_saved(backups: Backups, tmp_path: Path) -> None:
    source = save(backups, backup(backups, "hot", path=grow(tmp_path / "not\udcffutf8", {"journal": b"words"})))

    assert source.origin == rf"{tmp_path}/not\xffutf8"
    assert backups.commit().sources[NOTES] == replace(source, guard={"shrink_limit_percent": 50, "forced": None})


def test_a_directory_is_saved_hot(backups: Backups, volume: Path, podman_host: PodmanHost) -> None:
    source = save(backups, backup(backups, "hot", path=volume))

    assert (source.kind, source.origin, source.consistency) == ("directory", str(volume), "hot")
    assert (source.files, source.entries, source.bytes) == (2, 4, 9)
    assert (source.containers, source.pause_seconds, source.changed_while_copied) == ((), None, 0)
    assert podman_host.calls() == []
    assert entered(backups) == {NOTES}


@pytest.mark.parametrize(
    ("consistency", "rest", "resume"), [("paused", "pause", "unpause"), ("stopped", "stop", "start")]
)
@pytest.mark.usefixtures("systemd_run")
def test_containers_rest_while_the_last_changes_are_copied(
    backups: Backups, volume: Path, podman_host: PodmanHost, consistency: str, rest: str, resume: str
) -> None:
    states: list[str] = []
    look = late(volume, lambda: states.extend(podman_host.status(name) for name in ("reader", "writer")))
    commands: list[str] = []

    def watch(effect: Effect) -> None:
        commands.append(effect.target)
        look(effect)

    source = save(backups, backup(backups, consistency, watch=watch))

    assert podman_host.calls() == [f"{how} {name}" for how in (rest, resume) for name in ("reader", "writer")]
    assert states == ["paused" if consistency == "paused" else "exited"] * 2
    assert (source.kind, source.origin, source.consistency) == ("volume", "volume notes", consistency)
    assert source.containers == ("reader", "writer")
    assert source.pause_seconds is not None
    assert 0 < source.pause_seconds <= source.seconds
    assert podman_host.status("old") == "exited"
    assert not [command for command in commands if command.startswith("sh ")]
    expect_no_guard(backups.undo)


@pytest.mark.usefixtures("volume")
def test_where_nobody_runs_nobody_rests(backups: Backups, podman_host: PodmanHost) -> None:
    source = save(backups, backup(backups, "paused", ("old",)))

    assert (source.containers, source.pause_seconds, source.consistency) == ((), None, "paused")
    assert podman_host.calls() == []


@pytest.mark.parametrize("consistency", ["paused", "stopped"])
@pytest.mark.usefixtures("systemd_run")
def test_a_container_that_somebody_took_up_spoils_the_copy(
    backups: Backups, volume: Path, podman_host: PodmanHost, consistency: str
) -> None:
    def take_up() -> None:
        podman_host.add("writer", "running", notes=(volume, "/srv"))

    words = rf"^writer was expected to stay {consistency} while volumes/notes was copied, .*max_pause=3600 s"
    with pytest.raises(QuiesceLost, match=words):
        save(backups, backup(backups, consistency, watch=late(volume, take_up)))
    assert (podman_host.status("writer"), podman_host.status("reader")) == ("running", "running")
    assert entered(backups) == set()


@pytest.mark.usefixtures("systemd_run")
def test_a_copy_that_fails_leaves_nobody_at_rest(backups: Backups, volume: Path, podman_host: PodmanHost) -> None:
    watch = late(volume, lambda: grow(volume, {"late": b"somebody else writes"}))

    with pytest.raises(CopyFailed, match="'late'"):
        save(backups, backup(backups, "paused", watch=watch))
    assert (podman_host.status("writer"), podman_host.status("reader")) == ("running", "running")
    assert entered(backups) == set()


@pytest.mark.usefixtures("systemd_run")
def test_a_rest_that_half_fails_is_undone(backups: Backups, volume: Path, podman_host: PodmanHost) -> None:
    def watch(effect: Effect) -> None:
        if effect.kind == "run" and effect.target.startswith("podman pause"):
            podman_host.add("writer", "exited", notes=(volume, "/srv"))

    with pytest.raises(CommandFailed, match="writer is exited"):
        save(backups, backup(backups, "paused", watch=watch))
    assert podman_host.calls() == ["pause reader", "unpause reader"]


@pytest.mark.parametrize("consistency", ["paused", "stopped"])
@pytest.mark.usefixtures("systemd_run")
def test_a_run_that_is_killed_leaves_nobody_at_rest(
    backups: Backups, volume: Path, podman_host: PodmanHost, consistency: str
) -> None:
    killed = backup(backups, consistency, watch=late(volume, lambda: os.kill(os.getpid(), signal.SIGKILL)))

    process = in_another_process(lambda: save(backups, killed))
    process.join()

    assert process.exitcode == -signal.SIGKILL
    until(lambda: list(backups.undo.iterdir()) == [])
    assert [podman_host.status(name) for name in ("writer", "reader", "old")] == ["running", "running", "exited"]
    assert len(podman_host.calls()) == 4


def test_a_second_set_shares_what_did_not_change(backups: Backups, volume: Path) -> None:
    save(backups, backup(backups, "hot"))
    first_set = backups.commit().id
    backups.now += 3600
    grow(volume, {"journal": b"other words"})
    source = save(backups, backup(backups, "hot"))

    assert (source.linked_files, source.linked_bytes) == (1, 4)
    assert (backups.area().path(first_set) / NOTES / "journal").read_bytes() == b"words"


def around(
    backups: Backups, volume: Path, before: str | None, after: str | None, watch: Watch | None = None
) -> TreeBackup:
    """What saves the volume, with commands of the operator's own."""
    made = [Command(("sh", "-c", words), None, 5) if words else None for words in (before, after)]
    source = TreeSource(NOTES, None, "notes", "hot", None, 3600, before=made[0], after=made[1])
    assert volume.is_dir()
    return TreeBackup(Effects(watch), Podman(), source, backups.undo)


@pytest.mark.usefixtures("systemd_run")
def test_a_command_before_the_copy_is_in_it_and_one_after_it_is_not(backups: Backups, volume: Path) -> None:
    save(backups, around(backups, volume, f"echo dump > {volume}/dump", f"rm {volume}/dump; echo > {volume}/after"))

    held = backups.area().partial(backups.area().partials()[0]) / NOTES
    assert ((held / "dump").read_text(), (held / "after").exists()) == ("dump\n", False)
    assert ((volume / "dump").exists(), (volume / "after").exists()) == (False, True)
    expect_no_guard(backups.undo)


@pytest.mark.usefixtures("systemd_run")
@pytest.mark.parametrize(
    ("before", "words"),
    [("echo locked >&2; exit 3", "ended with 3, expected 0: locked"), ("sleep 60", "ended with 124, expected 0")],
)
def test_a_command_that_fails_or_takes_too_long_copies_nothing_and_is_undone(
    backups: Backups, volume: Path, monkeypatch: pytest.MonkeyPatch, before: str, words: str
) -> None:
    source = around(backups, volume, before, f"touch {volume}/after")
    monkeypatch.setattr(Command, "line", lambda self: ["timeout", "1", *self.argv])
    with pytest.raises(CommandFailed, match=words):
        save(backups, source)

    assert entered(backups) == set()
    assert (volume / "after").exists()
    expect_no_guard(backups.undo)


@pytest.mark.usefixtures("systemd_run")
def test_the_command_after_is_run_also_if_the_copy_is_killed(backups: Backups, volume: Path) -> None:
    def kill(effect: Effect) -> None:
        if effect.kind == "copies-begun":
            os.kill(os.getpid(), signal.SIGKILL)

    backups.open()

    def work() -> None:
        with backups.lifecycle().filling(RUN) as filling:
            around(backups, volume, None, f"touch {volume}/after", kill).save(filling)

    in_another_process(work)
    until((volume / "after").exists)


@pytest.mark.usefixtures("systemd_run")
def test_a_command_after_that_fails_fails_the_copy_and_no_later_run(backups: Backups, volume: Path) -> None:
    with pytest.raises(CommandFailed, match="ended with 3, expected 0: gone"):
        save(backups, around(backups, volume, None, "echo gone >&2; exit 3"))

    assert entered(backups) == set()
    expect_no_guard(backups.undo)


def test_the_promise_of_a_command_waits_for_its_container() -> None:
    command = Command(("rm", "a dump"), "db", 300)

    waits = "timeout 300 podman wait --condition=running db"
    runs = "timeout --kill-after=10 300 podman exec db rm 'a dump'"
    assert command.promise() == f"after() {{ {waits} && {runs}; }}\nafter || after || :"


def test_a_command_is_ended_after_its_time_and_may_run_in_a_container() -> None:
    command = Command(("pg_dump", "notes"), "db", 300)

    assert command.line() == ["timeout", "--kill-after=10", "300", "podman", "exec", "db", "pg_dump", "notes"]


@pytest.mark.usefixtures("systemd_run")
def test_a_directory_of_a_container_is_found_by_its_mounts(backups: Backups, volume: Path) -> None:
    source = TreeSource(NOTES, Path("/srv"), None, "paused", None, 3600, container="writer")
    tree_backup = TreeBackup(Effects(), Podman(), source, backups.undo)

    assert tree_backup.directory() == volume
    saved = save(backups, tree_backup)
    assert saved.place == {"container": "writer", "path": "/srv"}
    assert (saved.origin, saved.containers) == ("/srv in container writer", ("reader", "writer"))


class Notebook:
    """An application that answers what it is told to."""

    kind = "loki"
    url = "http://127.0.0.1:3100"

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def examine(self, questions: Sequence[Question]) -> Examined:
        """Note when it was asked."""
        self._asked.append("asked")
        return Examined((Probe("lines", 1.0, "2"),), {"schema": "v13"}, {"loki": f"3.{len(questions)}"})

    def ask(self, probes: Sequence[Probe], facts: Mapping[str, Any]) -> list[Asked]:
        """Never."""
        raise NotImplementedError


@pytest.mark.usefixtures("volume")
def test_an_application_is_asked_before_its_data_is_copied(backups: Backups) -> None:
    order: list[str] = []
    effects = Effects(lambda effect: order.append(effect.kind))
    source = TreeSource("loki", None, "notes", "hot", None, 3600)
    saved = save(
        backups,
        TreeBackup(effects, Podman(), source, backups.undo, Notebook(order), [Question("lines", None)]),
    )

    assert (saved.kind, saved.software, saved.facts) == ("loki", {"loki": "3.1"}, {"schema": "v13"})
    assert saved.probes == (Probe("lines", 1.0, "2"),)
    assert order.index("asked") < order.index("copies")
