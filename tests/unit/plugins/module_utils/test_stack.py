# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The monitoring stack: whose containers it has, and that it is up only when every service says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady, ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.stack import Service, Stack, not_running

from tests.unit.plugins.module_utils.conftest import AddProgram, PodmanHost, Server, grow

pytestmark = pytest.mark.unit

READY = {"flatnet-prometheus": "http://h/prometheus", "flatnet-alertmanager": "http://h/alertmanager"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a compose file."""
    return grow(tmp_path / "monitoring", {"compose.yml": b"services: {}\n"})


def stack(project: Path, server: Server | None = None, effects: Effects | None = None) -> Stack:
    """The stack of that folder."""
    return Stack(effects or Effects(), server or Server(), project, "compose.yml")


def test_a_stack_without_its_file_is_refused(project: Path) -> None:
    (project / "compose.yml").unlink()

    with pytest.raises(UsageError, match=rf"{project}/compose.yml was expected on this host, and is not there"):
        stack(project)


def test_only_the_projects_containers_are_its_services(project: Path, podman_host: PodmanHost) -> None:
    podman_host.add("flatnet-prometheus", project="monitoring")
    podman_host.add("flatnet-loki", "exited", project="monitoring")
    podman_host.add("app-notes")
    podman_host.add("other", project="monitoring2")

    services = stack(project).services()
    assert services == {
        "flatnet-prometheus": Service("flatnet-prometheus", "id-flatnet-prometheus", "running"),
        "flatnet-loki": Service("flatnet-loki", "id-flatnet-loki", "exited"),
    }
    assert not_running(list(services.values())) == ["flatnet-loki"]


def test_a_project_without_containers_has_no_services(project: Path, add_program: AddProgram) -> None:
    add_program("podman", "exit 0\n")

    assert stack(project).services() == {}


def test_compose_is_told_file_and_project(project: Path, add_program: AddProgram, tmp_path: Path) -> None:
    # Stands for podman-compose: notes how it was called, and knows two services.
    add_program("podman-compose", f"""echo "$*" >> '{tmp_path}/calls'; printf 'prometheus\\nloki\\n'\n""")
    effects = Effects()
    told = f"--file {project}/compose.yml --project-name monitoring"

    assert stack(project).defined() == 2
    stack(project, effects=effects).up()
    stack(project, effects=effects).stop()
    calls = (tmp_path / "calls").read_text("utf-8").splitlines()
    assert calls == [f"{told} config --services", f"{told} up --detach", f"{told} stop"]
    assert [effect.target for effect in effects.log if effect.kind == "run"] == [
        f"podman-compose {told} up --detach",
        f"podman-compose {told} stop",
    ]


def test_a_stack_is_up_when_the_last_service_is(project: Path) -> None:
    server = Server({"/prometheus": (200, ""), "/alertmanager": (503, "starting")})
    times = iter([10.0, 20.0, 35.0])

    def clock() -> float:
        now = next(times)
        if now == 20:
            server.answers["/alertmanager"] = (200, "")
        return now

    assert stack(project, server).wait(READY, 60, clock) == 25
    assert [path for _method, path, _params in server.asked] == ["/prometheus", "/alertmanager", "/alertmanager"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, "  starting\n"), "it answered status 503 'starting'"),
        ((302, ""), "it answered status 302 ''"),
        (ServerError("nobody listens"), r"the last try failed \(nobody listens\)"),
    ],
)
def test_a_service_that_is_not_ready_is_named_with_its_last_answer(
    project: Path, answer: tuple[int, str] | Exception, words: str
) -> None:
    server = Server({"/prometheus": (200, ""), "/alertmanager": answer})
    clock = iter([0.0, 61.0])

    expected = rf"flatnet-alertmanager was expected .*http://h/alertmanager within 60 s, and {words}: .*logs --tail 50 flatnet-al"
    with pytest.raises(NotReady, match=expected):
        stack(project, server).wait(READY, 60, lambda: next(clock))
