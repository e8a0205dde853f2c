# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generations: a configuration is saved when it has changed, and never when it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import generations as program
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ClockBehind,
    LeaseHeld,
    NoSuchSet,
    SourceRefused,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.generations import Generations, Taken, copied
from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import HandedFile, HandedTree
from ansible_collections.flatnet.ops.plugins.module_utils.lease import Leases
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify

from tests.unit.plugins.module_utils.conftest import OTHER_RUN, RUN, Backups, files, grow, next_tick, rewrite

pytestmark = pytest.mark.unit

CONF = {"nginx.conf": b"events {}\n", "conf.d/notes.conf": b"server {}\n"}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The configuration of a gateway."""
    made = grow(tmp_path / "conf", CONF)
    next_tick()
    return made


def of(backups: Backups, kind: str = "gateway", effects: Effects | None = None) -> Generations:
    """The generations of one kind."""
    return Generations(
        backups.root,
        kind,
        effects or Effects(),
        lambda: backups.now,
        undo_directory=backups.undo,
        journals=backups.restores,
    )


def take(backups: Backups, conf: Path, keep: int = 30, run: str = RUN) -> Taken:
    """Look whether the configuration has changed; an hour goes by."""
    taken = of(backups).take(run, {"gateway": conf}, "timer", "tokyo", "wsl1", keep)
    backups.now += 3600
    return taken


def test_the_first_look_takes_one_that_is_a_whole_set(backups: Backups, conf: Path) -> None:
    taken = take(backups, conf)
    area = of(backups).area

    assert (taken.new, taken.files, area.ids()) == (True, 2, [taken.id])
    assert files(area.path(taken.id) / "gateway") == CONF
    assert verify(area, taken.id).damage == ()
    assert area.manifest(taken.id).sources["gateway"].place == {"path": str(conf)}
    assert backups.leases().current() is None


def test_nothing_is_taken_where_nothing_has_changed(backups: Backups, conf: Path) -> None:
    first = take(backups, conf)
    os.utime(conf / "nginx.conf", (1, 1))

    assert take(backups, conf) == Taken(first.id, False, 2)
    assert of(backups).area.ids() == [first.id]


def take_handed(backups: Backups, **contents: bytes) -> Taken:
    """The same, of a tree that this host does not see; an hour goes by."""
    files = tuple(HandedFile(f"{name}.conf", 1, content) for name, content in contents.items())
    with copied("gateway", HandedTree("C:\\conf on win1", files).pack()) as copies:
        generations = Generations(
            backups.root,
            "gateway",
            Effects(),
            lambda: backups.now,
            undo_directory=backups.undo,
            journals=backups.restores,
            copies=copies,
        )
        taken = generations.take(RUN, {"gateway": Path("/mnt/c/none")}, "timer", "tokyo", "wsl1")
        assert generations.compared(taken.id, with_text=False).changed == []
    backups.now += 3600
    return taken


def test_a_tree_that_another_host_has_handed_over_is_taken_like_any_other(backups: Backups) -> None:
    area = of(backups).area
    first = take_handed(backups, nginx=b"events {}\r\n", more=b"\xff")

    assert (first.new, first.files, verify(area, first.id).damage) == (True, 2, ())
    assert files(area.path(first.id) / "gateway") == {"nginx.conf": b"events {}\r\n", "more.conf": b"\xff"}
    source = area.manifest(first.id).sources["gateway"]
    assert (source.origin, source.place) == ("C:\\conf on win1", {"path": "/mnt/c/none"})
    assert take_handed(backups, nginx=b"events {}\r\n", more=b"\xff") == Taken(first.id, False, 2)
    assert take_handed(backups, nginx=b"events {}\n", more=b"\xff").new


def test_a_tree_without_a_file_is_none(backups: Backups) -> None:
    with pytest.raises(
        SourceRefused, match=r"C:\\conf on win1 was expected to hold the files of source gateway, and holds none"
    ):
        take_handed(backups)


def test_only_the_gateway_has_its_tree_on_another_host() -> None:
    with pytest.raises(UsageError, match="of the gateway alone, and one of cni was"), copied("cni", "x"):
        pass


def test_each_change_is_a_generation_and_what_stays_is_linked(backups: Backups, conf: Path) -> None:
    area = of(backups).area
    taken = [take(backups, conf)]
    grow(conf, {"new.conf": b"new"})
    taken.append(take(backups, conf))
    (conf / "new.conf").unlink()
    taken.append(take(backups, conf))

    assert all(one.new for one in taken)
    assert area.ids() == [one.id for one in taken]
    # The same content again: another time, the same digest.
    assert taken[0].id[17:] == taken[2].id[17:] != taken[1].id[17:]
    assert os.path.samefile(*(area.path(one.id) / "gateway" / "nginx.conf" for one in taken[:2]))


def test_a_link_that_points_elsewhere_is_a_change(backups: Backups, conf: Path) -> None:
    (conf / "enabled").symlink_to("conf.d/notes.conf")
    take(backups, conf)
    (conf / "enabled").unlink()
    (conf / "enabled").symlink_to("nginx.conf")

    assert take(backups, conf).new


def test_a_mode_and_an_empty_directory_are_changes(backups: Backups, conf: Path) -> None:
    first = take(backups, conf)
    (conf / "nginx.conf").chmod(0o600)
    assert "gateway/nginx.conf: " in of(backups).compared(first.id, with_text=True).diff
    assert take(backups, conf).new
    (conf / "empty").mkdir()

    assert take(backups, conf).new


def test_one_that_is_taken_before_a_change_removes_none(backups: Backups, conf: Path) -> None:
    first = take(backups, conf)
    rewrite(conf / "nginx.conf")
    of(backups).take(RUN, {"gateway": conf}, "before", "tokyo", "wsl1", 1)

    assert first.id in of(backups).area.ids()


@pytest.mark.parametrize("keep", [0, -1])
def test_the_newest_one_never_goes(backups: Backups, conf: Path, keep: int) -> None:
    with pytest.raises(UsageError, match="keep was expected to be 1 or more"):
        take(backups, conf, keep)


def test_one_that_is_dated_in_the_future_is_not_followed(backups: Backups, conf: Path) -> None:
    backups.now += 10**6
    ahead = take(backups, conf)
    backups.now -= 10**6 + 7200
    assert take(backups, conf) == Taken(ahead.id, False, 2)
    rewrite(conf / "nginx.conf")

    with pytest.raises(ClockBehind, match=rf"'mv .*{ahead.id} .*\.set-aside'"):
        take(backups, conf)
    assert backups.leases().current() is None


def test_only_what_is_there_is_looked_at_where_something_may_be_missing(
    backups: Backups, conf: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    trees = {"cni/net.d": conf, "cni/bin": tmp_path / "empty", "cni/none": tmp_path / "none"}

    assert of(backups, "cni").there(trees) == {"cni/net.d": conf}


def test_only_the_newest_ones_stay(backups: Backups, conf: Path) -> None:
    taken = []
    for number in range(5):
        (conf / "nginx.conf").write_text(f"# {number}\n")
        taken.append(take(backups, conf, keep=3).id)

    assert of(backups).area.ids() == taken[2:]


@pytest.mark.parametrize(
    ("mounted", "words"),
    [(True, "was expected to hold the files of source gateway, and is empty"), (False, "and is not there: mount it")],
)
def test_a_drive_that_is_not_mounted_makes_no_generation(
    backups: Backups, tmp_path: Path, mounted: bool, words: str
) -> None:
    path = tmp_path / "mnt"
    if mounted:
        path.mkdir()
    with pytest.raises(SourceRefused, match=words):
        take(backups, path)
    assert of(backups).area.ids() == []


def test_a_run_that_is_at_work_keeps_its_lease_and_its_open_set(backups: Backups, conf: Path) -> None:
    opened = backups.open()
    take(backups, conf)

    assert backups.leases().current() is not None
    assert backups.area().partials() == [opened.id]
    backups.now -= 3600
    with pytest.raises(LeaseHeld, match=f"run {RUN} "):
        take(backups, grow(conf, {"more": b"1"}), run=OTHER_RUN)


def test_what_a_dead_run_has_begun_is_removed(backups: Backups, conf: Path) -> None:
    area = of(backups).area
    grow(area.partial(backups.id(days=-1)), {"gateway/half": b"1"})
    taken = take(backups, conf)

    assert (area.partials(), area.ids()) == ([], [taken.id])


def test_a_set_links_to_the_newest_one_and_names_it(backups: Backups, conf: Path) -> None:
    taken = take(backups, conf)
    rewrite(conf / "nginx.conf")
    backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        (saved,) = of(backups).save(filling)
    made = backups.commit("gateway")

    assert (saved.facts, saved.linked_files) == ({"generation": taken.id}, 2)
    assert files(backups.area().path(made.id) / "gateway") == CONF
    places = [area.path(name) for area, name in ((of(backups).area, taken.id), (backups.area(), made.id))]
    assert os.path.samefile(*(place / "gateway" / "nginx.conf" for place in places))
    assert verify(backups.area(), made.id).damage == ()


def test_there_is_nothing_to_save_without_a_generation(backups: Backups) -> None:
    backups.open()
    with backups.lifecycle().filling(RUN) as filling, pytest.raises(NoSuchSet, match="a generation of gateway"):
        of(backups).save(filling)


def test_a_generation_is_compared_with_the_present(backups: Backups, conf: Path) -> None:
    (conf / "plugin").write_bytes(b"\0program")
    taken = take(backups, conf)
    (conf / "nginx.conf").write_text("events { }\n")
    (conf / "conf.d" / "notes.conf").unlink()
    grow(conf, {"new\nname": b"1", "plugin": b"\0other"})
    found = of(backups).compared(taken.id, with_text=True)

    assert (found.reason, found.added, found.removed) == (
        "timer",
        ["gateway/new\\nname"],
        ["gateway/conf.d/notes.conf"],
    )
    assert found.changed == ["gateway/nginx.conf", "gateway/plugin"]
    assert "-events {}\n+events { }\n" in found.diff
    assert "Binary files a/gateway/plugin and b/gateway/plugin differ\n" in found.diff
    assert of(backups).compared(taken.id, with_text=False).diff == ""


def test_a_timer_takes_every_kind_that_it_is_given(
    backups: Backups, conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = grow(tmp_path / "bin", {"flatnet-cni": b"#!/bin/sh\n"})
    given = ["--root", str(backups.root), "--site", "tokyo", "--host", "wsl1", "--tree", f"gateway={conf}"]
    trees = ["--tree", f"cni/net.d={conf}", "--tree", f"cni/bin={plugins}"]

    assert program.main([*given, *trees]) == 0
    assert [len(of(backups, kind).area.ids()) for kind in ("gateway", "cni")] == [1, 1]
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["gateway: new", "cni: new"]


def test_a_timer_fails_where_a_tree_is_missing_and_waits_where_a_run_is_at_work(
    backups: Backups, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--root", str(backups.root), "--site", "tokyo", "--host", "wsl1"]
    lost = program.main([*given, "--tree", "gateway=/nowhere", "--tree", f"cni/net.d={conf}"])

    assert lost == 1
    assert "directory /nowhere was expected" in capsys.readouterr().err
    assert len(of(backups, "cni").area.ids()) == 1
    with Leases(backups.root, Effects()).claimed(OTHER_RUN, "backup", 10**6):
        pass
    assert program.main([*given, "--tree", f"gateway={conf}"]) == 0
    assert "gateway: not looked at: the backup directory" in capsys.readouterr().out
