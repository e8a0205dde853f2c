# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saving a Prometheus, as far as it needs no server: its directory, its questions, its blocks, its guard."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Question
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    AdminApiOff,
    CopyFailed,
    OpsError,
    ServerError,
    SnapshotMissing,
    SourceRefused,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus_snapshot import (
    SCRAPES,
    SERIES,
    PrometheusSnapshot,
    _remove_new,
)
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import Block

from tests.unit.plugins.module_utils.conftest import (
    RUN,
    ULIDS,
    AddProgram,
    Backups,
    PodmanHost,
    Server,
    a_block,
    expect_no_guard,
    grow,
    in_secret,
    success,
    vector,
)

pytestmark = pytest.mark.unit

FLAGS, QUERY, SNAPSHOT = "/api/v1/status/flags", "/api/v1/query", "/api/v1/admin/tsdb/snapshot"
DAY_MS = 86_400_000
NAME = "20261124T021500Z-4c8a"


def flags(path: str = "/prometheus", admin: str = "true") -> Server:
    """A server started so."""
    return Server({FLAGS: success({"web.enable-admin-api": admin, "storage.tsdb.path": path})})


def saver(
    server: Server,
    container: str | None = None,
    data_dir: Path | None = None,
    *questions: Question,
    undo: Path = Path("/none"),
    watch: Callable[[Effect], None] | None = None,
) -> PrometheusSnapshot:
    """What saves a Prometheus."""
    effects = Effects(watch)
    asked = Prometheus("http://h:9090", server, effects)
    return PrometheusSnapshot(effects, asked, Podman(), container, data_dir, questions, undo)


def test_the_data_lies_where_the_container_has_its_mount(podman_host: PodmanHost, tmp_path: Path) -> None:
    grow(tmp_path / "volume" / "tsdb", {})
    podman_host.add("flatnet-prometheus", data=(tmp_path / "volume", "/prometheus"))

    assert saver(flags("/prometheus/tsdb"), "flatnet-prometheus").data() == tmp_path / "volume/tsdb"
    assert saver(flags(), None, tmp_path).data() == tmp_path
    assert saver(Server({FLAGS: success({})}), None, tmp_path).data() == tmp_path


@pytest.mark.parametrize(
    ("server", "container", "data_dir", "error", "words"),
    [
        (
            flags(admin="false"),
            None,
            "there",
            AdminApiOff,
            "--web.enable-admin-api, and runs without: .*flatnet.ops.setup",
        ),
        (flags("/data"), "p", None, SnapshotMissing, "keeps its data in /data inside container p, and no mount"),
        (flags("data/"), "p", None, SnapshotMissing, "keeps its data in data/ inside container p"),
        (
            flags("/prometheus/no"),
            "p",
            None,
            SourceRefused,
            r"expected at .*/volume/no on this host, .*calls it /prometheus/no",
        ),
        (flags(), None, "not-there", SourceRefused, "not-there on this host, .*the earlier sets are untouched"),
        (flags(), None, None, SourceRefused, "expected at None on this host"),
    ],
)
def test_a_server_that_cannot_be_saved_is_refused_by_name(
    podman_host: PodmanHost,
    tmp_path: Path,
    server: Server,
    container: str | None,
    data_dir: str | None,
    error: type[OpsError],
    words: str,
) -> None:
    for name in ("there", "volume"):
        (tmp_path / name).mkdir()
    podman_host.add("p", data=(tmp_path / "volume", "/prometheus"))

    with pytest.raises(error, match=words) as caught:
        saver(server, container, tmp_path / data_dir if data_dir else None).data()
    assert "http://h:9090" in str(caught.value)


@pytest.mark.parametrize(
    ("blocks", "asked"),
    [
        (0, range(0)),
        (1, range(1)),
        (50, range(50)),
        (51, range(0, 51, 2)),
        (120, range(0, 120, 3)),
    ],
)
def test_at_most_fifty_blocks_are_asked_about_and_the_last_settled_hour(blocks: int, asked: range) -> None:
    server = Server({QUERY: vector("9")})
    there = [Block(str(number), number * 2000, number * 2000 + 1000, 1, 1) for number in range(blocks)]

    probes = list(saver(server)._ask(there, 9999))
    assert probes == [*(Probe(SERIES, number * 2 + 0.5, "9") for number in asked), Probe(SCRAPES, 9999, "9")]
    assert {method for method, _path, _params in server.asked} == {"GET"}


