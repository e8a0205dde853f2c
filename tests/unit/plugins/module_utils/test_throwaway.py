# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throwaway copy of a site: what its containers are made of, who answers to which address, and how it is removed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway import InNamespace, Member, Throwaway
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_containers import (
    Bind,
    Command,
    Copy,
    Original,
    Tree,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer
from ansible_collections.flatnet.ops.plugins.module_utils.undo import Guard

pytestmark = pytest.mark.unit


def described(name: str = "app", **given: Any) -> dict[str, Any]:
    """A container in Podman's words; a name with dots is one inside a field."""
    container: dict[str, Any] = {
        "Id": f"id-{name}",
        "Name": name,
        "Image": f"image-{name}",
        "ImageName": f"localhost/{name}:1",
        "Path": "/bin/run",
        "Args": ["--flag", "a b"],
        "State": {"Status": "running", "StartedAt": "2026-11-24T02:15:00Z"},
        "Mounts": [],
        "Config": {"Env": ["A=1"], "Cmd": ["--flag", "a b"], "Entrypoint": "/bin/run", "User": "", "WorkingDir": ""},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {}, "Ports": {}},
    }
    for field, value in given.items():
        outer, _underscore, inner = field.partition("_")
        if inner:
            container[outer][inner] = value
        else:
            container[outer] = value
    return container


def mount(source: str | Path, destination: str, *, writable: bool = True, volume: str = "") -> dict[str, Any]:
    """A mount in Podman's words."""
    kind = {"Type": "volume", "Name": volume} if volume else {"Type": "bind"}
    return {**kind, "Source": str(source), "Destination": destination, "RW": writable}


def member(name: str, number: int, *addresses: str, ports: Mapping[int, int] | None = None) -> Member:
    """A member of a copy with one container."""
    original = Original(described(name))
    copy = Copy(original, f"drill-{name}", "image", ())
    return Member(f"drill-{number}", f"198.18.1.{number}", addresses, (name,), ports or {}, (copy,))


