# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers made again from a set: what is missing, in which order it is made, and what is taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import container_definitions
from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import (
    SOURCE,
    UNIT,
    ContainersBackup,
    Definition,
    MadeBy,
    UnitFile,
)
from ansible_collections.flatnet.ops.plugins.module_utils.container_restore import (
    ContainersRestore,
    SavedContainers,
    network_command,
    volume_command,
)
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CommandFailed,
    NoSuchSet,
    SetDamaged,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman

from tests.unit.plugins.module_utils.conftest import RUN, AddProgram, Backups, PodmanHost, rewrite
from tests.unit.plugins.module_utils.test_container_definitions import COMPOSE_LABELS, an_image, described

pytestmark = pytest.mark.unit

APP = "localhost/app:1.0"
NEEDS: dict[str, dict[str, Any]] = {
    "network": {"name": "flatnet", "driver": "bridge", "dns_enabled": True},
    "volume": {"Name": "data", "Driver": "local"},
    "pod": {"Id": "p1", "Name": "pod", "CreateCommand": ["podman", "pod", "create", "--infra=false", "pod"]},
}


@pytest.fixture
def host(podman_host: PodmanHost) -> PodmanHost:
    """A host with one image, a network, a volume and a pod."""
    podman_host.put("image", "1f", an_image("1f", RepoTags=[APP]))
    for kind, one in NEEDS.items():
        podman_host.put(kind, kind, one)
    return podman_host


def save(backups: Backups, host: PodmanHost, *containers: dict[str, Any], images: bool = True) -> SavedContainers:
    """A set of these containers, which the host then has not."""
    for one in containers:
        host.put("container", one["Name"], one)
    backups.open()
    backup = ContainersBackup(Effects(), Podman(), images)
    with backups.lifecycle().filling(RUN) as filling:
        backup.save(filling, backup.found())
    name = backups.commit(SOURCE).id
    for one in containers:
        (host.directory / f"{one['Name']}.container").unlink()
    (host.directory / "log").unlink(missing_ok=True)
    return SavedContainers(backups.area(), name)


def forget(host: PodmanHost, *names: str) -> None:
    """The host is another one now, without these."""
    for name in names:
        (host.directory / name).unlink()


def restore(saved: SavedContainers) -> ContainersRestore:
    """What makes the containers of a set again."""
    return ContainersRestore(Effects(), Podman(), saved)