@pytest.mark.parametrize(
    ("retention", "days"), [("3d", [2, 3, 4]), ("36h", [3, 4]), ("0s", [0, 1, 2, 3, 4]), (None, [0, 1, 2, 3, 4])]
)
def test_only_blocks_that_a_restored_server_keeps_are_asked_about(retention: str | None, days: list[int]) -> None:
    there = [Block(str(begin), begin * DAY_MS, (begin + 1) * DAY_MS, 1, 1) for begin in (-20, 0, 1, 2, 3, 4)]
    server = Server({FLAGS: success({"storage.tsdb.retention.time": retention} if retention else {})})

    assert [block.min_time // DAY_MS for block in saver(server)._lasting(there)] == days
    assert saver(server)._lasting([]) == []


def test_our_own_questions_may_have_no_answer() -> None:
    assert list(saver(Server({QUERY: vector()}))._ask([Block("a", 0, 1, 1, 1)], 9999)) == []


def test_the_operators_questions_come_first_and_need_an_answer() -> None:
    questions = (Question("up", None), Question("down", 5.0))

    probes = list(saver(Server({QUERY: vector("1")}), None, None, *questions)._ask([], 9999))
    assert probes == [Probe("up", 9999, "1"), Probe("down", 5.0, "1"), Probe(SCRAPES, 9999, "1")]
    with pytest.raises(ServerError, match=r"the probe 'up' was expected to have an answer at 9999, .* mend the probe"):
        list(saver(Server({QUERY: vector()}), None, None, *questions)._ask([], 9999))


def a_prometheus(tmp_path: Path, *blocks: str) -> tuple[Server, Path]:
    """A server whose snapshot appears in its data directory."""
    data = tmp_path / "prometheus"
    for ulid in blocks:
        a_block(data / "snapshots" / NAME, ulid)
    data.mkdir(exist_ok=True)
    server = flags()
    server.answers[SNAPSHOT] = success({"name": NAME})
    server.answers[QUERY] = vector("9")
    server.answers["/api/v1/status/buildinfo"] = success({"version": "2.42.0"})
    return server, data


@pytest.fixture
def no_waiting(add_program: AddProgram) -> None:
    """Stands for the time that passes while nothing appears any more."""
    add_program("sleep", "exit 0\n")


@pytest.mark.usefixtures("systemd_run")
def test_a_snapshot_is_saved_with_what_was_asked_and_removed(backups: Backups, tmp_path: Path) -> None:
    server, data = a_prometheus(tmp_path, *ULIDS[:2])
    backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        source = saver(server, None, data, undo=backups.undo).save(filling)

    assert (source.kind, source.consistency, source.containers) == ("prometheus", "snapshot", ())
    assert source.origin == f"http://h:9090 ({data})"
    assert (source.software, source.facts) == ({"prometheus": "2.42.0"}, {"blocks": 2, "samples": 240})
    assert [probe.answer for probe in source.probes] == ["9", "9", "9"]
    assert list((data / "snapshots").iterdir()) == []
    expect_no_guard(backups.undo)
    manifest = backups.commit("prometheus")
    assert {path.name for path in (backups.area().path(manifest.id) / "prometheus").iterdir()} == set(ULIDS[:2])


@pytest.mark.usefixtures("systemd_run")
def test_a_block_that_a_restored_server_drops_is_saved_and_not_asked_about(backups: Backups, tmp_path: Path) -> None:
    server, data = a_prometheus(tmp_path, ULIDS[0])
    a_block(data / "snapshots" / NAME, ULIDS[1], begin=30 * DAY_MS)
    backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        source = saver(server, None, data, undo=backups.undo).save(filling)

    assert source.facts["blocks"] == 2
    asked = [probe.at for probe in source.probes if probe.question == SERIES]
    assert asked == [(30 * DAY_MS + 3_600_000) / 1000]


@pytest.mark.usefixtures("systemd_run", "no_waiting")
def test_a_snapshot_that_is_not_here_is_named(backups: Backups, tmp_path: Path) -> None:
    server, data = a_prometheus(tmp_path)
    backups.open()

    with (
        backups.lifecycle().filling(RUN) as filling,
        pytest.raises(
            SnapshotMissing,
            match=rf"snapshots/{NAME} does not .*; correct it, and remove that snapshot where the server has it",
        ),
    ):
        saver(server, None, data, undo=backups.undo).save(filling)
    expect_no_guard(backups.undo)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("index", r"index begins with 67617262, expected baaad700 \(1 such files\)"),
        ("meta.json", "meta.json is not the description of a block"),
    ],
)
@pytest.mark.usefixtures("systemd_run", "no_waiting")
def test_a_snapshot_that_is_broken_is_removed_as_well(backups: Backups, tmp_path: Path, file: str, words: str) -> None:
    server, data = a_prometheus(tmp_path, *ULIDS[:2])
    (data / "snapshots" / NAME / ULIDS[1] / file).write_bytes(b"garbage")
    backups.open()

    words = f"hold whole blocks, and {ULIDS[1]}/{words}"
    with backups.lifecycle().filling(RUN) as filling, pytest.raises(CopyFailed, match=words):
        saver(server, None, data, undo=backups.undo).save(filling)
    assert list((data / "snapshots").iterdir()) == []


