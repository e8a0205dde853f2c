# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a set: what may enter it, when it has its name, which sets go, and what is made of what dead runs left."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ClockBehind,
    Evicted,
    LeaseHeld,
    NoSuchSet,
    RestorePending,
    SourceRefused,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import (
    CONFIRMED,
    STAGED,
    SWAPPED,
    SWAPPING,
    Journal,
)
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import DAY, Held, Lifecycle, doomed
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Source
from ansible_collections.flatnet.ops.plugins.module_utils.times import set_id

from tests.unit.plugins.module_utils.conftest import (
    NOTES,
    OTHER_RUN,
    RUN,
    Backups,
    Stopped,
    a_source,
    at_once,
    files,
    full_disk,
    grow,
    stop_at,
)

pytestmark = pytest.mark.unit

RUNS = [f"20261124T021458Z-backup-000{number}" for number in range(4)]
WHOLE = Held(frozenset([NOTES]))
WEEK = [f"202611{day}T021500Z" for day in range(20, 30)]
TWICE = [f"202611{day}T{hour}1500Z" for day in range(20, 30) for hour in ("02", "14")]
GAPS = ["20250101T021500Z", "20260301T021500Z", "20261120T021500Z", "20261124T021500Z"]


@pytest.mark.parametrize(
    ("there", "bad", "keep", "gone"),
    [
        pytest.param([], [], 7, [], id="nothing there"),
        pytest.param(WEEK[:7], [], 7, [], id="seven days"),
        pytest.param(WEEK[:8], [], 7, WEEK[:1], id="eight days"),
        pytest.param(TWICE[:8], [], 7, TWICE[:8:2], id="two a day, the newest of each stays"),
        pytest.param(TWICE, [], 7, [*TWICE[::2], *TWICE[1:6:2]], id="two a day for ten days"),
        pytest.param(GAPS, [], 4, [], id="gaps do not count as days"),
        pytest.param(GAPS, [], 2, GAPS[:2], id="the last two, however old"),
        pytest.param(WEEK, WEEK[9:], 7, WEEK[:2], id="a damaged newest one is not counted, and stays"),
        pytest.param(WEEK, WEEK[:2], 7, WEEK[:3], id="damaged ones before the oldest kept go"),
        pytest.param(WEEK[:9], WEEK[:2], 7, WEEK[:2], id="damaged ones go as soon as there are days enough"),
        pytest.param(WEEK[:8], WEEK[:2], 7, [], id="damaged ones stay until there are days enough"),
        pytest.param(WEEK, WEEK[4:6], 7, WEEK[:1], id="damaged ones among the kept stay"),
        pytest.param(TWICE[:4], TWICE[3:4], 7, TWICE[:1], id="the good one of a day stays for the damaged one"),
        pytest.param(WEEK, WEEK[1:], 7, [], id="the last good one stays"),
        pytest.param(WEEK, WEEK, 7, [], id="without a good one nothing goes"),
        pytest.param([*WEEK[:7], "20990101T000000Z"], [], 7, WEEK[:1], id="a date in the future is a day"),
    ],
)
def test_which_sets_go(there: list[str], bad: list[str], keep: int, gone: list[str]) -> None:
    assert doomed(there, dict.fromkeys(set(there) - set(bad), WHOLE), keep) == sorted(gone)


@pytest.mark.parametrize(
    ("held", "gone"),
    [
        pytest.param([{"a", "b"}, {"a"}], [], id="the newest one lacks a source"),
        pytest.param([{"a", "b"}, {"b"}, {"a"}], [0], id="the later ones together have every source"),
        pytest.param([{"a"}, set()], [], id="the newest one holds nothing but by force"),
        pytest.param([{"a"}, {"a", "b"}], [0], id="the newest one has more"),
    ],
)
def test_a_set_stays_for_the_source_that_later_ones_of_its_day_lack(held: list[set[str]], gone: list[int]) -> None:
    names = [f"20261124T0{number}0000Z" for number in range(len(held))]

    good = {name: Held(frozenset("ab"), frozenset("ab") - by_right) for name, by_right in zip(names, held, strict=True)}
    assert doomed(names, good, 7) == [names[number] for number in gone]


def test_sets_of_some_sources_push_out_no_whole_one() -> None:
    some = Held(frozenset(["prometheus"]), whole=False)

    assert doomed(WEEK, {WEEK[0]: WHOLE, **dict.fromkeys(WEEK[1:], some)}, 2) == []
    assert doomed(WEEK, {**dict.fromkeys(WEEK[:3], WHOLE), **dict.fromkeys(WEEK[3:], some)}, 2) == WEEK[:1]
    assert doomed(WEEK, dict.fromkeys(WEEK, some), 2) == WEEK[:-2]


def test_what_is_forced_each_day_pushes_out_no_set_that_holds_it_by_right() -> None:
    forced = Held(frozenset([NOTES]), frozenset([NOTES]))

    assert doomed(WEEK, {**dict.fromkeys(WEEK[:2], WHOLE), **dict.fromkeys(WEEK[2:], forced)}, 2) == [
        WEEK[0],
        *WEEK[2:-2],
    ]


