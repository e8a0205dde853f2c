# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command that made a container, turned into one that makes it again: what is dropped, settled, and never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.create_command import create_again, create_pod_again

pytestmark = pytest.mark.unit


def container(*command: str, **more: Any) -> dict[str, Any]:
    """A container that this command has made of ``localhost/app:1.0``."""
    config = {"CreateCommand": list(command), "Env": ["PATH=/bin", "TERM=xterm", "TOKEN=t=1", "REGION=north", "TOY=2"]}
    mounts = [{"Source": "/srv/data", "Destination": "/data"}]
    return {
        "Name": "app",
        "Image": "bcba6202ba47aa",
        "ImageName": "localhost/app:1.0",
        "Mounts": mounts,
        "Config": config,
        **more,
    }


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("run --name app app:1.0", "--name=app app:1.0"),
        ("run -d --name=app app:1.0 -d --rm --replace", "--name=app app:1.0 -d --rm --replace"),
        ("container run -dit --name app app:1.0", "-i -t --name=app app:1.0"),
        ("create --name app --rm --init app:1.0 run", "--name=app --rm --init app:1.0 run"),
        ("run --rm=true --name app --replace=true app:1.0", "--rm=true --name=app app:1.0"),
        (
            "run --cidfile /run/x --pull always --sig-proxy=false --detach-keys a --name app app:1.0",
            "--name=app app:1.0",
        ),
        ("run -p80:80 -p 81:81 -P --name app bcba62", "-p 80:80 -p 81:81 -P --name=app bcba62"),
        ("run --name app -- app:1.0 -x", "--name=app app:1.0 -x"),
        ("run localhost/app:1.0", "--name=app localhost/app:1.0"),
        ("run --name app -eTOKEN --env REGION=south app:1.0", "--name=app --env=TOKEN=t=1 --env=REGION=south app:1.0"),
        ("run --name app -e=TO* app:1.0", "--name=app --env=TOKEN=t=1 --env=TOY=2 app:1.0"),
        ("run --name app -e UNSET app:1.0", "--name=app app:1.0"),
        ("run --name app -v ./d:/data:ro -v /x:/y app:1.0", "--name=app -v /srv/data:/data:ro -v /x:/y app:1.0"),
    ],
)
def test_a_command_is_made_to_start_nothing_and_to_lean_on_nothing(given: str, made: str) -> None:
    assert create_again(container("podman", *given.split())) == ["podman", "create", "--pull=never", *made.split()]


def test_what_podman_itself_was_told_stays() -> None:
    again = create_again(container("/usr/bin/podman", "--runtime", "runsc", "run", "--name", "app", "app:1.0"))

    assert again == ["podman", "--runtime", "runsc", "create", "--pull=never", "--name=app", "app:1.0"]


@pytest.mark.parametrize("word", ["app", "docker://localhost/app", "localhost/app", "localhost/app:latest"])
def test_an_image_is_known_by_its_short_names(word: str) -> None:
    latest = {"ImageName": "localhost/app:latest"}

    assert create_again(container("podman", "run", "--name=app", word, "x", **latest))[-2:] == [word, "x"]


def test_another_image_may_take_its_place() -> None:
    assert create_again(container("podman", "run", "--name=app", "app:1.0", "x"), "1f2e")[-2:] == ["1f2e", "x"]


def test_a_root_file_system_is_no_image() -> None:
    rootless = {"Image": "", "ImageName": "", "Rootfs": "/srv/root"}
    again = create_again(container("podman", "run", "--name=app", "--rootfs", "/srv/root", "sh", **rootless))

    assert again[3:] == ["--name=app", "--rootfs", "/srv/root", "sh"]


@pytest.mark.parametrize("option", ["--env-file={file}", "--env-host"])
def test_an_environment_that_is_not_to_be_had_is_what_it_has_become(option: str, tmp_path: Path) -> None:
    missing = option.format(file=tmp_path / "missing")
    again = create_again(container("podman", "run", "--name=app", missing, "app:1.0"))

    assert again[4:-1] == ["--env=PATH=/bin", "--env=TOKEN=t=1", "--env=REGION=north", "--env=TOY=2"]


def test_an_environment_file_that_is_there_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("TOKEN=new")

    assert f"--env-file={file}" in create_again(
        container("podman", "run", "--name=app", f"--env-file={file}", "app:1.0")
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], "made by 'the API of Podman', not"),
        (["podman", "kube", "play", "run"], "made by 'podman kube play', not"),
        (["podman", "pod", "create", "x"], "made by 'podman pod create', not"),
        # An option that is new to us would swallow the image.
        (["podman", "run", "--new-flag", "app:1.0", "sh"], "image localhost/app:1.0 is not found"),
        (["podman", "run", "--name"], "ends with --name, which needs a value"),
        (["podman", "run", "-p"], "ends with -p, which needs a value"),
    ],
)
def test_what_nobody_can_make_again_is_said(command: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        create_again(container(*command))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("--replace --infra=false --name p --share net", "--infra=false --name=p --share=net"),
        ("--infra --pod-id-file /run/x p", "--infra p"),
        ("", "--name=p"),
    ],
)
def test_a_pod_is_made_again(given: str, made: str) -> None:
    pod = {"Name": "p", "CreateCommand": ["podman", "pod", "create", *given.split()]}

    assert create_pod_again(pod) == ["podman", "pod", "create", *made.split()]


@pytest.mark.parametrize("command", [[], ["podman", "run", "--pod", "new:p", "app", "create"]])
def test_a_pod_of_another_origin_is_said(command: list[str]) -> None:
    with pytest.raises(ValueError, match="not by 'podman pod create'"):
        create_pod_again({"Name": "p", "CreateCommand": command})
