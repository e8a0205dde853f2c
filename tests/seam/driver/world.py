# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The little world that is broken again and again: its places, its containers, and how it is put back."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import stat
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import HEADERS, Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import JOURNALS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import DAY, Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY

from tests.seam.driver.stop import until

BASE = Path("/backup/seam")
ROOT = BASE / "flatnet"
SAVED = BASE / "saved"
VOLUMES = Path("/var/lib/containers/storage/volumes")
VOLUME = VOLUMES / "seam_files"
TARGET = VOLUME / "_data"
NOTES_DATA = VOLUMES / "app_notes_data" / "_data"
DUMP = NOTES_DATA / "seam-dump"
SNAPSHOTS = VOLUMES / "prometheus_data" / "_data" / "snapshots"
CONTAINER = "seam-files"
CONTAINERS = ("app-notes", "app-files", "flatnet-prometheus", CONTAINER)
CONFIGURATION = BASE / "etc"
PLUGIN = Path("/opt/cni/bin/flatnet-cni")
ADDRESSES = Path("/var/lib/cni/networks/flatnet")
PLACES = {"root": ROOT, "journals": JOURNALS, "volume": VOLUME, "configuration": CONFIGURATION}
GRAFANA = "http://127.0.0.1:3000"
LOGIN = {
    **HEADERS,
    "Content-Type": "application/json",
    "Authorization": f"Basic {base64.b64encode(b'admin:lab-admin').decode()}",
}
FOLDER = "/api/folders/seam"
BOARDS = ("seam-one", "seam-two", "seam-three", "seam-four")
DAY_ONE = 1_780_000_000.0


@dataclass(frozen=True)
class Turn:
    """One run of an operation: its number is its day."""

    day: int
    effects: Effects

    @property
    def run(self) -> str:
        """The run's id."""
        return f"20261124T021500Z-seam-{self.day:04d}"

    @property
    def now(self) -> float:
        """What its clock says, from its beginning to its end."""
        return DAY_ONE + self.day * DAY

    def lifecycle(self, area: str = "sets") -> Lifecycle:
        """The sets, as this run sees them."""
        return Lifecycle(Area(ROOT, area), self.effects, lambda: self.now)


class Http:
    """HTTP without requests, and with one more chance to be killed: after the question, before the answer."""

    def __init__(self, watch: Callable[[Effect], None] | None, headers: Mapping[str, str] | None = None) -> None:
        self._watch = watch
        self._headers = headers or {}

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Send and wait for the whole answer."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        sent = None if body is None else json.dumps(body)
        connection.request(method, f"{parts.path}?{urllib.parse.urlencode(params or {})}", sent, dict(self._headers))
        if method != "GET" and self._watch is not None:
            self._watch(Effect("http-begun", f"{method} {url}"))
        with connection.getresponse() as response:
            return Answer(method, url, response.status, response.read().decode())


def build() -> None:
    """Make the volume, its container, a configuration, and an empty backup directory."""
    forget()
    run(["podman", "create", "--name", CONTAINER, "--network", "none", "--volume", "seam_files:/srv", "app-files:1.0"])
    run(["podman", "start", CONTAINER])
    for place in (ROOT, SAVED, JOURNALS, CONFIGURATION / "net.d", CONFIGURATION / "bin"):
        place.mkdir(parents=True)
    shutil.copy2(PLUGIN, CONFIGURATION / "bin")
    (CONFIGURATION / "net.d" / "always.conflist").touch()


def forget() -> None:
    """Remove what an earlier test has left."""
    subprocess.run(["podman", "rm", "--force", "--time", "1", CONTAINER], capture_output=True, check=False)
    subprocess.run(["podman", "volume", "rm", "seam_files"], capture_output=True, check=False)
    for place in (BASE, JOURNALS, UNDO_DIRECTORY):
        shutil.rmtree(place, ignore_errors=True)
    draw({})
    _remove_strays()


def fill(words: str) -> None:
    """Replace the volume's content by files that say these words."""
    for path in TARGET.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("plain", "日本 -\n", "-dash", "deep/er/file"):
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{words} {name}")
    (TARGET / "same").hardlink_to(TARGET / "plain")
    (TARGET / "points").symlink_to("plain")
    (TARGET / "empty").mkdir()
    (TARGET / words).touch()


def configure(words: str) -> None:
    """Let the configuration say these words."""
    (CONFIGURATION / "net.d" / "10-seam.conflist").write_text(words)
    # What is younger than a tick of the clock is copied twice.
    time.sleep(2 * tree.RACY_NS / 1e9)


def grafana(effects: Effects) -> Grafana:
    """The lab's Grafana."""
    return Grafana(GRAFANA, Http(effects.watch, LOGIN), effects)