def test_no_choice_of_damage_removes_what_has_to_stay() -> None:
    there = TWICE[:6]
    for keep, count in itertools.product((1, 2, 3, 7), range(len(there) + 1)):
        for good in itertools.combinations(there, count):
            gone = set(doomed(there, dict.fromkeys(good, WHOLE), keep))
            days = sorted({name[:8] for name in good})[-keep:]
            stay = {max(name for name in good if name.startswith(day)) for day in days}
            assert not gone & stay
            assert {name for name in good if name not in gone} == stay
            assert not {name for name in gone if name not in good and (len(stay) < keep or name > min(stay))}


def test_data_is_durable_before_the_manifest_and_the_manifest_before_the_name(backups: Backups) -> None:
    opening = backups.open()
    backups.save(NOTES, {"journal": b"words"})
    effects = Effects()
    backups.commit(effects=effects)

    partial = f"/.{opening.id}.partial"
    lease = [
        ("write", "/..lease.json.new"),
        ("fsync", "/..lease.json.new"),
        ("rename", "/.lease.json"),
        ("fsync-directory", ""),
    ]
    assert [(effect.kind, effect.target.rpartition(str(backups.root))[2]) for effect in effects.log] == [
        *lease,
        ("syncfs", partial),
        ("write", f"{partial}/.manifest.json.new"),
        ("fsync", f"{partial}/.manifest.json.new"),
        ("rename", f"{partial}/manifest.json"),
        ("fsync-directory", partial),
        ("write", f"{partial}/.SHA256SUMS.new"),
        ("fsync", f"{partial}/.SHA256SUMS.new"),
        ("rename", f"{partial}/SHA256SUMS"),
        ("fsync-directory", partial),
        ("remove", f"{partial}/.sources"),
        ("remove-begun", f"{partial}/.sources"),
        ("unlink", f"{partial}/.opening.json"),
        ("fsync-directory", partial),
        ("rename", f"/{opening.id}"),
        ("fsync-directory", ""),
        ("unlink", "/.lease.json"),
    ]


def test_a_set_holds_what_was_saved_and_nothing_else(backups: Backups) -> None:
    name = backups.back_up(journal=b"words")

    path = backups.area().path(name)
    assert sorted(str(file.relative_to(path)) for file in path.rglob("*")) == [
        *("SHA256SUMS", "listings", "listings/volumes", "listings/volumes/notes.jsonl", "manifest.json"),
        *("volumes", NOTES, f"{NOTES}/journal"),
    ]
    assert {file.stat().st_mode & 0o7777 for file in path.rglob("*.json*")} == {0o400}
    assert path.stat().st_mode & 0o7777 == 0o700
    assert backups.names() == {name}


def test_every_file_of_a_set_but_its_sums_has_one(backups: Backups) -> None:
    opening = backups.open()
    backups.save("volumes/b", {"new\nline": b"1", "deep/file": b"2"})
    backups.save("a", {"x": b"3"})
    path = backups.area().path(backups.commit("a", "volumes/b").id)

    covered = list(sets.load_sums((path / sets.SUMS).read_bytes()))
    assert covered[:3] == ["manifest.json", "listings/a.jsonl", "listings/volumes/b.jsonl"]
    assert covered[3:] == ["a/x", "volumes/b/deep/file", "volumes/b/new\nline"]
    assert opening.id == path.name


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        (a_source(files=50, bytes=500), None),
        (a_source(files=500, bytes=5000), None),
        (a_source(files=49), r"by at most 50 % .* from 100 to 49 files \(-51 %\)"),
        (a_source(bytes=499), r"by at most 50 % .* from 1,000 to 499 bytes \(-50 %\)"),
        (
            a_source(files=0, bytes=0),
            r"source volumes/notes \(/srv/volumes/notes\) was expected to hold files, and is empty",
        ),
    ],
)
def test_a_source_that_lost_too_much_does_not_enter(backups: Backups, now: Source, refused: str | None) -> None:
    first = backups.back_up(a_source())
    opening = backups.open()
    backups.enter(now)

    if refused is None:
        assert backups.commit().sources[NOTES].guard == {"shrink_limit_percent": 50, "forced": None}
        return
    with pytest.raises(SourceRefused, match=refused) as caught:
        backups.commit()
    assert '-e \'{"flatnet_backup_force": ["volumes/notes"]}\'' in str(caught.value)
    assert "the earlier sets are untouched" in str(caught.value)
    assert backups.names() == {first, f".{opening.id}.partial", ".lease.json"}

    guard = backups.commit(forced=(NOTES,)).sources[NOTES].guard
    assert guard is not None
    assert guard["forced"] in str(caught.value)


