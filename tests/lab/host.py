# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One WSL2-like host of a lab."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.image.containers import REGISTRY, STANDIN
from tests.lab.image.data import END, HOUR, METRICS, make_log_lines
from tests.lab.machine import LabError, call, remove_tree, step, wait_until

if TYPE_CHECKING:
    from tests.lab.lab import Lab

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SITE = Path(__file__).parent / "site"
ROOT = Path(__file__).parents[2]
COLLECTION = "/usr/share/ansible/collections/ansible_collections/flatnet/ops"
COLLECTION_PARTS = ("plugins", "roles", "playbooks", "meta", "scripts", "galaxy.yml")
# An overlay cannot rename a directory of its lower layer, as a disk can.
OWN_DIRECTORY = 'cp -a "$1" "$1.new"; rm -r "$1"; mv "$1.new" "$1"'
COMPOSE = "/opt/flatnet/monitoring/compose.yml"
ADMIN_API = "--web.enable-admin-api"
APPLICATIONS = ("app-notes", "app-files", "app-uploads")
STACK = ("flatnet-prometheus", "flatnet-alertmanager", "flatnet-node-exporter", "flatnet-loki", "flatnet-grafana")
SERVICES = {"prometheus": "/-/ready", "alertmanager": "/-/ready", "loki": "/ready", "grafana": "/api/health"}
PORTS = {"ssh": 22, "prometheus": 9090, "alertmanager": 9093, "loki": 3100, "grafana": 3000}


