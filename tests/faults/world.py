# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site that faults are injected into: one small host, two good sets, and an independent look at what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.lab import Host, Lab
from tests.lab.host import APPLICATIONS, COMPOSE, STACK
from tests.lab.machine import LabError, wait_until
from tests.lab.play import ROOT, Ended, command, play, run

BACKUP = "/backup/flatnet"
KEPT = "/backup/kept"
VOLUME = "app_files_data"
SOURCE = f"volumes/{VOLUME}"
NEW = "written after the last backup"
YESTERDAY = "/usr/local/bin/python3-yesterday"
# What most faults are about; the others name what they need.
SOURCES = ["stack", "prometheus", "volumes"]
# Long enough for a run to go on between two modules, short enough to wait for when it is dead.
LEASE_SECONDS = 2

FILL = """
cd "$1"
for number in $(seq 40); do head -c 20000 /dev/urandom > "file $number"; done
"""
RENEW = """
for container in $(podman ps --all --filter status=paused --format '{{.Names}}'); do podman unpause "$container"; done
podman start "$@"
rm -rf /backup/flatnet /var/lib/flatnet-ops/undo /var/lib/flatnet-ops/restores
cp -a /backup/kept/flatnet /backup/flatnet
for volume in app_files_data prometheus_data; do rm -rf "/var/lib/containers/storage/volumes/$volume/"_data.*; done
rsync -a --delete /backup/kept/files/ /var/lib/containers/storage/volumes/app_files_data/_data/
"""
LOOK = """
cd /backup/flatnet
for set in $(ls -d [0-9]*Z before-restore/[0-9]*Z 2>/dev/null); do
    if (cd "$set" && sha256sum --quiet --check SHA256SUMS >/dev/null 2>&1); then echo "whole $set"; else echo "broken $set"; fi
done
find . -maxdepth 2 \\( -name '.*.partial' -o -name '.removed-*' \\) -printf 'unfinished %f\\n'
podman ps --all --quiet | xargs podman container inspect --format 'resting {{.Name}} {{.State.Status}}' | grep -v ' running$'
find /var/lib/containers/storage/volumes/prometheus_data/_data/snapshots -mindepth 1 -maxdepth 1 -printf 'snapshot %f\\n' 2>/dev/null
find /var/lib/containers/storage/volumes/*/ -mindepth 1 -maxdepth 1 -name '_data.*' -printf 'beside %p\\n'
find /var/lib/flatnet-ops/undo /var/lib/flatnet-ops/restores -type f -printf 'pending %p\\n' 2>/dev/null
exit 0
"""


@dataclass(frozen=True)
class Look:
    """What plain programs of the host find: sets by what `sha256sum` says, and whatever a run may leave behind."""

    whole: tuple[str, ...]
    broken: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def sets(self) -> list[str]:
        """The whole sets that are backups."""
        return [name for name in self.whole if "/" not in name]

    @property
    def replaced(self) -> list[str]:
        """The whole sets of what restores have replaced."""
        return [name for name in self.whole if "/" in name]

    def __str__(self) -> str:
        broken = f", {len(self.broken)} broken ({', '.join(self.broken)})" if self.broken else ""
        replaced = f", {len(self.replaced)} of what a restore replaced" if self.replaced else ""
        left = "; ".join(self.left) or "every container runs and nothing is left behind"
        return f"{len(self.sets)} whole sets{replaced}{broken}; {left}"