def test_an_empty_source_does_not_enter_the_first_set_either(backups: Backups) -> None:
    backups.open()
    backups.enter(a_source("prometheus", files=0, bytes=0))

    with pytest.raises(SourceRefused, match="is empty"):
        backups.commit("prometheus")


def test_a_volume_may_be_empty_until_something_was_written(backups: Backups) -> None:
    empty = a_source(files=0, bytes=0)
    for source in (empty, empty, a_source()):
        backups.back_up(source)
    backups.open()
    backups.enter(empty)

    with pytest.raises(SourceRefused, match="is empty"):
        backups.commit()


def test_a_force_is_for_one_source(backups: Backups) -> None:
    backups.back_up(a_source(), a_source("other"))
    backups.open()
    backups.enter(a_source(files=1), a_source("other", files=1))

    with pytest.raises(SourceRefused, match="source other"):
        backups.commit(forced=(NOTES,))


def test_a_force_that_nothing_asked_for_leaves_no_trace(backups: Backups) -> None:
    backups.open()
    backups.enter(a_source())

    assert backups.commit(forced=(NOTES,)).sources[NOTES].guard == {"shrink_limit_percent": 50, "forced": None}


def test_what_was_forced_is_what_the_next_one_is_compared_with(backups: Backups) -> None:
    backups.back_up(a_source())
    backups.open()
    backups.enter(a_source(files=10))
    backups.commit(forced=(NOTES,))
    backups.now += DAY

    backups.back_up(a_source(files=10))
    with pytest.raises(SourceRefused, match="from 10 to 4 files"):
        backups.back_up(a_source(files=4))


def test_a_source_is_compared_with_the_newest_set_that_has_it_damaged_since_or_not(backups: Backups) -> None:
    backups.back_up(a_source(), a_source("other"))
    damaged = backups.back_up(a_source(files=60))
    backups.back_up(a_source("other"))
    unreadable = backups.back_up(a_source(files=40))
    (backups.area().path(unreadable) / sets.MANIFEST).unlink()
    backups.lifecycle().note_damage(RUN, "verify", {damaged: ["volumes/notes/x"]})

    with pytest.raises(SourceRefused, match="from 60 to 29 files"):
        backups.back_up(a_source(files=29))
    assert backups.commit(forced=(NOTES,)).sources[NOTES].files == 29


@pytest.mark.parametrize(
    ("entered", "words"),
    [
        ((), "to hold volumes/notes, other, and volumes/notes, other is missing"),
        (("other",), "and volumes/notes is missing: its task did not run or failed; the earlier sets are untouched"),
    ],
)
def test_a_set_without_an_expected_source_has_no_name(backups: Backups, entered: tuple[str, ...], words: str) -> None:
    backups.open()
    backups.enter(*(a_source(name) for name in entered))

    with pytest.raises(SourceRefused, match=words):
        backups.commit(NOTES, "other")
    assert backups.area().ids() == []


def test_a_set_of_nothing_has_no_name(backups: Backups) -> None:
    backups.open()

    with pytest.raises(SourceRefused, match="everything is missing"):
        backups.lifecycle().commit(RUN, [], 50, ())


def test_a_source_that_was_not_expected_stays(backups: Backups) -> None:
    backups.open()
    backups.enter(a_source(), a_source("more"))

    assert set(backups.commit(NOTES).sources) == {NOTES, "more"}


def test_a_clock_behind_the_newest_set_opens_nothing(backups: Backups) -> None:
    future = backups.plant(backups.id(days=1))

    with pytest.raises(
        ClockBehind, match=r"this host's clock \(2026-11-24T02:15:00Z\), and is named .*20261125"
    ) as caught:
        backups.open()
    with pytest.raises(ClockBehind) as foretold:
        backups.lifecycle().check(RUN)
    assert str(foretold.value) == str(caught.value)
    assert backups.names() == {future.name}

    way_out = str(caught.value).partition("'mv ")[2].partition("'")[0].split()
    Path(way_out[0]).rename(way_out[1])
    backups.lifecycle().check(RUN)
    assert backups.open().previous is None
    assert backups.area().ids() == []


def test_a_set_of_this_very_second_is_not_ahead_of_the_clock(backups: Backups) -> None:
    backups.plant(backups.id())
    backups.lifecycle().check(RUN)

    def clock() -> float:
        backups.now += 0.4
        return backups.now

    lifecycle = Lifecycle(backups.area(), Effects(), clock, backups.undo, backups.restores)
    opened = lifecycle.open(RUN, "backup", "tokyo", "wsl1", "test")

    assert opened.opening.id > backups.area().ids()[0]
    assert opened.opening.id == set_id(opened.opening.started)


def test_a_set_in_the_making_says_whose_it_is(backups: Backups) -> None:
    good, damaged = backups.back_up(a_source()), backups.back_up(a_source())
    backups.lifecycle().note_damage(RUN, "verify", {damaged: ["volumes/notes/x"]})
    backups.plant(backups.id(days=-1) + ".set-aside")

    opening = backups.open()

    assert (opening.run, opening.area, opening.site, opening.host) == (RUN, "sets", "tokyo", "wsl1")
    assert (opening.id, opening.started, opening.previous) == (backups.id(), backups.now, good)


