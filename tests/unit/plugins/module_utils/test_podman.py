# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers as the workflows see them: who uses a path, and which command puts whom to rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.podman import (
    Container,
    Mount,
    Podman,
    quiesce_command,
    resting,
    resume_command,
)

from tests.unit.plugins.module_utils.conftest import AddProgram, PodmanHost

pytestmark = pytest.mark.unit

MOUNTS = (
    Mount(Path("/var/volumes/data"), Path("/prometheus"), "data"),
    Mount(Path("/srv/snapshots"), Path("/prometheus/snapshots"), None),
    Mount(Path("/etc/prometheus.yml"), Path("/etc/prometheus.yml"), None),
)


@pytest.mark.parametrize(
    ("inside", "host"),
    [
        ("/prometheus", "/var/volumes/data"),
        ("/prometheus/wal/1", "/var/volumes/data/wal/1"),
        ("/prometheus/snapshots/x", "/srv/snapshots/x"),
        ("/etc/prometheus.yml", "/etc/prometheus.yml"),
        ("/prometheus2", None),
        ("/", None),
        ("data/", None),
    ],
)
def test_a_path_inside_is_found_on_the_host_by_the_deepest_mount(inside: str, host: str | None) -> None:
    assert Container("p", "running", MOUNTS, "i").host_path(Path(inside)) == (host and Path(host))


@pytest.mark.parametrize(
    ("how", "rest", "resume", "states"),
    [
        ("paused", "podman pause a b", "podman unpause a b", {"paused"}),
        ("stopped", "podman stop --time 30 a b", "podman start a b", {"exited", "stopped"}),
    ],
)
def test_each_way_to_rest_has_its_commands(how: str, rest: str, resume: str, states: set[str]) -> None:
    assert " ".join(quiesce_command(how, ["a", "b"])) == rest
    assert " ".join(resume_command(how, ["a", "b"])) == resume
    assert set(resting(how)) == states


def test_a_host_without_containers(podman_host: PodmanHost) -> None:
    assert Podman().containers() == []
    assert Podman().using(podman_host.directory) == []


def test_containers_are_read_with_their_mounts(podman_host: PodmanHost) -> None:
    podman_host.add("b", status="exited")
    nameless: dict[str, Any] = {"": (Path("/etc/x"), "/x")}
    podman_host.add("a", data=(Path("/var/volumes/data"), "/data"), **nameless)
    podman = Podman()

    assert [(one.name, one.running) for one in podman.containers()] == [("a", True), ("b", False)]
    mounts = (Mount(Path("/var/volumes/data"), Path("/data"), "data"), Mount(Path("/etc/x"), Path("/x"), None))
    assert podman.container("a") == Container("a", "running", mounts, "app:1.0")
    assert podman.statuses(["b", "a"]) == {"b": "exited", "a": "running"}


def test_a_container_that_is_not_there_is_named_with_those_that_are(podman_host: PodmanHost) -> None:
    with pytest.raises(UsageError, match=r"container 'c' was expected on this host; 'podman ps --all' shows none"):
        Podman().container("c")
    for name in ("b", "a"):
        podman_host.add(name)
    with pytest.raises(UsageError, match="shows a, b"):
        Podman().container("c")


def test_whoever_sees_a_part_of_a_path_uses_it(podman_host: PodmanHost) -> None:
    for name, source in {"same": "/v/data", "below": "/v/data/x", "above": "/v", "beside": "/v/data2"}.items():
        podman_host.add(name, mount=(Path(source), "/in"))
    podman_host.add("nothing")

    assert [one.name for one in Podman().using(Path("/v/data"))] == ["above", "below", "same"]