class Noted(Guard):
    """A guard that only notes what it would run."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []

    def run(self, argv: Sequence[str]) -> None:
        """Note it."""
        self.done.append(list(argv))


def throwaway(guard: Noted | None = None, directory: Path = Path("/d")) -> Throwaway:
    """A copy of two containers."""
    members = [member("app", 1, "10.100.0.10/16", ports={8080: 80}), member("db", 2, ports={5432: 5432})]
    return Throwaway(Effects(), guard or Noted(), "drill", directory, members)


def words(original: Original, binds: Sequence[Bind] = ()) -> list[str]:
    """The command of a copy."""
    copy = Copy(original, "drill-app", "image", tuple(binds))
    return list(original.command(copy, "RUN", binds, Path("/run/netns/n"), ["db:198.18.1.2"]).words)


def test_a_copy_runs_the_same_program_on_other_data() -> None:
    original = Original(
        described(
            Config_User="65534",
            Config_WorkingDir="/w",
            HostConfig_ExtraHosts=["db:10.100.0.11"],
            HostConfig_Tmpfs={"/tmp": "size=1m"},
            HostConfig_CapDrop=["CAP_MKNOD"],
            HostConfig_ReadonlyRootfs=True,
        )
    )

    found = words(original, [Bind(Path("/d/a,b"), Path("/data"), writable=False)])

    assert found[: found.index("--add-host")] == [
        *("podman", "run", "--detach", "--pull=never", "--name", "drill-app", "--label", "flatnet.ops.drill=RUN"),
        *("--network", "ns:/run/netns/n", "--no-healthcheck", "--log-driver", "k8s-file", "--restart", "no"),
    ]
    # The first address of a name counts.
    assert found[found.index("--add-host") :] == [
        *("--add-host", "db:10.100.0.11", "--add-host", "db:198.18.1.2"),
        *("--mount", 'type=bind,"source=/d/a,b",destination=/data,ro=true', "--tmpfs", "/tmp:size=1m"),
        *("--user", "65534", "--workdir", "/w", "--read-only", "--cap-drop", "CAP_MKNOD"),
        *("--entrypoint", '["/bin/run"]', "image", "--flag", "a b"),
    ]


def test_a_copy_gets_no_privileges_and_publishes_nothing() -> None:
    original = Original(
        described(
            HostConfig_Privileged=True,
            HostConfig_PublishAllPorts=True,
            HostConfig_CapAdd=["CAP_SYS_ADMIN"],
            NetworkSettings_Ports={"80/tcp": [{"HostPort": "8080"}]},
        )
    )

    assert words(original) == words(Original(described()))


def test_a_command_of_one_word_has_no_arguments() -> None:
    alone = described(Args=["/bin/run"], Config_Cmd=None)
    twice = described(Args=["/bin/run"], Config_Cmd=["/bin/run"])

    assert words(Original(alone))[-1] == "image"
    assert words(Original(twice))[-2:] == ["image", "/bin/run"]


def test_a_script_shows_its_environment_to_nobody_but_the_container(tmp_path: Path) -> None:
    shown = tmp_path / "podman"
    shown.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done; printf "%s" "$KEY"\n')
    shown.chmod(0o755)
    key = "one\ntwo 'x' $HOME"
    command = Command(("podman", "run", "image"), ("A=a b", f"KEY={key}"))
    script = tmp_path / "script"
    script.write_text(command.script(tmp_path / "env"))

    path = f"{tmp_path}:{os.environ['PATH']}"
    out = subprocess.run(["sh", script], capture_output=True, text=True, check=True, env={"PATH": path}).stdout

    assert command.lines() == "A=a b\n"
    assert out == f"run\n--env-file\n{tmp_path}/env\n--env\nKEY\nimage\n{key}"


def test_what_podman_says_of_a_container() -> None:
    original = Original(
        described(
            NetworkSettings_Networks={
                "flatnet": {"IPAddress": "10.100.0.10", "IPPrefixLen": 16, "Aliases": ["prometheus", "app"]},
                "other": {"IPAddress": "", "IPPrefixLen": 0, "Aliases": None},
            },
            NetworkSettings_Ports={
                "9090/tcp": [{"HostIp": "", "HostPort": "39090"}],
                "53/udp": [{"HostIp": "", "HostPort": "53"}],
                "1/tcp": None,
            },
            Mounts=[mount("/v/_data", "/data", volume="v"), mount("/srv", "/data/deep"), {"Type": "tmpfs"}],
        )
    )

    assert original.addresses == ["10.100.0.10/16"]
    assert original.names == ["app", "prometheus"]
    assert original.ports == {39090: 9090}
    assert original.host_path(Path("/data/deep/x")) == Path("/srv/x")
    assert original.host_path(Path("/data/x")) == Path("/v/_data/x")
    assert original.host_path(Path("/etc")) is None
    assert Original(described(State={"Status": "paused"})).ran
    assert not Original(described(State={"Status": "exited"})).ran


def test_a_path_that_leads_out_of_a_set_is_not_copied(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "file").write_text("x")
    (saved / "inside").symlink_to("file")
    (saved / "outside").symlink_to("/etc/passwd")
    tree = Tree(Path("/srv"), saved, Path("/d/copy"))

    assert tree.copied(Path("/srv")) == Path("/d/copy")
    assert tree.copied(Path("/srv/inside")) == Path("/d/copy/inside")
    assert tree.copied(Path("/srv/outside")) is None
    assert tree.copied(Path("/srv/missing")) is None


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://127.0.0.1:8080/p", "http://198.18.1.1:80/p"),
        ("http://localhost:5432", "http://198.18.1.2:5432"),
        ("http://10.100.0.10:9090", "http://198.18.1.1:9090"),
        ("http://db:99", "http://198.18.1.2:99"),
    ],
)
def test_an_application_is_asked_where_it_is_in_the_copy(url: str, inside: str) -> None:
    assert throwaway().url(url) == inside


def test_an_address_that_nothing_of_the_copy_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:9999 was expected to lead to a container"):
        throwaway().url("http://127.0.0.1:9999")


def test_what_the_gateway_sends_arrives_at_the_copy() -> None:
    guard = Noted()
    copy = throwaway(guard)

    led = [
        copy.lead(host, port)
        for host, port in [("172.28.112.10", 8080), ("172.28.112.10", 8080), ("wsl2", 5432), ("10.100.0.10", 81)]
    ]

    assert led == ["app", "app", "db", "app"]
    rule = "ip netns exec drill iptables --wait --table nat --append OUTPUT --protocol tcp"
    assert [" ".join(argv) for argv in guard.done] == [
        "ip -netns drill route replace 172.28.112.10 dev drill0 src 198.18.0.1",
        f"{rule} --destination 172.28.112.10 --dport 8080 --jump DNAT --to-destination 198.18.1.1:80",
        "ip -netns drill route replace 198.19.1.2 dev drill0 src 198.18.0.1",
        f"{rule} --destination 198.19.1.2 --dport 5432 --jump DNAT --to-destination 198.18.1.2:5432",
    ]


def test_what_the_gateway_sends_elsewhere_arrives_nowhere() -> None:
    copy = throwaway()

    assert [copy.lead(host, 9999) for host in ("172.28.112.10", "elsewhere", "127.0.0.1", "::1")] == [None] * 4
    assert copy.lead("127.0.0.1", 8080) is None


def test_no_two_containers_have_one_address() -> None:
    guard = Noted()
    members = [member("a", 1, "10.100.0.10/16"), member("b", 2, "10.100.0.10/16")]

    Throwaway(Effects(), guard, "drill", Path("/d"), members).connect()

    assert sum("10.100.0.10/16" in argv for argv in guard.done) == 1
    assert all(argv[:2] in (["ip", "netns"], ["ip", "-netns"]) for argv in guard.done)


@pytest.mark.parametrize("failing", ["", "podman", "ip"])
def test_removal_goes_on_where_something_fails(failing: str, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    (directory / "data").mkdir(parents=True)
    log = tmp_path / "log"
    for name, code in {"systemctl": 5, "podman": 0, "ip": 0}.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\nexit {1 if name == failing else code}\n')
        program.chmod(0o755)
    namespaces = tmp_path / "netns"
    namespaces.mkdir()
    (namespaces / "drill").touch()
    script = "\n".join(["set -eu", *throwaway(directory=directory).removal()])
    script = script.replace("/run/netns", str(namespaces))

    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(["sh", "-c", script], check=False, env={"PATH": path})

    assert (ended.returncode != 0) == bool(failing)
    assert not directory.exists()
    assert log.read_text().splitlines() == [
        "systemctl stop drill.service",
        "podman rm --force --volumes --ignore --time=0 drill-app drill-db",
        "ip netns delete drill",
    ]


def test_a_service_that_cannot_be_stopped_is_told(tmp_path: Path) -> None:
    for name in ("systemctl", "podman"):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {1 if name == 'systemctl' else 0}\n")
        (tmp_path / name).chmod(0o755)
    script = "\n".join(throwaway(directory=tmp_path / "copy").removal())

    ended = subprocess.run(["sh", "-c", script], check=False, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})

    assert ended.returncode == 1


class Namespaced:
    """A transport that says which network namespace it is asked in."""

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Answer with the namespace."""
        del params, body
        return Answer(method, url, 200, json.dumps(os.readlink("/proc/thread-self/ns/net")))


@pytest.mark.skipif(os.getuid() != 0, reason="entering a network namespace needs root")
def test_questions_are_asked_in_another_namespace_and_nothing_else_is() -> None:
    own = os.readlink("/proc/thread-self/ns/net")
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as other:
        namespace = Path(f"/proc/{other.pid}/ns/net")
        while os.readlink(namespace) == own:
            pass
        expected = os.readlink(namespace)

        answer = InNamespace(Namespaced(), namespace).request("GET", "http://x")
        assert other.stdin is not None
        other.stdin.close()

    assert answer.json() == expected != own
    assert os.readlink("/proc/thread-self/ns/net") == own