def test_a_backup_directory_that_is_not_there_is_not_made(backups: Backups) -> None:
    backups.root.rmdir()

    for look in (lambda: backups.lifecycle().check(RUN), backups.open):
        with pytest.raises(UsageError, match=r"the backup directory .* does not exist: mount it"):
            look()
    assert not backups.root.exists()


def test_two_runs_do_not_work_at_once(backups: Backups) -> None:
    mine = backups.open()

    for look in (backups.lifecycle().check, backups.open):
        with pytest.raises(LeaseHeld, match=RUN):
            look(OTHER_RUN)
    backups.lifecycle().check(RUN)
    with pytest.raises(LeaseHeld, match=RUN):
        backups.lifecycle().prune(OTHER_RUN, "prune", 7)
    with pytest.raises(LeaseHeld, match=RUN):
        backups.open(OTHER_RUN, "before-restore")
    assert backups.area().partials() == [mine.id]


def test_an_evicted_run_completes_nothing(backups: Backups) -> None:
    mine = backups.open()
    backups.enter(a_source())
    backups.now += 180
    other = backups.open(OTHER_RUN)

    assert backups.area().partials() == [other.id]
    with pytest.raises(Evicted, match=RUN):
        backups.commit()
    with pytest.raises(Evicted, match=RUN), backups.lifecycle().filling(RUN):
        pytest.fail("an evicted run works on")
    assert backups.lifecycle().abort(RUN) is None
    assert (backups.area().ids(), backups.area().partials()) == ([], [other.id])
    assert mine.id != other.id


def test_a_look_changes_nothing(backups: Backups) -> None:
    effects = Effects()
    backups.lifecycle(effects=effects).check(RUN)

    assert effects.log == []
    assert list(backups.root.iterdir()) == []


def test_the_set_that_a_run_has_opened_is_known_until_it_is_complete(backups: Backups) -> None:
    assert backups.lifecycle().opened(RUN) is None
    opening = backups.open()
    backups.enter(a_source())

    assert backups.lifecycle().opened(RUN) == opening.id
    assert backups.lifecycle().opened(OTHER_RUN) is None
    assert backups.lifecycle("before-restore").opened(RUN) is None
    backups.commit()
    assert backups.lifecycle().opened(RUN) is None


def test_work_without_an_open_set_is_refused(backups: Backups) -> None:
    with backups.leases().claimed(RUN, "backup", 120):
        grow(backups.area().partial(backups.id()), {".opening.json": b"{half"})

    for work in (backups.commit, lambda: backups.enter(a_source())):
        with pytest.raises(NoSuchSet, match=rf"run {RUN} was expected to have opened a set"):
            work()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("syncfs", ""),
        ("rename", "manifest.json"),
        ("rename", "SHA256SUMS"),
        ("unlink", ".opening.json"),
        ("rename", "Z"),
    ],
)
def test_a_commit_that_dies_leaves_no_set_and_the_next_run_clears_it(backups: Backups, kind: str, target: str) -> None:
    good = backups.back_up(journal=b"words")
    opening = backups.open()
    backups.save(NOTES, {"journal": b"words"})

    with pytest.raises(Stopped):
        backups.commit(effects=stop_at(kind, target))
    assert backups.area().ids() == [good]

    backups.now += 180
    opened = backups.lifecycle().open(OTHER_RUN, "backup", "tokyo", "wsl1", "test")
    assert opened.recovered == (f"removed: {backups.area().partial(opening.id)}",)
    assert backups.names() == {good, f".{opened.opening.id}.partial", ".lease.json"}
    assert (backups.area().path(good) / NOTES / "journal").read_bytes() == b"words"


def test_what_a_guard_has_not_undone_is_undone_first(backups: Backups, tmp_path: Path) -> None:
    grow(backups.undo / "paused-1234", {"undo.sh": f"touch '{tmp_path}/resumed'\n".encode()})

    opened = backups.lifecycle().open(RUN, "backup", "tokyo", "wsl1", "test")

    assert opened.recovered == ("undone: paused-1234",)
    assert (tmp_path / "resumed").exists()


def restore_in(backups: Backups, phase: str) -> Journal:
    """A restore that has come so far: the restored tree is in place, and the old one beside it."""
    journal = Journal(OTHER_RUN, str(backups.root), NOTES, "sets", backups.id(), str(backups.base / "notes"), phase)
    grow(Path(journal.target), {"journal": b"restored"})
    grow(journal.old, {"journal": b"as it was"})
    return backups.journals().write(journal)


