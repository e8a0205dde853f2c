# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill beside the site decides: which containers are copied on which data, and what a result means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Asked
from ansible_collections.flatnet.ops.plugins.module_utils.site_drill import (
    Answer,
    Drilled,
    count_lines,
    cover,
    disturbed,
    place_of,
    plan,
    windows_path,
)
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_containers import Bind, Original, Tree
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_gateway import ELSEWHERE, FAILED, GOOD, Visit
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer as Reply

from tests.unit.plugins.module_utils.conftest import a_source
from tests.unit.plugins.module_utils.test_throwaway import described, mount

pytestmark = pytest.mark.unit


def an_image(_original: Original) -> str:
    """Every image is on the host."""
    return "image"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A source of a set."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "app.conf").write_text("x")
    return tmp_path / "saved"


def test_a_mount_is_replaced_by_what_the_set_holds_of_it(saved: Path) -> None:
    trees = [Tree(Path("/opt/site"), saved, Path("/d/stack")), Tree(Path("/v/_data/inner"), saved, Path("/d/inner"))]
    mounts = [
        mount("/opt/site/app.conf", "/etc/app.conf", writable=False),
        mount("/opt/site", "/site"),
        mount("/v/_data", "/data", volume="v"),
        mount("/proc", "/host/proc", writable=False),
    ]

    assert cover(Original(described(Mounts=mounts)), trees) == (
        [
            Bind(Path("/d/stack/app.conf"), Path("/etc/app.conf"), writable=False),
            Bind(Path("/d/stack"), Path("/site"), writable=True),
            Bind(Path("/d/inner"), Path("/data/inner"), writable=True),
        ],
        None,
    )


@pytest.mark.parametrize("source", ["/elsewhere", "/opt/site/missing"])
def test_a_mount_that_a_container_writes_to_must_be_in_the_set(source: str, saved: Path) -> None:
    original = Original(described(Mounts=[mount(source, "/data")]))

    assert cover(original, [Tree(Path("/opt/site"), saved, Path("/d/stack"))]) == ([], Path("/data"))


