# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of the workflows share: a backup directory with a clock of its own, and stand-ins for the host's programs."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effect, Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import LeaseHeld
from ansible_collections.flatnet.ops.plugins.module_utils.lease import Leases
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import Journals
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import DAY, Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Manifest, Opening, Source
from ansible_collections.flatnet.ops.plugins.module_utils.times import set_id
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer
from ansible_collections.flatnet.ops.plugins.module_utils.tree import RACY_NS, totals
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import CHUNKS_MAGIC, INDEX_MAGIC, TOMBSTONES_MAGIC

RUN = "20261124T021458Z-backup-3f9a"
OTHER_RUN = "20261124T021459Z-restore-0c1d"
NOTES = "volumes/notes"
# 2026-11-24T02:15:00Z
BEGIN = 1795486500.0
ULIDS = [f"01HQ3XW2D4E5F6G7H8J9KM{number:04}" for number in range(3)]
FORK = multiprocessing.get_context("fork")
# Root reads every file, unless these rights are taken away.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.getuid() == 0 else []
FAKE_PODMAN = Path(__file__).with_name("fake_podman.py")

Content = Mapping[str, bytes]


def grow(directory: Path, content: Content) -> Path:
    """Write files, by relative name; one that is as it should be is not touched."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    return directory


def files(root: Path) -> dict[str, bytes] | None:
    """What a directory holds, if it is there."""
    if not root.is_dir():
        return None
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def in_secret(path: Path, change: Callable[[Path], object]) -> None:
    """Change a file or directory so that its modification time does not tell."""
    status = path.stat()
    change(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def rewrite(path: Path) -> None:
    """Change a file's content and nothing that rsync compares."""
    in_secret(path, lambda path: path.write_bytes(path.read_bytes().swapcase()))


def next_tick() -> None:
    """Wait until the file system's clock has moved on: what changes now has another change time."""
    time.sleep(RACY_NS / 1e9)


def a_source(name: str = NOTES, files: int = 100, bytes: int = 1000, **more: Any) -> Source:
    """A source of this size."""
    return Source(name, "directory", f"/srv/{name}", "hot", files, files + 1, bytes, 0, 0, 0.5, **more)


def a_block(data: Path, ulid: str, begin: int = 0) -> Path:
    """A whole block of Prometheus', of two hours; times in milliseconds."""
    stats = {"numSamples": 120, "numSeries": 9}
    described = {"ulid": ulid, "minTime": begin, "maxTime": begin + 7_200_000, "stats": stats}
    content = {
        "meta.json": json.dumps(described).encode(),
        "index": INDEX_MAGIC + b"...",
        "tombstones": TOMBSTONES_MAGIC + b"...",
        "chunks/000001": CHUNKS_MAGIC + b"...",
        "chunks/000002": CHUNKS_MAGIC + b"...",
    }
    return grow(data / ulid, content)