def test_no_backup_is_taken_of_a_restored_tree_on_trial_and_the_lease_is_given_back(backups: Backups) -> None:
    journal = restore_in(backups, SWAPPED)
    effects = Effects()

    with pytest.raises(RestorePending, match=f"one of {NOTES} .* neither confirmed nor undone") as caught:
        backups.lifecycle(effects=effects).check(RUN)
    assert effects.log == []
    with pytest.raises(RestorePending) as refused:
        backups.open()
    assert str(refused.value) == str(caught.value)
    assert backups.names() == set()
    assert (backups.leases().current(), backups.journals().all()) == (None, [journal])
    assert files(journal.old) == {"journal": b"as it was"}


def test_nothing_is_put_right_by_a_run_that_is_refused(backups: Backups, tmp_path: Path) -> None:
    restore_in(backups, SWAPPED)
    partial = grow(backups.area().partial(backups.id(days=-1)), {"volumes/a": b"half"})
    grow(backups.undo / "paused-1234", {"undo.sh": f"touch '{tmp_path}/resumed'\n".encode()})

    with pytest.raises(RestorePending):
        backups.open()
    assert partial.exists()
    assert not (tmp_path / "resumed").exists()


def test_a_restore_may_go_on_where_another_one_is_on_trial(backups: Backups) -> None:
    journal = restore_in(backups, SWAPPED)

    backups.lifecycle("before-restore").check(RUN)
    assert backups.open(area="before-restore").area == "before-restore"
    assert backups.journals().all() == [journal]


@pytest.mark.parametrize(("phase", "left"), [(STAGED, b"restored"), (SWAPPING, b"as it was"), (CONFIRMED, b"restored")])
@pytest.mark.parametrize("area", sets.AREAS)
@pytest.mark.usefixtures("systemd_run")
def test_what_a_dead_restore_has_left_is_cleared(backups: Backups, phase: str, left: bytes, area: str) -> None:
    journal = restore_in(backups, phase)
    backups.lifecycle(area).check(RUN)
    assert backups.journals().all() == [journal]

    opened = backups.lifecycle(area).open(RUN, "backup", "tokyo", "wsl1", "test")

    assert opened.recovered == (f"{phase} restore cleared: {NOTES}",)
    assert backups.journals().all() == []
    assert files(Path(journal.target)) == {"journal": left}


def test_pruning_clears_what_a_dead_restore_has_left(backups: Backups) -> None:
    restore_in(backups, CONFIRMED)

    assert backups.lifecycle().prune(RUN, "prune", 7).leftovers == (f"confirmed restore cleared: {NOTES}",)
    assert backups.journals().all() == []


def by_pruning(backups: Backups, _name: str, effects: Effects) -> None:
    backups.lifecycle(effects=effects).prune(RUN, "prune", 7)


def by_noting(backups: Backups, name: str, effects: Effects) -> None:
    backups.lifecycle(effects=effects).note_damage(RUN, "verify", {name: ["x"]})


def replaced(backups: Backups, *sources: str) -> str:
    """A before-restore set whose run has died, and with some sources in."""
    opening = backups.open(OTHER_RUN, "before-restore")
    for source in sources:
        backups.save(source, {"journal": source.encode()}, OTHER_RUN, "before-restore")
    return opening.id


def test_what_a_dead_restore_has_replaced_is_completed(backups: Backups) -> None:
    name = replaced(backups, "volumes/a", "prometheus")
    partial = backups.area("before-restore").partial(name)
    listings = {f"listings/{name}.jsonl": b"" for name in ("stray", "stray/half", "volumes/half")}
    grow(partial, {"volumes/half/file": b"1", "stray/file": b"2", **listings})
    backups.now += 180

    opened = backups.lifecycle().open(RUN, "backup", "tokyo", "wsl1", "test")

    area = backups.area("before-restore")
    assert opened.recovered == (f"completed: {area.path(name)}",)
    assert set(area.manifest(name).sources) == {"volumes/a", "prometheus"}
    assert (area.path(name) / "volumes/a/journal").read_bytes() == b"volumes/a"
    assert sorted(path.name for path in area.path(name).iterdir()) == [
        *("SHA256SUMS", "listings", "manifest.json", "prometheus", "volumes"),
    ]
    assert [path.name for path in (area.path(name) / "volumes").iterdir()] == ["a"]
    assert set(files(area.path(name) / sets.LISTINGS) or {}) == {"volumes/a.jsonl", "prometheus.jsonl"}


def test_a_dead_restore_that_has_replaced_nothing_leaves_nothing(backups: Backups) -> None:
    name = replaced(backups)
    area = backups.area("before-restore")
    grow(area.partial(name), {"volumes/half/file": b"1"})
    backups.now += 180

    done = backups.lifecycle().prune(RUN, "prune", 7)

    assert done.leftovers == (f"removed: {area.partial(name)}",)
    assert list(area.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "target"),
    [("write", ".SHA256SUMS.new"), ("remove-begun", ".sources"), ("unlink", ".opening.json"), ("rename", "Z")],
)
def test_a_restore_that_died_in_its_last_steps_has_only_these_to_take(backups: Backups, kind: str, target: str) -> None:
    name = replaced(backups, "volumes/a")
    with pytest.raises(Stopped):
        backups.lifecycle("before-restore", stop_at(kind, target)).commit(OTHER_RUN, (), 50, ())
    backups.now += 180
    backups.open()

    area = backups.area("before-restore")
    assert area.ids() == [name]
    assert set(area.manifest(name).sources) == {"volumes/a"}