def test_a_path_is_used_under_all_its_names(podman_host: PodmanHost, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    for name in ("data", "link", "link/sub"):
        podman_host.add(name.replace("/", "-"), mount=(tmp_path / name, "/in"))

    for name in ("data", "link"):
        assert [one.name for one in Podman().using(tmp_path / name)] == ["data", "link", "link-sub"]


def test_a_container_that_is_gone_is_told_as_removed(podman_host: PodmanHost) -> None:
    podman_host.add("writer", "paused")

    assert Podman().statuses(["writer", "gone"]) == {"writer": "paused", "gone": "removed"}


def test_who_only_reads_uses_a_tree_unless_it_sees_the_whole_host(podman_host: PodmanHost, tmp_path: Path) -> None:
    data = tmp_path / "host" / "data"
    (data / "sub").mkdir(parents=True)
    for kind in ("reader", "writer"):
        for name, place in (("above", data.parent), ("at", data), ("below", data / "sub")):
            podman_host.add(f"{kind}-{name}", writable=kind == "writer", mount=(place, "/in"))

    writers = ["writer-above", "writer-at", "writer-below"]
    assert [one.name for one in Podman().using(data)] == ["reader-at", "reader-below", *writers]
    assert [one.name for one in Podman().using(data, writing=True)] == writers


@pytest.mark.parametrize(
    ("status", "running", "at_rest"),
    [("running", True, False), ("exited", False, True), ("created", False, True), ("paused", False, False)],
)
def test_who_is_paused_neither_runs_nor_rests(status: str, running: bool, at_rest: bool) -> None:
    container = Container("a", status, (), "i")

    assert (container.running, container.at_rest) == (running, at_rest)


def test_a_volume_is_found_and_never_made(podman_host: PodmanHost) -> None:
    assert Podman().mountpoint("data") is None
    assert list(podman_host.directory.iterdir()) == []
    mountpoint = podman_host.add_volume("data")
    assert Podman().mountpoint("data") == mountpoint


def test_a_podman_that_says_less_is_named(add_program: AddProgram) -> None:
    add_program("podman", """echo '[{"Name": "a", "State": {"Status": "running"}, "Mounts": []}]'\n""")

    with pytest.raises(CommandFailed, match=r"was expected to say 'ImageName', .* Podman 4 or later is needed"):
        Podman().container("a")


def test_a_container_that_vanishes_meanwhile_is_left_out(podman_host: PodmanHost, add_program: AddProgram) -> None:
    podman_host.add("a")
    podman_host.add("b")
    real = podman_host.directory.parent / "bin" / "podman"
    program = real.rename(real.with_name("podman-real"))
    add_program(
        "podman", f"""[ "$2" != inspect ] || rm -f '{podman_host.directory}/b.container'\nexec '{program}' "$@"\n"""
    )

    assert [one["Name"] for one in Podman().described()] == ["a"]


def test_a_container_that_cannot_be_described_is_not_left_out(add_program: AddProgram) -> None:
    add_program("podman", """[ "$1" = ps ] && echo a && exit; echo 'Error: storage is damaged' >&2; exit 125\n""")

    with pytest.raises(CommandFailed, match=r"expected to describe every container .* 'Error: storage is damaged'"):
        Podman().described()


def test_what_containers_need_is_read_by_name(podman_host: PodmanHost) -> None:
    assert Podman().networks() == Podman().volumes() == Podman().pods() == Podman().images([]) == []
    image = {"Id": "1f", "RepoTags": ["localhost/app:1.0"]}
    needs = {"network": {"name": "n"}, "volume": {"Name": "v"}, "pod": {"Name": "p"}}
    podman_host.put("image", "it", image)
    for kind, one in needs.items():
        podman_host.put(kind, "it", one)
    podman = Podman()

    assert (podman.networks(), podman.volumes(), podman.pods()) == ([{"name": "n"}], [{"Name": "v"}], [{"Name": "p"}])
    assert podman.images({"1f"}) == [image]
    assert podman.image_id("localhost/app:1.0") == "1f"
    assert [podman.exists(kind, name) for kind, name in (("network", "n"), ("image", "1f"), ("pod", "v"))] == [1, 1, 0]
    assert podman.version() == "4.3.1"