@dataclass
class Backups:
    """A backup directory; ``now`` is what its runs' clock says."""

    base: Path
    now: float = BEGIN

    @property
    def root(self) -> Path:
        """The backup directory."""
        return self.base / "flatnet"

    @property
    def undo(self) -> Path:
        """Where guards live."""
        return self.base / "state" / "undo"

    @property
    def restores(self) -> Path:
        """Where the journals of restores are."""
        return self.base / "state" / "restores"

    def area(self, name: str = "sets") -> Area:
        """Its sets, or what restores have replaced."""
        return Area(self.root, name)

    def leases(self, effects: Effects | None = None) -> Leases:
        """Its lease."""
        return Leases(self.root, effects or Effects(), lambda: self.now)

    def journals(self, effects: Effects | None = None) -> Journals:
        """The restores that are not finished."""
        return Journals(effects or Effects(), self.restores, self.undo)

    def lifecycle(self, area: str = "sets", effects: Effects | None = None) -> Lifecycle:
        """What happens to its sets."""
        return Lifecycle(self.area(area), effects or Effects(), lambda: self.now, self.undo, self.restores)

    def open(
        self, run: str = RUN, area: str = "sets", effects: Effects | None = None, purpose: str = "backup"
    ) -> Opening:
        """Open a set."""
        return self.lifecycle(area, effects).open(run, purpose, "tokyo", "wsl1", "flatnet.ops 1.0.0").opening

    def enter(self, *sources: Source, run: str = RUN, area: str = "sets") -> None:
        """Enter sources of which only the numbers count."""
        with self.lifecycle(area).filling(run) as filling:
            for source in sources:
                filling.add(source, {})

    def save(self, name: str, content: Content, run: str = RUN, area: str = "sets", kind: str = "directory") -> None:
        """Copy files into the open set; a source keeps its files from one set to the next."""
        origin = grow(self.base / "origin" / name, content)
        with self.lifecycle(area).filling(run) as filling:
            copied = TreeCopy(Effects(), origin, filling.place(name), filling.previous(name)).take_resting()
            counted = totals(copied.listing)
            source = replace(a_source(name, counted.files, counted.bytes), kind=kind)
            filling.add(source, copied.listing)

    def commit(self, *expected: str, forced: tuple[str, ...] = (), effects: Effects | None = None) -> Manifest:
        """Complete the open set; a source may shrink by half."""
        return self.lifecycle(effects=effects).commit(RUN, expected or [NOTES], 50, forced)

    def back_up(self, *sources: Source, **content: bytes) -> str:
        """Make one set, of numbers or of files in :data:`NOTES`; the next day begins."""
        self.open()
        if sources:
            self.enter(*sources)
        else:
            self.save(NOTES, content)
        done = self.commit(*(source.name for source in sources)).id
        self.now += DAY
        return done

    def plant(self, name: str, *sources: Source, area: str = "sets", purpose: str = "backup") -> Path:
        """Lay down a set that somebody made at another time: only its manifest counts."""
        path = self.area(area).path(name)
        path.mkdir(parents=True)
        by_name = {source.name: source for source in sources}
        manifest = Manifest(name, area, RUN, purpose, "tokyo", "wsl1", "test", 0.0, 1.0, None, by_name)
        (path / sets.MANIFEST).write_bytes(sets.dump(manifest))
        return path

    def id(self, days: float = 0) -> str:
        """The name of a set that is begun so many days from now."""
        return set_id(self.now + days * DAY)

    def names(self) -> set[str]:
        """Everything in the backup directory but the lease's lock and the other area."""
        return set(os.listdir(self.root)) - {".lease.lock", "before-restore"}


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    """An empty backup directory."""
    made = Backups(tmp_path)
    made.root.mkdir(mode=0o700)
    return made


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does, and fail if it never does it."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "waited in vain for another process"
        time.sleep(0.02)


def is_free(lock: Path) -> bool:
    """Nobody holds this file or directory locked."""
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def expect_no_guard(undo: Path) -> None:
    """No guard is left."""
    assert list(undo.iterdir()) == []