def test_no_guard_applies_to_what_was_replaced(backups: Backups) -> None:
    backups.back_up(a_source())
    opening = backups.open(RUN, "before-restore")
    backups.enter(a_source(files=0, bytes=0), area="before-restore")
    backups.lifecycle("before-restore").commit(RUN, (), 50, ())

    assert backups.area("before-restore").manifest(opening.id).sources[NOTES].guard is None


def test_a_set_that_is_given_up_is_dropped(backups: Backups) -> None:
    good = backups.back_up(journal=b"words")
    opening = backups.open()
    backups.save(NOTES, {"journal": b"words"})
    stray = backups.area().partial(backups.id(days=-3))
    stray.mkdir()

    assert backups.lifecycle().abort(OTHER_RUN) is None
    assert backups.area().partials() == [backups.id(days=-3), opening.id]
    assert backups.lifecycle().abort(RUN) == opening.id
    assert backups.names() == {good, stray.name}
    assert backups.lifecycle().abort(RUN) is None


def test_giving_up_after_something_was_replaced_keeps_it(backups: Backups) -> None:
    name = replaced(backups, "volumes/a")

    assert backups.lifecycle("before-restore").abort(OTHER_RUN) == name
    assert backups.area("before-restore").ids() == [name]
    assert backups.leases().current() is None


def test_giving_up_without_a_set_gives_the_lease_back(backups: Backups) -> None:
    with backups.leases().claimed(RUN, "backup", 120):
        pass

    assert backups.lifecycle().abort(RUN) is None
    assert backups.leases().current() is None


def test_what_goes_is_renamed_before_it_is_removed(backups: Backups) -> None:
    gone, kept = backups.back_up(journal=b"words"), backups.back_up(journal=b"words")
    effects = stop_at("remove-begun", f".removed-{gone}")

    with pytest.raises(Stopped):
        backups.lifecycle(effects=effects).prune(RUN, "prune", 1)
    moved = [(effect.kind, Path(effect.target).name) for effect in effects.log if gone in effect.target]
    assert moved == [
        ("rename", f".removed-{gone}"),
        ("remove", f".removed-{gone}"),
        ("remove-begun", f".removed-{gone}"),
    ]
    assert backups.area().ids() == [kept]

    backups.now += 180
    done = backups.lifecycle().prune(OTHER_RUN, "prune", 1)
    assert (done.kept, done.removed) == ((kept,), ())
    assert done.leftovers == (f"removed: {backups.root / f'.removed-{gone}'}",)
    assert backups.names() == {kept}


def test_days_that_are_over_go(backups: Backups) -> None:
    names = [backups.back_up(journal=b"words") for _turn in range(3)]
    damaged = backups.back_up(journal=b"words")
    backups.lifecycle().note_damage(RUN, "verify", {damaged: [f"{NOTES}/journal"]})

    assert backups.lifecycle().doomed(2) == names[:1]
    done = backups.lifecycle().prune(RUN, "prune", 2)
    assert (done.kept, done.removed, done.leftovers) == ((*names[1:], damaged), tuple(names[:1]), ())
    assert backups.names() == {*names[1:], damaged, sets.DAMAGE}


@pytest.mark.parametrize("keep_days", [0, -1])
def test_the_last_good_set_never_goes(backups: Backups, keep_days: int) -> None:
    names = [backups.back_up(a_source()) for _turn in range(2)]
    effects = Effects()
    lifecycle = backups.lifecycle(effects=effects)

    words = f"keep_days was expected to be 1 or more, and is {keep_days}: the last good set never goes"
    with pytest.raises(UsageError, match=words):
        lifecycle.doomed(keep_days)
    with pytest.raises(UsageError, match=words):
        lifecycle.prune(RUN, "prune", keep_days)
    assert (backups.area().ids(), effects.log) == (names, [])


def test_what_was_replaced_may_all_go(backups: Backups) -> None:
    name = backups.plant(backups.id(days=-1), area="before-restore").name

    assert backups.lifecycle("before-restore").prune(RUN, "restore", 0).removed == (name,)


def test_a_full_disk_is_cleared_of_what_dead_runs_have_left(backups: Backups) -> None:
    half = grow(backups.area().partial(backups.id(days=-1)), {"volumes/a": b"half"})

    assert backups.open(effects=full_disk(half.exists)).run == RUN
    assert not half.exists()