def test_everything_that_is_missing_is_made_in_its_order(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web", Pod="p1", Dependencies=["id-zdb"]), described("zdb"))
    forget(host, "1f.image", "network.network", "volume.volume", "pod.pod")
    plan = restore(saved).plan(None)

    assert host.calls() == []
    assert (plan.networks, plan.volumes, plan.names) == (("flatnet",), ("data",), ["zdb", "web"])
    assert restore(saved).make(plan) == ["web", "zdb"]
    assert host.calls() == [
        "load 1f",
        f"tag 1f {APP}",
        "network create --driver=bridge flatnet",
        "volume create --driver=local data",
        "pod create --infra=false pod",
        f"create --name=zdb {APP}",
        f"create --name=web {APP}",
    ]


def test_what_is_there_is_left_alone(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web"), described("db"))
    host.put("container", "db", described("db", State={"Status": "paused"}))
    plan = restore(saved).plan(None)

    assert (plan.names, plan.images, plan.networks, plan.volumes) == (["web"], (), (), ())
    assert restore(saved).make(plan) == ["web"]
    assert host.calls() == [f"create --name=web {APP}"]
    assert not restore(saved).plan(None).definitions


def test_only_what_is_named_is_made(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web"), described("db"))

    assert restore(saved).plan(["db"]).names == ["db"]
    with pytest.raises(
        UsageError, match=r"container other was expected in set .*, which holds db, web: name one of these"
    ):
        restore(saved).plan(["other"])


@pytest.mark.parametrize(
    ("digests", "remedy"),
    [
        (["docker.io/app@sha256:d1"], "podman pull docker.io/app@sha256:d1"),
        (["localhost/app@sha256:d1"], "podman load"),
    ],
)
def test_an_image_that_is_nowhere_is_named_with_the_remedy(
    host: PodmanHost, backups: Backups, digests: list[str], remedy: str
) -> None:
    host.put("image", "1f", an_image("1f", RepoTags=[APP], RepoDigests=digests))
    saved = save(backups, host, described("web"), images=False)
    forget(host, "1f.image")

    with pytest.raises(UsageError, match=rf"image {APP} \(sha256:d1\) was expected .* container web, .*{remedy}"):
        restore(saved).plan(None)


def test_an_image_whose_name_went_to_another_one_is_taken_by_its_id(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web"))
    host.put("image", "1f", an_image("1f", RepoTags=["localhost/old:1.0"]))
    host.put("image", "3d", an_image("3d", RepoTags=[APP]))

    plan = restore(saved).plan(None)
    restore(saved).make(plan)
    assert plan.notes == ()
    assert host.calls() == ["create --name=web 1f"]


def test_another_image_of_the_name_is_told(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web"))
    forget(host, "1f.image")
    host.put("image", "3d", an_image("3d", RepoTags=[APP]))

    plan = restore(saved).plan(None)
    assert plan.notes == (f"web gets {APP} as it is on this host, which is another image than was saved",)
    restore(saved).make(plan)
    assert host.calls() == [f"create --name=web {APP}"]


def test_a_container_whose_image_had_lost_its_name_gets_it_back(host: PodmanHost, backups: Backups) -> None:
    host.put("image", "1f", an_image("1f"))
    saved = save(backups, host, described("web"))
    forget(host, "1f.image")

    restore(saved).make(restore(saved).plan(None))
    assert host.calls() == ["load 1f", f"tag 1f {APP}", f"create --name=web {APP}"]


def test_an_image_that_comes_out_as_another_one_is_refused(
    host: PodmanHost, backups: Backups, add_program: AddProgram
) -> None:
    saved = save(backups, host, described("web"))
    forget(host, "1f.image")
    plan = restore(saved).plan(None)
    add_program("podman", """case "$1" in ps) ;; load) exit 0 ;; *) exit 1 ;; esac\n""")

    with pytest.raises(CommandFailed, match="was expected to bring image 1f, and brought another one"):
        restore(saved).make(plan)


def test_one_that_cannot_be_made_takes_the_others_back(host: PodmanHost, backups: Backups) -> None:
    secret = {
        "CreateCommand": ["podman", "run", "--name", "web", "-e", "TOKEN", APP],
        "Env": ["TOKEN=secret"],
        "Labels": {},
    }
    saved = save(backups, host, described("db"), described("web", Dependencies=["id-db"], Config=secret))
    plan = restore(saved).plan(None)
    # The stand-in takes the last word for the image.
    secret["CreateCommand"] = [*secret["CreateCommand"], "no-image"]
    saved.definitions["web"].inspect["Config"].update(secret)

    with pytest.raises(
        CommandFailed, match=r"container web was expected to be made .* 'podman create' ended with 125"
    ) as failed:
        restore(saved).make(plan)
    assert "secret" not in str(failed.value)
    assert host.calls() == [f"create --name=db {APP}", "stop db", "rm db"]


def test_what_no_command_can_make_is_left_out_unless_it_is_named(host: PodmanHost, backups: Backups) -> None:
    by_api: dict[str, Any] = {"CreateCommand": None, "Env": [], "Labels": {}}
    saved = save(backups, host, described("web"), described("api", Config=by_api))
    plan = restore(saved).plan(None)

    assert plan.names == ["web"]
    assert plan.skipped == {"api": "it was made by 'the API of Podman', not by 'podman run'"}
    with pytest.raises(UsageError, match=r"container api of set .* 'the API of Podman', .*: make it by hand"):
        restore(saved).plan(["api"])


def test_a_network_of_a_plugin_comes_with_its_files(host: PodmanHost, backups: Backups) -> None:
    host.put("network", "network", {"name": "flatnet", "driver": "flatnet-cni"})
    saved = save(backups, host, described("web"))
    forget(host, "network.network")

    with pytest.raises(
        UsageError, match=r"network flatnet was expected .* flatnet-cni .* restore source cni/net.d first"
    ):
        restore(saved).make(restore(saved).plan(None))
    assert host.calls() == []


def test_compose_makes_its_own(host: PodmanHost, backups: Backups, add_program: AddProgram, tmp_path: Path) -> None:
    labels = {**COMPOSE_LABELS, "com.docker.compose.project.config_files": str(tmp_path / "compose.yml")}
    more = {**labels, "com.docker.compose.service": "web"}
    saved = save(backups, host, described("loki", labels), described("web", more))
    plan = restore(saved).plan(None)
    with pytest.raises(UsageError, match=rf"the compose file {tmp_path}/compose.yml was expected .* container loki, "):
        restore(saved).make(plan)

    (tmp_path / "compose.yml").write_text("services: {}\n")
    # Stands for podman-compose: notes how it was called, and makes one of two containers.
    made = f"podman create --pull=never --name=loki {APP}"
    add_program("podman-compose", f"""echo "$*" > '{tmp_path}/called'; {made}\n""")
    with pytest.raises(
        CommandFailed, match=r"expected to make container web from .*/compose.yml, and has not: .* service web"
    ):
        restore(saved).make(plan)
    options = "--project-name monitoring up --no-start --no-recreate --no-build loki web"
    assert (tmp_path / "called").read_text() == f"--file {tmp_path}/compose.yml {options}\n"
    assert host.calls() == [f"create --name=loki {APP}", "stop loki", "rm loki"]


@pytest.fixture
def unit(
    host: PodmanHost, backups: Backups, add_program: AddProgram, tmp_path: Path, monkeypatch: Any
) -> SavedContainers:
    """A set with a container of a unit that is enabled; the host has the unit no more. ``systemctl`` notes its calls."""
    monkeypatch.setattr(container_definitions, "UNIT_DIRECTORIES", (tmp_path / "units",))
    path = tmp_path / "units" / "web.service"
    path.parent.mkdir()
    path.write_text("[Service]\n")
    add_program("systemctl", f"printf 'FragmentPath={path}\\nUnitFileState=enabled\\n'\n")
    saved = save(backups, host, described("web", {"PODMAN_SYSTEMD_UNIT": "web.service"}))
    path.unlink()
    path.parent.rmdir()
    active = f"""[ "$1" != is-active ] || {{ [ -e '{tmp_path}/active' ]; exit $(($? * 3)); }}"""
    add_program("systemctl", f"""{active}\necho "$*" >> '{tmp_path}/systemctl'\n""")
    return saved


def test_a_unit_is_put_back_and_taken_back(unit: SavedContainers, host: PodmanHost, tmp_path: Path) -> None:
    path = tmp_path / "units" / "web.service"
    log = tmp_path / "systemctl"

    assert restore(unit).make(restore(unit).plan(None)) == ["web"]
    assert path.read_text() == "[Service]\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert log.read_text().splitlines() == ["daemon-reload", "enable --quiet -- web.service"]
    assert not restore(unit).plan(None).definitions

    started = path.stat().st_ctime
    assert restore(unit).made_since(["web"], started + 1) == ([], [])
    containers, units = restore(unit).made_since(["web"], started)
    assert [one.name for one in units] == ["web"]
    log.unlink()
    restore(unit).remove(containers, units)
    assert not path.exists()
    calls = ["stop -- web.service", "disable --quiet -- web.service", "daemon-reload"]
    assert log.read_text().splitlines() == calls
    assert host.calls() == []


def test_a_unit_is_started_unless_it_is_active(unit: SavedContainers, tmp_path: Path) -> None:
    restore(unit).start(restore(unit).to_start(["web"]))
    assert (tmp_path / "systemctl").read_text() == "start -- web.service\n"

    (tmp_path / "active").touch()
    assert restore(unit).to_start(["web"]) == []


def test_a_unit_that_somebody_has_changed_stays(unit: SavedContainers, tmp_path: Path) -> None:
    path = tmp_path / "units" / "web.service"
    path.parent.mkdir()
    path.write_text("[Service]\nNice=1\n")
    plan = restore(unit).plan(None)

    assert (plan.names, plan.notes) == ([], (f"{path} is not as it was saved, and stays as it is",))
    restore(unit).remove([], list(unit.definitions.values()))
    assert path.exists()


def test_a_unit_is_written_nowhere_else(host: PodmanHost, backups: Backups, tmp_path: Path) -> None:
    saved = save(backups, host, described("web"))
    hostile = MadeBy(
        UNIT, unit="web.service", unit_files=(UnitFile(str(tmp_path / "cron.d" / "web"), "* * * * * root x"),)
    )
    saved.definitions["web"] = Definition(described("web"), hostile)

    with pytest.raises(UsageError, match=rf"expected to lie in a directory of units, .* says {tmp_path}/cron.d/web"):
        restore(saved).make(restore(saved).plan(None))
    assert not (tmp_path / "cron.d").exists()


def test_what_ran_is_started_in_its_order(host: PodmanHost, backups: Backups) -> None:
    resting = described("never", State={"Status": "created"})
    saved = save(backups, host, described("web", Dependencies=["id-zdb"]), described("zdb"), resting, described("runs"))
    host.put("container", "runs", described("runs"))
    for name in ("web", "zdb"):
        host.put("container", name, described(name, State={"Status": "created"}))

    assert [one.name for one in restore(saved).to_start(["never", "runs", "web", "zdb"])] == ["zdb", "web"]


def test_only_what_this_run_has_made_is_removed(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web", Dependencies=["id-zdb"]), described("zdb"), described("gone"))
    for name in ("web", "zdb"):
        host.put("container", name, described(name, CreatedUnix=1000))

    with pytest.raises(UsageError, match="container web was expected to be made by this run, and was there before"):
        restore(saved).made_since(["web", "zdb"], 1001)
    containers, units = restore(saved).made_since(["web", "zdb", "gone"], 1000)
    assert ([one.name for one in containers], units) == (["web", "zdb"], [])
    restore(saved).remove(containers, units)
    assert host.calls() == ["stop web", "rm web", "stop zdb", "rm zdb"]


@pytest.mark.parametrize("name", ["web/inspect.json", "images.json"])
def test_a_definition_that_is_not_as_it_was_saved_is_not_used(host: PodmanHost, backups: Backups, name: str) -> None:
    saved = save(backups, host, described("web"))
    rewrite(saved.set_path / SOURCE / name)

    with pytest.raises(SetDamaged, match=rf"{name} was expected to be as it was saved, and is not \(SHA-256 "):
        SavedContainers(backups.area(), saved.set_path.name)


def test_an_image_that_is_not_as_it_was_saved_is_not_loaded(host: PodmanHost, backups: Backups) -> None:
    saved = save(backups, host, described("web"))
    rewrite(saved.set_path / SOURCE / "images/1f.tar")
    forget(host, "1f.image")

    with pytest.raises(SetDamaged, match=r"images/1f.tar was expected"):
        restore(saved).make(restore(saved).plan(None))
    assert host.calls() == []


def test_a_set_without_containers_is_said(backups: Backups) -> None:
    name = backups.back_up(one=b"1")

    with pytest.raises(NoSuchSet, match=r"was expected to hold the definitions of containers, and holds volumes/notes"):
        SavedContainers(backups.area(), name)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ({"driver": "bridge", "dns_enabled": True}, []),
        ({"driver": "bridge", "internal": True, "ipv6_enabled": True}, ["--internal", "--ipv6", "--disable-dns"]),
        ({"driver": "macvlan", "network_interface": "eth0"}, ["--opt=parent=eth0"]),
        (
            {"driver": "bridge", "dns_enabled": True, "labels": {"b": "2", "a": "1"}, "options": {"mtu": "1400"}},
            ["--label=a=1", "--label=b=2", "--opt=mtu=1400"],
        ),
    ],
)
def test_a_network_is_made_as_it_was(network: dict[str, Any], options: list[str]) -> None:
    argv = ["podman", "network", "create", f"--driver={network['driver']}", *options, "n"]

    assert network_command({"name": "n", **network}) == argv


@pytest.mark.parametrize(
    ("start", "end", "taken"),
    [
        ("10.99.0.129", "10.99.0.255", "10.99.0.128/25"),
        ("10.99.0.5", "10.99.0.9", "10.99.0.5-10.99.0.9"),
        ("fd00::1:1", "fd00::1:ffff", "fd00::1:0/112"),
    ],
)
def test_a_range_of_addresses_is_the_subnet_that_it_was_made_of(start: str, end: str, taken: str) -> None:
    subnet = {"subnet": "10.99.0.0/24", "gateway": "10.99.0.1", "lease_range": {"start_ip": start, "end_ip": end}}
    argv = network_command({"name": "n", "driver": "bridge", "dns_enabled": True, "subnets": [subnet]})

    assert argv[4:-1] == ["--subnet=10.99.0.0/24", "--gateway=10.99.0.1", f"--ip-range={taken}"]


def test_a_volume_is_made_as_it_was() -> None:
    volume = {"Name": "v", "Driver": "local", "Labels": {"a": "1"}, "Options": {"type": "tmpfs", "o": "uid=5"}}

    assert volume_command(volume)[3:] == ["--driver=local", "--label=a=1", "--opt=o=uid=5", "--opt=type=tmpfs", "v"]


def test_a_volume_without_a_name_of_its_own_comes_with_its_container(host: PodmanHost, backups: Backups) -> None:
    host.put("volume", "volume", {"Name": "data", "Driver": "local", "Anonymous": True})
    saved = save(backups, host, described("web"))
    forget(host, "volume.volume")

    assert restore(saved).plan(None).volumes == ()