def boards() -> dict[str, str]:
    """What the dashboards say that there are."""
    found = {uid: grafana(Effects()).find(f"/api/dashboards/uid/{uid}") for uid in BOARDS}
    return {uid: board["dashboard"]["description"] for uid, board in found.items() if board is not None}


def draw(wanted: Mapping[str, str]) -> None:
    """Let there be these dashboards, and let each say these words."""
    server = grafana(Effects())
    if server.find(FOLDER) is not None:
        server.send("DELETE", FOLDER)
    if wanted:
        server.send("POST", "/api/folders", {"uid": "seam", "title": "Seam"})
    for uid, words in wanted.items():
        board = {"uid": uid, "title": uid, "description": words, "schemaVersion": 38, "panels": []}
        server.send("POST", "/api/dashboards/db", {"dashboard": board, "folderUid": "seam"})


def save(name: str) -> None:
    """Keep the world as it is now."""
    for place, path in PLACES.items():
        _mirror(path, SAVED / name / place)
    (SAVED / name / "boards.json").write_text(json.dumps(boards()))


def put_back(name: str) -> None:
    """Make the world what it was when it was kept, whatever has happened since."""
    shutil.rmtree(UNDO_DIRECTORY, ignore_errors=True)
    _remove_strays()
    for place, path in PLACES.items():
        _mirror(SAVED / name / place, path)
    if boards() != (wanted := json.loads((SAVED / name / "boards.json").read_text())):
        draw(wanted)
    states = container_states()
    for container in [name for name, state in states.items() if state == "paused"]:
        run(["podman", "unpause", container])
    for container in [name for name, state in states.items() if state == "exited"]:
        run(["podman", "start", container])


def _remove_strays() -> None:
    """Remove what code that breaks its promises has left."""
    DUMP.unlink(missing_ok=True)
    for name in probe_containers():
        run(["podman", "rm", "--force", "--time", "0", name])


def _mirror(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    run(["rsync", "--archive", "--hard-links", "--modify-window=-1", "--delete", f"{source}/", f"{target}/"])


def wait_for_guards() -> None:
    """Wait until every guard whose run is dead has done its duty."""

    def done() -> bool:
        units = [f"flatnet-undo-{path.name}" for path in UNDO_DIRECTORY.glob("*/")]
        return not units or run(["systemctl", "is-active", *units], expect=(0, 3, 4)).code != 0

    until("the guards of a killed run", done)


def container_states() -> dict[str, str]:
    """How the containers are that must run."""
    got = run(["podman", "container", "inspect", "--format", "{{.State.Status}}", *CONTAINERS])
    return dict(zip(CONTAINERS, got.stdout.split(), strict=True))


def sees_target() -> bool:
    """The container looks at the volume as it is, not at a directory that was renamed under it."""
    pid = run(["podman", "container", "inspect", "--format", "{{.State.Pid}}", CONTAINER]).stdout.strip()
    seen = Path(f"/proc/{pid}/root/srv")
    return seen.exists() and seen.samefile(TARGET)


def snapshots() -> set[str]:
    """The snapshots that Prometheus holds."""
    return {path.name for path in SNAPSHOTS.iterdir()} if SNAPSHOTS.is_dir() else set()


def probe_containers() -> list[str]:
    """The containers that were to prove a network, and have not gone."""
    return run(["podman", "ps", "--all", "--filter", "name=flatnet-probe-", "--format", "{{.Names}}"]).stdout.split()


def addresses() -> int:
    """How many addresses the network has given away."""
    return len(list(ADDRESSES.glob("*.*.*.*")))


def content(path: Path) -> dict[str, tuple[object, ...]] | None:
    """A tree with everything that a copy has to keep; None where there is none."""
    return {name: item.identity() for name, item in tree.list_tree(path, {}).items()} if path.is_dir() else None


def shape() -> frozenset[tuple[str, bytes, int]]:
    """The names and types of everything, and the sizes in the volume: what a recovery can depend on."""
    names = set()
    for place, path in {**PLACES, "guards": UNDO_DIRECTORY}.items():
        for name, status in (tree.scan(path) if path.is_dir() else {}).items():
            size = status.st_size if path == VOLUME and stat.S_ISREG(status.st_mode) else 0
            names.add((place, name, stat.S_IFMT(status.st_mode) + size))
    names.update(("boards", f"{uid} {words}".encode(), 0) for uid, words in boards().items())
    return frozenset(names)


def beside(target: Path) -> list[Path]:
    """What restores have put beside a tree, and should not be there when all is over."""
    return sorted(path for path in target.parent.iterdir() if path.name.startswith(f"{target.name}."))