@pytest.mark.parametrize("work", [by_pruning, by_noting])
def test_a_visit_by_a_run_at_work_leaves_it_its_lease(
    backups: Backups, work: Callable[[Backups, str, Effects], object]
) -> None:
    name = backups.back_up(journal=b"words")
    half = grow(backups.area().partial(backups.id(days=-9)), {"volumes/a": b"half"})
    work(backups, name, full_disk(half.exists))
    assert (backups.leases().current(), half.exists()) == (None, False)

    backups.open()
    work(backups, "20200101T000000Z", Effects())
    lease = backups.leases().current()
    assert lease is not None
    assert lease.run == RUN


def test_a_set_that_lies_elsewhere_is_not_pruned(backups: Backups, tmp_path: Path) -> None:
    moved = backups.plant(backups.id(days=-9)).rename(tmp_path / "another disk")
    backups.area().path(backups.id(days=-9)).symlink_to(moved)
    kept = backups.plant(backups.id(days=-1)).name

    done = backups.lifecycle().prune(RUN, "prune", 1)
    assert (done.kept, done.removed) == ((kept,), ())
    assert (moved / sets.MANIFEST).exists()


def test_age_is_in_the_name_whatever_the_files_say(backups: Backups) -> None:
    old, new = backups.plant(backups.id(days=-2)), backups.plant(backups.id(days=-1))
    (old / sets.MANIFEST).touch()

    assert backups.lifecycle().doomed(1) == [old.name]
    assert backups.lifecycle().doomed(2) == []
    assert new.exists()


def test_what_was_replaced_goes_by_its_date_alone(backups: Backups) -> None:
    dates = (-15, -14.001, -14, -1)
    names = [backups.plant(backups.id(days), area="before-restore").name for days in dates]
    lifecycle = backups.lifecycle("before-restore")

    assert lifecycle.doomed(14) == names[:2]
    assert lifecycle.prune(RUN, "restore", 14).removed == tuple(names[:2])
    assert backups.area("before-restore").ids() == names[2:]


def test_damage_is_remembered_until_its_set_is_gone(backups: Backups) -> None:
    first, second = backups.plant(backups.id(days=-2)), backups.plant(backups.id(days=-1))
    lifecycle, area = backups.lifecycle(), backups.area()

    assert not lifecycle.note_damage(RUN, "verify", {first.name: (), "20200101T000000Z": ["x"]})
    assert lifecycle.note_damage(RUN, "verify", {first.name: ["b", "not\udcffutf8"]})
    assert json.loads((backups.root / sets.DAMAGE).read_bytes()) == {first.name: ["b", "not\udcffutf8"]}
    assert not lifecycle.note_damage(RUN, "verify", {first.name: ["b"]})
    assert lifecycle.note_damage(RUN, "verify", {first.name: ["a"], second.name: ["a"]})
    assert area.damaged(first.name) == {"a", "b", "not\udcffutf8"}
    assert area.damaged(second.name) == {"a"}
    assert area.good_ids() == []

    first.rename(backups.root / "elsewhere")
    assert lifecycle.note_damage(RUN, "verify", {second.name: ["c"]})
    assert json.loads((backups.root / sets.DAMAGE).read_bytes()) == {second.name: ["a", "c"]}
    assert backups.leases().current() is None


def test_what_is_not_damaged_any_more_is_forgotten(backups: Backups) -> None:
    first, second, third = (backups.plant(backups.id(days)).name for days in (-3, -2, -1))
    lifecycle, area = backups.lifecycle(), backups.area()
    lifecycle.note_damage(RUN, "verify", {first: ["a", "b"], second: ["a"]})

    assert lifecycle.noted({first: ["b"], third: ["c"]}, first) == {first: {"b"}, second: {"a"}, third: {"c"}}
    assert lifecycle.noted({}, None) == {first: {"a", "b"}, second: {"a"}, third: frozenset()}
    assert area.damaged(first) == {"a", "b"}
    assert lifecycle.note_damage(RUN, "verify", {first: ["b"]}, first)
    assert [area.damaged(name) for name in (first, second)] == [{"b"}, {"a"}]
    assert not lifecycle.note_damage(RUN, "verify", {first: ["b"]}, first)
    assert lifecycle.note_damage(RUN, "verify", {}, second)
    assert json.loads((backups.root / sets.DAMAGE).read_bytes()) == {first: ["b"]}
    assert area.good_ids() == [second, third]


def test_damage_is_not_noted_in_another_runs_turn(backups: Backups) -> None:
    name = backups.back_up(a_source())
    backups.open()

    with pytest.raises(LeaseHeld, match=RUN):
        backups.lifecycle().note_damage(OTHER_RUN, "verify", {name: ["x"]})
    assert backups.area().damaged(name) == frozenset()