def test_a_mount_is_found_behind_a_link(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    original = Original(described(Mounts=[mount(tmp_path / "link", "/data")]))

    assert cover(original, [Tree(tmp_path / "real", saved, Path("/d/copy"))])[0] == [
        Bind(Path("/d/copy"), Path("/data"), writable=True)
    ]


def test_what_is_copied_and_what_is_left_out() -> None:
    originals = [
        Original(one)
        for one in (
            described("app"),
            described("skipped"),
            described("at-rest", State={"Status": "exited"}),
            described("on-host", HostConfig={"NetworkMode": "host"}),
            described("beside-host", HostConfig={"NetworkMode": "container:id-on-host"}),
            described("lost", HostConfig={"NetworkMode": "container:gone"}),
            described("no-image"),
            described("writes", Mounts=[mount("/srv", "/data")]),
        )
    ]

    found = plan("drill", originals, [], ["skipped"], lambda one: None if one.name == "no-image" else one.image)

    network = "it uses a network that cannot be copied: the host's own, or that of a container which is not there"
    assert [copy.name for member in found.members for copy in member.copies] == ["drill-app"]
    assert found.left_out == {
        "skipped": "left out by the operator",
        "at-rest": "it did not run",
        "on-host": network,
        "beside-host": network,
        "lost": network,
        "no-image": "its image localhost/no-image:1 is not on this host",
        "writes": "no source of the set holds /data, where it writes",
    }


def test_containers_of_a_pod_share_their_network() -> None:
    networks = {"flatnet": {"IPAddress": "10.100.0.9", "IPPrefixLen": 16, "Aliases": ["pod"]}}
    infra = described("infra", IsInfra=True, NetworkSettings_Networks=networks)
    infra["NetworkSettings"]["Ports"] = {"80/tcp": [{"HostPort": "8080"}]}
    inside = described("app", HostConfig={"NetworkMode": "container:id-infra"})

    found = plan("drill", [Original(infra), Original(inside), Original(described("other"))], [], [], an_image)

    first, second = found.members
    assert [copy.name for copy in first.copies] == ["drill-app"]
    assert (first.addresses, first.names, first.ports) == (("10.100.0.9/16",), ("infra", "pod", "app"), {8080: 80})
    assert (first.namespace, second.namespace) == ("drill-0", "drill-1")
    assert first.address != second.address
    assert found.left_out == {}


def test_many_members_have_addresses_of_their_own() -> None:
    originals = [Original(described(f"app{number}")) for number in range(600)]

    found = plan("drill", originals, [], [], an_image)

    assert len({member.address for member in found.members}) == 600
    assert all(int(part) < 256 for member in found.members for part in member.address.split("."))


def test_where_a_source_was() -> None:
    mounts = [mount("/v/_data", "/data", volume="v")]
    originals = [Original(described("app", Mounts=mounts))]
    place = {
        name: place_of(a_source(place=given), originals)
        for name, given in {
            "volume": {"volume": "v"},
            "unused": {"volume": "w"},
            "inside": {"container": "app", "path": "/data/db"},
            "gone": {"container": "nobody", "path": "/data"},
            "path": {"path": "/opt/site"},
            "unknown": {},
        }.items()
    }

    assert place == {
        "volume": Path("/v/_data"),
        "unused": None,
        "inside": Path("/v/_data/db"),
        "gone": None,
        "path": Path("/opt/site"),
        "unknown": None,
    }


@pytest.mark.parametrize(
    ("path", "windows"),
    [("/mnt/c/openresty", "C:/openresty"), ("/mnt/d/a/b", "D:/a/b"), ("/srv/openresty", "C:/openresty")],
)
def test_the_gateway_as_windows_calls_it(path: str, windows: str) -> None:
    assert windows_path(Path(path)) == windows


def test_a_site_that_was_disturbed_is_told() -> None:
    before = [described("same"), described("stopped"), described("restarted"), described("gone")]
    after = [
        described("same"),
        described("stopped", State={"Status": "exited", "StartedAt": "2026-11-24T02:15:00Z"}),
        described("restarted", State={"Status": "running", "StartedAt": "2026-11-24T03:15:00Z"}),
        described("new"),
    ]

    assert [words.split()[1] for words in disturbed(before, after)] == ["stopped", "restarted", "gone"]


class Loki:
    """A Loki that notes what it is asked, and has two lines."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Reply:
        """Answer with two streams."""
        del body
        self.asked.append(params or {})
        streams = [{"values": [["1", "a"]]}, {"values": [["2", "b"]]}]
        return Reply(method, url, 200, json.dumps({"status": "success", "data": {"result": streams}}))


def test_lines_are_searched_in_the_hour_that_was_counted() -> None:
    loki = Loki()
    asked = [
        Asked("rate(x)", 1.0, "1", "1", True),
        Asked('sum(count_over_time({job=~".+"}[1h]))', 7200.0, "2", "2", True),
    ]

    assert count_lines(loki, "http://loki", asked) == 2
    assert loki.asked == [
        {"query": '{job=~".+"}', "start": "3600000000000", "end": "7200000000000", "limit": "5"},
    ]


def test_lines_that_nothing_was_noted_of_are_not_searched() -> None:
    assert count_lines(Loki(), "http://loki", [Asked("rate(x)", 1.0, "1", "1", True)]) == 0


GOOD_DRILL = Drilled(
    files=1,
    bytes=1,
    sources=("gateway",),
    containers=("app",),
    left_out={"app-mail": "left out by the operator", "old": "it did not run"},
    not_running={},
    silent={},
    asked=(("loki", Asked("count", 1.0, "9", "9", True)), ("loki", Asked("old", 1.0, "9"))),
    gateway=Answer(
        "yes", "the restored gateway: 1 of 1 routes answer", visits=(Visit("http://a/", "a:1", GOOD, "200 OK"),)
    ),
    dashboards=Answer("absent", "the set holds no dashboards"),
    logs=Answer("yes", "as before"),
    disturbed=(),
    seconds=1.0,
)


def test_a_good_drill_has_no_problems() -> None:
    assert (GOOD_DRILL.problems, GOOD_DRILL.warnings) == ([], [])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"not_running": {"app": "exited: no file"}},
            "container app does not run on the restored data (exited: no file)",
        ),
        ({"silent": {"loki": "it was expected to be ready"}}, "loki: it was expected to be ready"),
        (
            {"asked": (("loki", Asked("count", 1.0, "9", "8", False)),)},
            "loki was expected to answer 9 to 'count', and answers 8",
        ),
        ({"gateway": Answer("no", "0 of 1 routes")}, "0 of 1 routes"),
        ({"logs": Answer("no", "logs cannot be searched")}, "logs cannot be searched"),
    ],
)
def test_each_problem_is_named(given: dict[str, Any], words: str) -> None:
    assert replace(GOOD_DRILL, **given).problems == [words]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"left_out": {"db": "no image"}}, "db was not started: no image"),
        ({"disturbed": ("container app was stopped",)}, "container app was stopped"),
        (
            {"gateway": Answer("yes", "", visits=(Visit("http://a/", "a:1", ELSEWHERE, "nobody publishes it"),))},
            "http://a/: nobody publishes it",
        ),
    ],
)
def test_each_warning_is_named(given: dict[str, Any], words: str) -> None:
    found = replace(GOOD_DRILL, **given)

    assert (found.warnings, found.problems) == ([words], [])


def test_a_route_that_failed_is_no_mere_warning() -> None:
    visit = Visit("http://a/", "a:1", FAILED, "502 Bad Gateway")

    assert replace(GOOD_DRILL, gateway=Answer("no", "0 of 1", visits=(visit,))).warnings == []
