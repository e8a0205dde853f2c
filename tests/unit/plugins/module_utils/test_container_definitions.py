# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The definitions of containers in a set: what made each of them, what is shared with the set before, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import container_definitions
from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import (
    COMMAND,
    COMPOSE,
    SOURCE,
    UNIT,
    UNKNOWN,
    ContainersBackup,
    Definition,
    Image,
    MadeBy,
    UnitFile,
    dump,
    is_unit_file,
    load,
    load_image,
    load_made_by,
    made_by,
)
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed, DiskFull, SourceRefused
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import DAY
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Source

from tests.unit.plugins.module_utils.conftest import RUN, AddProgram, Backups, PodmanHost, rewrite

pytestmark = pytest.mark.unit

COMPOSE_LABELS = {
    "io.podman.compose.project": "monitoring",
    "com.docker.compose.project.working_dir": "/opt/monitoring",
    "com.docker.compose.project.config_files": "compose.yml,/opt/more.yml",
    "com.docker.compose.service": "loki",
    "PODMAN_SYSTEMD_UNIT": "podman-compose@monitoring.service",
}


def described(name: str, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A container of ``localhost/app:1.0`` in Podman's words."""
    command = ["podman", "run", "--name", name, more.get("ImageName", "localhost/app:1.0")]
    mounts = [
        {"Type": "volume", "Name": "data", "Source": "/var/volumes/data", "Destination": "/data"},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
    ]
    return {
        "Id": f"id-{name}",
        "Name": name,
        "Image": "1f",
        "ImageName": "localhost/app:1.0",
        "State": {"Status": "running"},
        "Dependencies": [],
        "Mounts": mounts,
        "NetworkSettings": {"Networks": {"flatnet": {}}},
        "Config": {"Labels": labels, "CreateCommand": command, "Env": []},
        **more,
    }


def an_image(name: str, manifest: str = "application/vnd.oci.image.manifest.v1+json", **more: Any) -> dict[str, Any]:
    """An image in Podman's words; its id is its name."""
    return {"Id": name, "Digest": "sha256:d1", "RepoTags": [], "RepoDigests": [], "ManifestType": manifest, **more}


@pytest.fixture
def host(podman_host: PodmanHost) -> PodmanHost:
    """A host with two containers, of two images, and what they need."""
    podman_host.put("container", "web", described("web"))
    podman_host.put("container", "db", described("db", Image="2e", ImageName="localhost/db:1.0"))
    podman_host.put(
        "image", "1f", an_image("1f", RepoTags=["localhost/app:1.0"], RepoDigests=["localhost/app@sha256:d1"])
    )
    podman_host.put("image", "2e", an_image("2e", "application/vnd.docker.distribution.manifest.v2+json"))
    podman_host.put("network", "flatnet", {"name": "flatnet", "driver": "bridge"})
    podman_host.put("volume", "data", {"Name": "data", "Driver": "local"})
    return podman_host


def save(backups: Backups, images: bool = False) -> tuple[Source, Path]:
    """Make a set of the containers, and say where it has them."""
    opening = backups.open()
    backup = ContainersBackup(Effects(), Podman(), images)
    with backups.lifecycle().filling(RUN) as filling:
        saved = backup.save(filling, backup.found())
    backups.commit(SOURCE)
    backups.now += DAY
    return saved, backups.area().path(opening.id) / SOURCE


def test_a_set_holds_what_it_takes_to_make_every_container_again(host: PodmanHost, backups: Backups) -> None:
    saved, place = save(backups)

    names = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    own = {"images.json", "networks.json", "volumes.json", "pods.json"}
    assert names == own | {f"{one}/{file}.json" for one in ("web", "db") for file in ("inspect", "made-by")}
    assert load((place / "web/inspect.json").read_bytes()) == described("web")
    made = load_made_by(load((place / "web/made-by.json").read_bytes()))
    assert made == MadeBy(COMMAND, tuple(described("web")["Config"]["CreateCommand"]))
    images = [load_image(one) for one in load((place / "images.json").read_bytes())]
    assert images[0] == Image("1f", ("localhost/app:1.0",), "sha256:d1", ("localhost/app@sha256:d1",), ("web",), None)
    assert [image.containers for image in images] == [("web",), ("db",)]
    assert load((place / "networks.json").read_bytes()) == [{"name": "flatnet", "driver": "bridge"}]
    assert (saved.kind, saved.files, saved.linked_files, saved.containers) == (SOURCE, 8, 0, ("db", "web"))
    assert (saved.facts["command"], saved.facts["images"], saved.facts["images_saved"]) == (2, 2, 0)
    assert {path.stat().st_mode & 0o777 for path in place.rglob("*") if path.is_file()} == {0o400}
    assert host.calls() == []


def test_images_are_saved_once_and_keep_their_id(host: PodmanHost, backups: Backups) -> None:
    _first, before = save(backups, images=True)
    second, after = save(backups, images=True)

    assert host.calls() == ["save oci-archive 1f", "save docker-archive 2e"]
    assert second.linked_files == second.files == 10
    assert second.linked_bytes == second.bytes
    assert all(path.samefile(before / path.relative_to(after)) for path in after.rglob("*") if path.is_file())
    assert (after / "images/1f.tar").stat().st_mode & 0o777 == 0o400


def test_what_has_changed_or_is_damaged_is_written_afresh(host: PodmanHost, backups: Backups) -> None:
    _first, before = save(backups, images=True)
    rewrite(before / "web/made-by.json")
    os.truncate(before / "images/2e.tar", 5)
    damaged = {before.parent.name: [f"{SOURCE}/images/1f.tar"]}
    backups.lifecycle().note_damage(RUN, "verify", damaged)
    host.put("container", "db", described("db", Image="2e", ImageName="localhost/db:1.0", State={"Status": "exited"}))
    second, after = save(backups, images=True)

    own = {str(path.relative_to(after)) for path in after.rglob("*") if path.is_file() and path.stat().st_nlink == 1}
    assert own == {"web/made-by.json", "db/inspect.json", "images/1f.tar", "images/2e.tar"}
    assert second.linked_files == 6
    assert host.calls()[2:] == ["save oci-archive 1f", "save docker-archive 2e"]


def test_what_podman_adds_to_a_pod_is_no_container_of_its_own(host: PodmanHost) -> None:
    host.put("container", "infra", described("infra", IsInfra=True))

    assert [one.name for one in ContainersBackup(Effects(), Podman(), images=False).found()] == ["db", "web"]


@pytest.mark.parametrize("name", ["images", "pods.json", ".."])
def test_a_container_whose_name_cannot_be_a_name_in_the_set_is_refused(podman_host: PodmanHost, name: str) -> None:
    podman_host.put("container", "it", described(name))

    with pytest.raises(SourceRefused, match=f"container '{name}' was expected to have a name .* 'podman rename'"):
        ContainersBackup(Effects(), Podman(), images=False).found()


@pytest.mark.parametrize(
    ("words", "raised"),
    [("write /x: no space left on device", DiskFull), ("image not known", CommandFailed)],
)
def test_an_image_that_cannot_be_saved_is_said(
    host: PodmanHost, backups: Backups, add_program: AddProgram, words: str, raised: type[Exception]
) -> None:
    real = host.directory.parent / "bin" / "podman"
    program = real.rename(real.with_name("podman-real"))
    add_program(
        "podman", f"""[ "$1" != save ] || {{ echo 'Error: {words}' >&2; exit 125; }}\nexec '{program}' "$@"\n"""
    )

    with pytest.raises(raised, match=words) as failed:
        save(backups, images=True)
    assert failed.value.__class__ is raised


def test_compose_files_are_known_by_their_labels() -> None:
    files = ("/opt/monitoring/compose.yml", "/opt/more.yml")

    expected = MadeBy(COMPOSE, project="monitoring", directory="/opt/monitoring", files=files, service="loki")
    assert made_by(described("loki", COMPOSE_LABELS)) == expected


def show(path: Path, **properties: str) -> str:
    """A script for ``systemctl`` that shows a unit."""
    lines = "\n".join(f"{name}={value}" for name, value in {"FragmentPath": str(path), **properties}.items())
    return f"cat <<'EOF'\n{lines}\nEOF\n"


def test_a_unit_is_known_with_its_drop_ins(
    tmp_path: Path, add_program: AddProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_definitions, "UNIT_DIRECTORIES", (tmp_path / "units",))
    unit = tmp_path / "units" / "web.service"
    drop_in = tmp_path / "units" / "web.service.d" / "limits.conf"
    drop_in.parent.mkdir(parents=True)
    unit.write_bytes(b"[Service]\n# \xff\n")
    drop_in.write_text("[Service]\nNice=1\n")
    passing = tmp_path / "run" / "passing.conf"
    add_program("systemctl", show(unit, SourcePath="", DropInPaths=f"{drop_in} {passing}", UnitFileState="enabled"))

    known = made_by(described("web", {"PODMAN_SYSTEMD_UNIT": "web.service"}))
    files = (UnitFile(str(unit), "[Service]\n# \udcff\n"), UnitFile(str(drop_in), "[Service]\nNice=1\n"))
    assert known == MadeBy(UNIT, unit="web.service", enabled=True, unit_files=files)
    stored = {name: value for name, value in json.loads(json.dumps(vars(known), default=vars)).items() if value}
    assert load_made_by(load(dump(stored))) == known


def test_a_quadlet_is_known_by_its_source(
    tmp_path: Path, add_program: AddProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_definitions, "UNIT_DIRECTORIES", (tmp_path,))
    (tmp_path / "web.container").write_text("[Container]\n")
    generated = Path("/run/systemd/generator/web.service")
    add_program("systemctl", show(generated, SourcePath=str(tmp_path / "web.container"), UnitFileState="generated"))

    files = (UnitFile(str(tmp_path / "web.container"), "[Container]\n"),)
    assert made_by(described("web", {"PODMAN_SYSTEMD_UNIT": "web.service"})) == MadeBy(
        UNIT, unit="web.service", unit_files=files
    )


@pytest.mark.parametrize("path", ["", "/run/systemd/transient/web.service", "/usr/lib/systemd/system/web.service"])
def test_a_unit_that_is_nobodys_to_keep_leaves_the_command(add_program: AddProgram, path: str) -> None:
    add_program("systemctl", f"echo FragmentPath={path}\n")

    assert made_by(described("web", {"PODMAN_SYSTEMD_UNIT": "web.service"})).how == COMMAND


def test_what_nobody_can_make_again_is_known_with_the_reason() -> None:
    container = described("web", Config={"Labels": None, "CreateCommand": None, "Env": []})

    assert made_by(container) == MadeBy(UNKNOWN, problem="it was made by 'the API of Podman', not by 'podman run'")


@pytest.mark.parametrize(
    ("path", "is_unit"),
    [
        ("/etc/systemd/system/web.service", True),
        ("/etc/containers/systemd/app/web.container", True),
        ("/etc/systemd/system/../../passwd", False),
        ("/etc/cron.d/web", False),
        ("etc/systemd/system/web.service", False),
    ],
)
def test_units_lie_in_directories_of_units(path: str, is_unit: bool) -> None:
    assert is_unit_file(Path(path)) is is_unit


def test_a_definition_says_what_its_container_needs() -> None:
    one = Definition(described("web"), MadeBy(COMMAND))

    assert (one.image, one.image_name, one.networks, one.volumes) == ("1f", "localhost/app:1.0", ["flatnet"], ["data"])
    assert Definition(described("web", NetworkSettings={"Networks": None}), MadeBy(COMMAND)).networks == []