@pytest.mark.usefixtures("systemd_run")
def test_a_block_that_is_linked_to_an_unseen_damage_is_named(backups: Backups, tmp_path: Path) -> None:
    server, data = a_prometheus(tmp_path, ULIDS[0])
    saving = saver(server, None, data, undo=backups.undo)
    snapshot, again = data / "snapshots" / NAME, tmp_path / "again"
    subprocess.run(["cp", "--archive", snapshot, again], check=True)
    opening = backups.open()
    with backups.lifecycle().filling(RUN) as filling:
        saving.save(filling)
    backups.commit("prometheus")
    backups.now += 60
    index = backups.area().path(opening.id) / "prometheus" / ULIDS[0] / "index"
    in_secret(index, lambda path: path.write_bytes(b"garbage"))
    again.rename(snapshot)
    backups.open()

    words = f"{ULIDS[0]}/index begins with 67617262"
    with backups.lifecycle().filling(RUN) as filling, pytest.raises(CopyFailed, match=words):
        saving.save(filling)


@pytest.mark.usefixtures("systemd_run", "no_waiting")
def test_a_server_that_dies_while_it_writes_keeps_its_other_snapshots(backups: Backups, tmp_path: Path) -> None:
    server, data = a_prometheus(tmp_path, ULIDS[0])
    server.answers[SNAPSHOT] = ServerError("no answer")
    backups.open()

    def write_half(effect: Effect) -> None:
        if effect.kind == "http":
            grow(data / "snapshots", {"half/block/index": b""})

    failing = saver(server, None, data, undo=backups.undo, watch=write_half)
    with backups.lifecycle().filling(RUN) as filling, pytest.raises(ServerError, match="no answer"):
        failing.save(filling)
    assert [path.name for path in (data / "snapshots").iterdir()] == [NAME]


def undo(snapshots: Path, earlier: set[str]) -> None:
    """Run the guard's script."""
    subprocess.run(["sh", "-euc", _remove_new(snapshots, earlier)], check=True, capture_output=True)


@pytest.mark.usefixtures("no_waiting")
def test_only_what_is_new_is_removed(tmp_path: Path) -> None:
    for name in ("old", "o * d", "-old", "new", "new\nline", "-n"):
        grow(tmp_path / "snap shots" / name, {"block/index": b"1"})
    (tmp_path / "snap shots" / "file").touch()

    undo(tmp_path / "snap shots", {"old", "o * d", "-old"})

    assert {path.name for path in (tmp_path / "snap shots").iterdir()} == {"old", "o * d", "-old"}


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_never_took_a_snapshot_has_nothing_to_remove(tmp_path: Path) -> None:
    undo(tmp_path / "snapshots", set())

    assert not (tmp_path / "snapshots").exists()


def test_a_server_that_is_still_writing_is_waited_for(tmp_path: Path, add_program: AddProgram) -> None:
    snapshots, count = tmp_path / "snapshots", tmp_path / "count"
    # Stands for a server that begins after four seconds, goes on in the seventh, and is silent for five then.
    add_program(
        "sleep",
        f"""echo >> '{count}'
case "$(wc -l < '{count}')" in 4|7) mkdir -p '{snapshots}/late/block' ;; esac
""",
    )

    undo(snapshots, set())

    assert list(snapshots.iterdir()) == []
    assert len(count.read_bytes()) == 13