def commands_on(path: Path) -> list[bytes]:
    """The first words of the processes that were given this path."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(path) in words:
                found.append(words[0])
    return found


def in_another_process(work: Callable[[], object]) -> ForkProcess:
    """Start work that this process outlives."""
    process = FORK.Process(target=work, daemon=True)
    process.start()
    return process


def at_once(runs: Sequence[str], work: Callable[[str], object]) -> set[str]:
    """Let several runs, each in a process of its own, do the same at the same time; return those that were refused."""
    together, refused = FORK.Barrier(len(runs)), FORK.Queue()

    def one(run: str) -> None:
        together.wait()
        try:
            work(run)
        except LeaseHeld:
            refused.put(run)
        else:
            refused.put("")

    processes = [in_another_process(partial(one, run)) for run in runs]
    ended = {refused.get(timeout=60) for _run in runs}
    for process in processes:
        process.join()
    return ended - {""}


class Stopped(BaseException):
    """The run was killed here, as far as the disk can tell."""


def stop_at(kind: str, target: str) -> Effects:
    """Effects that are stopped before the first one of this kind whose target ends so."""

    def watch(effect: Effect) -> None:
        if effect.kind == kind and effect.target.endswith(target):
            raise Stopped

    return Effects(watch)


def unprivileged(script: str, path: Path) -> str:
    """What a Python script prints that is run with this path, and may not read what nobody may."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [*UNPRIVILEGED, sys.executable, "-c", script, str(path)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_a_small_disk(script: str, disk: Path, *arguments: Path) -> str:
    """What a Python script prints that is run with a directory, and with more, which is a disk of 1 MiB to it alone."""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(disk)]
    if subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no process a file system of its own (unshare --map-root-user --mount)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [*argv, sys.executable, "-c", script, str(disk), *map(str, arguments)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def full_disk(is_full: Callable[[], bool], error: int = errno.ENOSPC) -> Effects:
    """Effects whose files have no room on the disk, as long as it is full."""

    def watch(effect: Effect) -> None:
        if effect.kind == "fsync" and is_full():
            raise OSError(error, os.strerror(error))

    return Effects(watch)


Given: TypeAlias = "tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | Exception"
Answers: TypeAlias = "dict[str, Given | Callable[[Mapping[str, str]], Given]]"


@dataclass
class Server:
    """A transport whose answers are given by path: status, body and headers, an error to raise, or what makes one of the query."""

    answers: Answers = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Answer at once."""
        path = "/" + url.split("/", 3)[3]
        self.asked.append((method, path, dict(params or {})))
        self.sent.append(body)
        answer = self.answers[path]
        if callable(answer):
            answer = answer(params or {})
        if isinstance(answer, Exception):
            raise answer
        status, said, *headers = answer
        return Answer(method, url, status, said if isinstance(said, str) else json.dumps(said), *headers)


def success(data: Any) -> tuple[int, Any]:
    """What Prometheus says when all is well."""
    return 200, {"status": "success", "data": data}


def vector(*values: str) -> tuple[int, Any]:
    """What Prometheus says to a query."""
    return success({"resultType": "vector", "result": [{"metric": {}, "value": [0, value]} for value in values]})


AddProgram = Callable[[str, str], Path]


@pytest.fixture
def add_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddProgram:
    """Puts a shell script before every other program of its name."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def add(name: str, script: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}", "utf-8")
        path.chmod(0o755)
        return path

    return add


@pytest.fixture
def systemd_run(add_program: AddProgram) -> None:
    """Stands for a running systemd: the command after ``--`` goes on by itself, whatever becomes of its caller."""
    add_program(
        "systemd-run",
        """while [ "$1" != -- ]; do shift; done
shift
setsid "$@" </dev/null >/dev/null 2>&1 &
""",
    )


@dataclass
class PodmanHost:
    """The containers and volumes that the stand-in for ``podman`` knows."""

    directory: Path

    def add(
        self, name: str, status: str = "running", project: str = "", writable: bool = True, **mounts: tuple[Path, str]
    ) -> None:
        """Make a container; its mounts are host path and path inside, by volume; a bind mount has no name."""
        described = {
            "Name": name,
            "ImageName": "app:1.0",
            "State": {"Status": status},
            "Mounts": [
                {"Name": volume, "Source": str(source), "Destination": inside, "RW": writable}
                for volume, (source, inside) in mounts.items()
            ],
            "Config": {"Labels": {"io.podman.compose.project": project} if project else {}},
        }
        (self.directory / f"{name}.container").write_text(json.dumps(described), "utf-8")

    def put(self, kind: str, name: str, described: Mapping[str, Any]) -> None:
        """Make a container, image, network, volume or pod that is described like this."""
        (self.directory / f"{name}.{kind}").write_text(json.dumps(described), "utf-8")

    def status(self, name: str) -> str:
        """How a container is now."""
        return str(json.loads((self.directory / f"{name}.container").read_text("utf-8"))["State"]["Status"])

    def add_volume(self, name: str) -> Path:
        """Make an empty volume, and say where its files lie."""
        mountpoint = self.directory / "volumes" / name / "_data"
        mountpoint.mkdir(parents=True)
        return mountpoint

    def calls(self) -> list[str]:
        """The commands that changed something, in order."""
        log = self.directory / "log"
        return log.read_text("utf-8").splitlines() if log.exists() else []


@pytest.fixture
def podman_host(tmp_path: Path, add_program: AddProgram) -> PodmanHost:
    """A host with the stand-in for ``podman``, and nothing in it."""
    directory = tmp_path / "podman"
    directory.mkdir()
    add_program("podman", f'exec "{sys.executable}" -IS "{FAKE_PODMAN}" "{directory}" "$@"\n')
    return PodmanHost(directory)