@dataclass(frozen=True)
class Host:
    """A container with systemd, sshd and Podman inside; its ports are published on loopback."""

    lab: Lab
    name: str

    @property
    def directory(self) -> Path:
        """Where the machine keeps the host's /var/lib/containers."""
        return self.lab.directory / "hosts" / self.name

    def create(self, group: str, seed: str, admin_api: bool, drive: Path | None) -> None:
        """Start the host with the files of the site; its containers exist afterwards, and do not run yet.

        :param drive: drive C: of its Windows, which has the gateway's files of the site already
        """
        graph = self.directory / "containers"
        graph.mkdir(parents=True)
        self.lab.podman.start(
            self.name, "--hostname", self.name, "--label", f"flatnet-lab-group={group}",
            "--systemd=always", "--env=container=podman", "--cap-add=all", "--cap-drop=SYS_TIME", "--device-cgroup-rule=a *:* rwm",
            "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined", "--security-opt=unmask=ALL",
            "--network=lab", *(f"--publish=127.0.0.1::{port}" for port in PORTS.values()),
            "--tmpfs=/tmp", "--tmpfs=/run",
            f"--volume={graph}:/var/lib/containers",
            f"--volume={self.lab.backup_volume}:/backup",
            *([f"--volume={drive}:/mnt/c"] if drive else []),
            f"--volume={self.lab.image.images}:/usr/share/flatnet-lab/images:ro",
            "--rootfs", f"{self.lab.image.rootfs}:O", "/sbin/init",
        )  # fmt: skip
        self.copy_site(admin_api, of_windows=drive is None)
        self.wait_for_ssh()
        self.run(["podman-compose", "--file", COMPOSE, "up", "--no-start"])
        self.run(["/opt/flatnet/apps/create"])
        if seed == "full":
            for content in sorted(self.lab.image.data.iterdir()):
                # The real Grafana does not know the tables of its stand-in.
                if REGISTRY and content.name == "grafana_data":
                    continue
                call("cp", "-a", f"{content}/.", self.volume(content.name))
            with self.unpacked() as tar:
                tar.add(self.lab.image.files, ".")
            if not REGISTRY:
                make_log_lines(self.volume("loki_data"), int(time.time()))

    def copy_site(self, admin_api: bool, of_windows: bool) -> None:
        """Put the site's files and the lab's key onto the host."""
        with self.unpacked() as tar:
            for part in sorted(SITE.iterdir()):
                if of_windows or part.name != "mnt":
                    tar.add(part, part.name, filter=owned_by_root)
            tar.add(self.lab.key.with_suffix(".pub"), "./root/.ssh/authorized_keys", filter=owned_by_root)
        self.run(["sh", "-euc", OWN_DIRECTORY, "sh", "/etc/cni/net.d"])
        text = self.read(COMPOSE).decode()
        if admin_api:
            anchor = "      - --storage.tsdb.path=/prometheus\n"
            text = text.replace(anchor, f"{anchor}      - {ADMIN_API}\n")
        if REGISTRY:
            text = text.replace(STANDIN, "")
        self.write(COMPOSE, text.encode())

    def install_collection(self) -> None:
        """Put this checkout's collection where ansible-core on the host finds it, for a person who works there."""
        with self.unpacked(COLLECTION) as tar:
            for name in COLLECTION_PARTS:
                if (ROOT / name).exists():
                    tar.add(ROOT / name, name, filter=owned_by_root)

    @contextmanager
    def unpacked(self, directory: str = "/") -> Iterator[tarfile.TarFile]:
        """An archive that is unpacked in a directory of the host when the block ends well."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            yield tar
        self.run(["mkdir", "-p", directory])
        self.run(["tar", "-C", directory, "-x"], input=archive.getvalue())

    def run(
        self, argv: Sequence[str], *, check: bool = True, input: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as root on the host, past SSH; with `check`, a failure raises a LabError."""
        command = ["podman", "exec", "--interactive", self.name, *argv]
        environment = {**os.environ, **self.lab.podman.environment}
        result = subprocess.run(command, env=environment, input=input or b"", capture_output=True, check=False)
        if check and result.returncode != 0:
            error = result.stderr.decode(errors="replace").strip()
            raise LabError(f"On {self.name}, `{shlex.join(argv)}` ended with {result.returncode}: {error}")
        return result

    def output(self, *argv: str) -> str:
        """What a command on the host prints."""
        return self.run(argv).stdout.decode(errors="surrogateescape").strip()

    def read(self, path: str) -> bytes:
        """The content of a file on the host."""
        return self.run(["cat", "--", path]).stdout

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file on the host, in place."""
        self.run(["sh", "-c", 'cat > "$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}"], input=content)

    def volume(self, name: str) -> Path:
        """The content of a Podman volume of the host, seen from the machine."""
        return self.directory / "containers" / "storage" / "volumes" / name / "_data"

    def port(self, service: str) -> int:
        """The port on 127.0.0.1 that leads to `ssh` or one of the services."""
        return int(self.lab.podman("port", self.name, str(PORTS[service])).rsplit(":", 1)[1])

    def url(self, service: str) -> str:
        """Where the machine reaches a service of the host."""
        return f"http://127.0.0.1:{self.port(service)}"

    def get(self, service: str, path: str, **parameters: str) -> Any:
        """The answer to a GET request, read as JSON."""
        url = f"{self.url(service)}{path}?{urllib.parse.urlencode(parameters)}"
        with DIRECT.open(url, timeout=30) as answer:
            return json.load(answer)

    def samples(self) -> int:
        """How many samples of past months Prometheus answers with, counted by itself."""
        query = " + ".join(f"sum(count_over_time({metric}[200d]))" for metric in METRICS)
        answer = self.get("prometheus", "/api/v1/query", query=query, time=str(END))
        return int(answer["data"]["result"][0]["value"][1])

    def lines(self, hours: int) -> int:
        """How many lines Loki counts over so many whole hours before the one in which the lab was made."""
        until = int(self.lab.key.stat().st_mtime) // HOUR * HOUR
        query = f'sum(count_over_time({{job=~".+"}}[{hours}h]))'
        answer = self.get("loki", "/loki/api/v1/query", query=query, time=f"{until}000000000")
        counted = answer["data"]["result"]
        return int(counted[0]["value"][1]) if counted else 0

    def ready(self, service: str) -> bool:
        """Whether a service says that it is ready."""
        try:
            with DIRECT.open(self.url(service) + SERVICES[service], timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def start_stack(self) -> None:
        """Start the monitoring stack and the applications, and wait until they are ready."""
        self.run(["podman", "start", *STACK, *APPLICATIONS])
        for service in SERVICES:
            wait_until(f"Readiness of {service} on {self.name}", partial(self.ready, service), 60)

    def reboot(self) -> None:
        """Restart the host; its containers are stopped afterwards, as in WSL2."""
        with step(f"{self.name}: reboot"):
            self.lab.podman("stop", "--time=5", self.name)
            self.lab.podman("start", self.name)
            self.wait_for_ssh()

    def wait_for_ssh(self) -> None:
        """Wait until the SSH server greets."""
        port = self.port("ssh")
        wait_until(f"The greeting of SSH on {self.name}", partial(greets, port), 30)

    def small_disk(self, path: str, mib: int) -> None:
        """Mount a disk of this size at the path, to be filled; it is gone after a reboot."""
        self.run(["mkdir", "-p", path])
        self.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "lab-small-disk", path])

    def destroy(self) -> None:
        """The disaster: the host and all its data are gone; the backup volume stays."""
        with step(f"{self.name}: destroyed"):
            self.lab.podman.remove(self.name)
            remove_host_files(self.directory)
            self.lab.write_inventory()


def remove_host_files(directory: Path) -> None:
    """Remove what a host leaves when its container is gone: its files, and groups in hierarchies that it shared."""
    for container in (directory / "containers" / "storage" / "overlay-containers").glob("*/"):
        for group in Path("/sys/fs/cgroup").glob(f"*/libpod_parent/libpod-{container.name}"):
            group.rmdir()
    remove_tree(directory)


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owner and mode of a file of this checkout, whoever checked it out; nothing that Python compiled."""
    if Path(entry.name).name == "__pycache__":
        return None
    entry.uid = entry.gid = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def greets(port: int) -> bool:
    """Whether an SSH server answers at the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except (ConnectionError, TimeoutError):
        return False