def test_the_next_set_links_to_the_newest_one_that_has_the_source(backups: Backups) -> None:
    old, new = backups.back_up(journal=b"old"), backups.back_up(journal=b"new")
    backups.back_up(a_source("other"))
    backups.open()

    def linked_to() -> str | None:
        with backups.lifecycle().filling(RUN) as filling:
            previous = filling.previous(NOTES)
        return previous.path.relative_to(backups.root).parts[0] if previous else None

    assert linked_to() == new
    listing = sets.listing_path(backups.area().path(new), NOTES)
    grow(backups.root, {sets.DAMAGE: json.dumps({new: [f"listings/{NOTES}.jsonl"]}).encode()})
    assert linked_to() == old
    (backups.root / sets.DAMAGE).unlink()
    listing.chmod(0o600)
    listing.write_bytes(b"garbage\n")
    assert linked_to() == old
    (backups.area().path(old) / NOTES).rename(backups.area().path(old) / "lost")
    assert linked_to() is None


def test_damaged_files_are_not_linked_to_but_their_neighbours_are(backups: Backups) -> None:
    name = backups.back_up(journal=b"words", other=b"words")
    damaged = [f"{NOTES}/journal", "volumes/notes2/other", "SHA256SUMS"]
    backups.lifecycle().note_damage(RUN, "verify", {name: damaged})
    backups.open()

    with backups.lifecycle().filling(RUN) as filling:
        previous = filling.previous(NOTES)
        assert previous is not None
        assert previous.unusable == {"journal"}


def test_a_source_that_is_saved_again_begins_afresh(backups: Backups) -> None:
    backups.open()
    backups.save(NOTES, {"journal": b"words"})

    with backups.lifecycle().filling(RUN) as filling:
        place = filling.place(NOTES)
        assert not place.exists()
        assert place.parent.stat().st_mode & 0o7777 == 0o700
        with pytest.raises(UsageError):
            filling.place("../escape")


def test_of_two_processes_at_once_one_opens_a_set(backups: Backups) -> None:
    refused = at_once(RUNS, backups.open)

    (opening,) = [sets.load_opening(backups.area().partial(name)) for name in backups.area().partials()]
    assert {opening.run} == set(RUNS) - refused


def test_a_run_may_hold_the_lease_without_a_set(backups: Backups) -> None:
    half = grow(backups.area().partial(backups.id(days=-9)), {"volumes/a": b"half"})
    recovered = backups.lifecycle().hold(RUN, "drill")

    assert (recovered, half.exists()) == ([f"removed: {half}"], False)
    with pytest.raises(LeaseHeld, match=r"\(drill on "):
        backups.open(OTHER_RUN)
    assert backups.lifecycle().abort(RUN) is None
    assert backups.open(OTHER_RUN).run == OTHER_RUN


def test_a_source_that_has_vanished_is_missed_until_it_is_forced(backups: Backups) -> None:
    app, notes = a_source("volumes/app"), a_source(NOTES)
    first = backups.back_up(app, notes)
    backups.open()
    backups.enter(notes)
    lifecycle = backups.lifecycle()

    with pytest.raises(
        SourceRefused, match=rf"source volumes/app was expected as in set {first}, .*force.*volumes/app"
    ):
        lifecycle.commit(RUN, [NOTES], 50, (), ["volumes"])
    lifecycle.commit(RUN, [NOTES], 50, ["volumes/app"], ["volumes"])
    backups.now += DAY
    backups.open()
    backups.enter(notes)
    assert set(lifecycle.commit(RUN, [NOTES], 50, (), ["volumes"]).sources) == {NOTES}


def test_only_the_kinds_that_are_saved_may_miss_something(backups: Backups) -> None:
    backups.back_up(a_source("volumes/app"), a_source(NOTES))
    backups.open(purpose=sets.PARTLY)
    backups.enter(a_source("prometheus"))
    backups.commit("prometheus")
    backups.now += DAY
    backups.open()
    backups.enter(a_source("prometheus"))
    lifecycle = backups.lifecycle()

    with pytest.raises(SourceRefused, match="source volumes/app was expected"):
        lifecycle.commit(RUN, ["prometheus"], 50, (), ["volumes"])
    assert set(lifecycle.commit(RUN, ["prometheus"], 50, ()).sources) == {"prometheus"}


def test_a_run_that_prunes_keeps_the_set_that_it_has_open(backups: Backups) -> None:
    opened = backups.open()
    backups.lifecycle().prune(RUN, "backup", 7)

    assert backups.area().partials() == [opened.id]


def test_a_set_that_was_forced_does_not_push_out_the_good_one_of_its_day(backups: Backups) -> None:
    good = backups.back_up(a_source(files=100))
    backups.now -= DAY - 3600
    backups.open()
    backups.enter(a_source(files=1))
    forced = backups.commit(forced=(NOTES,)).id

    assert backups.lifecycle().doomed(7) == []
    assert backups.area().ids() == [good, forced]


def test_a_site_without_volumes_misses_none_of_those_that_it_had(backups: Backups) -> None:
    backups.back_up(a_source(NOTES), a_source("prometheus"))
    for force in ([NOTES], []):
        backups.open()
        backups.enter(a_source("prometheus"))
        backups.lifecycle().commit(RUN, ["prometheus"], 50, force, ["volumes"])
        backups.now += DAY