class Running:
    """A playbook that is under way, and can be killed with everything that it has started on the controller."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._read: list[str] = []

    def wait_for(self, words: str) -> None:
        """Read what it prints up to a line with these words."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._read.append(line)
            if words in line:
                return
        raise LabError(f"the playbook was expected to print '{words}', and printed {''.join(self._read[-20:])}")

    def kill(self) -> None:
        """End it as `kill -9` or a dead controller does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> Ended:
        """Wait for its own end."""
        rest, _errors = self._process.communicate()
        return Ended("", self._process.returncode, "".join(self._read) + rest)


@contextmanager
def under_way(argv: list[str]) -> Iterator[Running]:
    """Start a command line of `ansible-playbook`; it does not outlive the block."""
    process = subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    running = Running(process)
    with process:
        try:
            yield running
        finally:
            if process.poll() is None:
                running.kill()


class World:
    """One site, made as new for every fault."""

    def __init__(self, lab: Lab, reports_to: Path) -> None:
        self.host: Host = lab.new_host("wsl1", seed="empty")
        self._lab = lab
        self._reports = reports_to
        self.host.run(["sh", "-euc", FILL, "sh", self.data])
        play(lab, "setup", reports_to)
        wait_until("A first scrape", self._scraped, 30)
        for python in (YESTERDAY, "/usr/bin/python3"):
            play(lab, "backup", reports_to, flatnet_backup_sources=SOURCES, ansible_python_interpreter=python)
        self.host.run(["mkdir", KEPT])
        self.host.run(["cp", "-a", BACKUP, f"{KEPT}/flatnet"])
        self.host.run(["cp", "-a", self.data, f"{KEPT}/files"])

    @property
    def data(self) -> str:
        """Where the volume lies on the host."""
        return f"/var/lib/containers/storage/volumes/{VOLUME}/_data"

    @contextmanager
    def container(self, name: str, *options: str, command: str = "") -> Iterator[None]:
        """A running application of somebody's, and its removal."""
        own = ["--entrypoint", json.dumps(["/bin/sh", "-c", command])] if command else []
        self.host.run(
            ["podman", "create", "--name", name, "--network", "none", *options, *own, "localhost/app-files:1.0"]
        )
        try:
            self.host.run(["podman", "start", name])
            yield
        finally:
            self.host.run(["podman", "rm", "--force", "--time", "0", name])

    def renew(self) -> None:
        """Undo whatever the last fault has done."""
        self.host.run(["sh", "-euc", RENEW, "sh", *STACK, *APPLICATIONS])

    def play(self, playbook: str, *options: str, **variables: object) -> Ended:
        """Run a playbook to its end."""
        return run(self._lab, playbook, self._reports, *options, **{"flatnet_backup_sources": SOURCES, **variables})

    @contextmanager
    def started(self, playbook: str, **variables: object) -> Iterator[Running]:
        """Start a playbook; it does not outlive the block."""
        argv = command(self._lab, playbook, self._reports, **{"flatnet_backup_sources": SOURCES, **variables})
        with under_way(argv) as running:
            yield running

    def play_next(self, playbook: str, **variables: object) -> Ended:
        """Run a playbook once the lease of a dead run has lapsed."""
        time.sleep(LEASE_SECONDS)
        give_up = time.monotonic() + 30
        while True:
            ended = self.play(playbook, **variables)
            if "holds its lease" not in ended.output or time.monotonic() > give_up:
                return ended

    def look(self) -> Look:
        """Look without any code of ours."""
        found: dict[str, list[str]] = {}
        for line in self.host.output("sh", "-c", LOOK).splitlines():
            kind, _blank, what = line.partition(" ")
            found.setdefault(kind, []).append(what)
        left = [f"{kind}: {what}" for kind, names in found.items() if kind not in ("whole", "broken") for what in names]
        return Look(tuple(found.get("whole", ())), tuple(found.get("broken", ())), tuple(left))

    def reads(self, path: str) -> str | None:
        """What a file says; None if there is none."""
        done = self.host.run(["cat", "--", path], check=False)
        return done.stdout.decode() if done.returncode == 0 else None

    def keeps(self, name: str) -> bool:
        """Whether what restores have replaced has a file of this name."""
        return bool(self.host.output("find", f"{BACKUP}/before-restore", "-path", "*Z/*", "-name", name))

    def lease(self, boot_id: str) -> None:
        """Leave the lease of a run that was killed a moment ago."""
        now = time.time()
        lease = {
            "run": "20260101T000000Z-backup-dead",
            "purpose": "backup",
            "host": "wsl1",
            "boot_id": boot_id,
            "format": 1,
        }
        times = {"seconds": 120, "expires": now + 100, "expires_at": "in a while"}
        self.host.write(f"{BACKUP}/.lease.json", json.dumps({**lease, **times}).encode())

    def recompose(self, compose: bytes) -> None:
        """Let the stack run by another compose file."""
        self.host.write(COMPOSE, compose)
        self.host.run(["podman-compose", "--file", COMPOSE, "up", "--detach"])
        wait_until("Readiness of Prometheus", partial(self.host.ready, "prometheus"), 30)

    def sign(self, path: str) -> None:
        """Let a set's sums agree with a changed file of it."""
        script = 'cd "$(dirname "$1")"; sum=$(sha256sum manifest.json); sed -i "1s/.*/$sum/" SHA256SUMS'
        self.host.run(["sh", "-euc", script, "sh", path])

    def _scraped(self) -> bool:
        answer = self.host.get("prometheus", "/api/v1/query", query="sum(up)")
        return bool(answer["data"]["result"])
