# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save Prometheus: a snapshot through its admin API, copied out with links to unchanged blocks, always removed again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils import tree, tsdb
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Question, operators_probes
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    AdminApiOff,
    CopyFailed,
    SnapshotMissing,
    SourceRefused,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import NO_DATA, Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Filling
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Probe, Source
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import TreeCopy
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY, guarded, quote

SOURCE = "prometheus"
SERIES = 'count({__name__=~".+"})'
SCRAPES = "sum(count_over_time(up[1h]))"
# A scrape is stored some seconds after the instant it is stamped with; older answers do not change any more.
SETTLED_SECONDS = 30
BLOCKS_ASKED = 50
# A server whose client has died goes on with its snapshot: only after this much silence it is done.
QUIET_SECONDS = 5
# What Prometheus does where nothing is said: 15 days.
DEFAULT_RETENTION_MS = 15 * 86400 * 1000
# Copying a snapshot out may take long; it costs nothing until compaction replaces its blocks.
GUARD_SECONDS = 86400


class PrometheusSnapshot:
    """Saves one Prometheus."""

    def __init__(
        self,
        effects: Effects,
        server: Prometheus,
        podman: Podman,
        container: str | None,
        data_dir: Path | None,
        questions: Sequence[Question] = (),
        undo_directory: Path = UNDO_DIRECTORY,
    ) -> None:
        """
        :param container: where the server runs; its mounts tell where its data directory lies on the host
        :param data_dir: the data directory on the host, instead of a container
        """
        self._effects = effects
        self._server = server
        self._podman = podman
        self._container = container
        self._data_dir = data_dir
        self._questions = questions
        self._undo_directory = undo_directory

    def data(self) -> Path:
        """The server's data directory on this host; also says no to a server whose admin API is off.

        :raises AdminApiOff: no snapshot could be taken
        :raises SnapshotMissing: the directory is not to be found here
        """
        flags = self._server.flags()
        if flags.get("web.enable-admin-api") == "false":
            raise AdminApiOff(
                f"Prometheus at {self._server.url} was expected to run with --web.enable-admin-api, and runs without: add"
                " the flag and start it again (playbook flatnet.ops.setup does)"
            )
        inside = flags.get("storage.tsdb.path", "data/")
        data = self._data_dir
        if self._container is not None:
            data = self._podman.container(self._container).host_path(Path(inside))
            if data is None:
                raise SnapshotMissing(
                    f"Prometheus at {self._server.url} keeps its data in {inside} inside container {self._container}, and no"
                    " mount of that container covers it: give it a volume there, or say data_dir"
                )
        if data is None or not data.is_dir():
            raise SourceRefused(
                f"the data directory of Prometheus at {self._server.url} was expected at {data} on this host, and is not"
                f" there (the server calls it {inside}): check container or data_dir; the earlier sets are untouched"
            )
        return data

    def save(self, filling: Filling) -> Source:
        """Take the snapshot, copy it into the set, verify it there, and enter it.

        :raises ServerError: the server refuses, or its snapshot does not appear
        :raises CopyFailed: the copy is not whole
        """
        began = time.monotonic()
        data = self.data()
        snapshots = data / "snapshots"
        earlier = {path.name for path in snapshots.iterdir()} if snapshots.is_dir() else set()
        with guarded(self._effects, "snapshot", GUARD_SECONDS, self._undo_directory) as guard:
            guard.promise([_remove_new(snapshots, earlier)])
            asked_at = time.time()
            snapshot = snapshots / self._server.snapshot()
            guard.promise([quote(["rm", "-rf", "--", str(snapshot)])])
            if not snapshot.is_dir():
                raise SnapshotMissing(
                    f"Prometheus at {self._server.url} said that it took snapshot {snapshot.name}, and {snapshot} does not"
                    " appear on this host: container or data_dir names another server's data; correct it, and remove that"
                    " snapshot where the server has it, or it will fill the disk"
                )
            self._check(snapshot)
            blocks = tsdb.blocks(snapshot)
            probes = tuple(self._ask(self._lasting(blocks), asked_at - SETTLED_SECONDS))
            target = filling.place(SOURCE)
            copy = TreeCopy(self._effects, snapshot, target, filling.previous(SOURCE))
            # Blocks never change under one name, and every snapshot touches them by linking to them.
            copied = copy.take_resting(touched_counts=False)
        self._check(target)
        totals = tree.totals(copied.listing)
        source = Source(
            name=SOURCE,
            kind="prometheus",
            origin=f"{self._server.url} ({data})",
            consistency="snapshot",
            files=totals.files,
            entries=totals.entries,
            bytes=totals.bytes,
            linked_files=copied.linked_files,
            linked_bytes=copied.linked_bytes,
            seconds=time.monotonic() - began,
            containers=(self._container,) if self._container else (),
            software={"prometheus": self._server.version()},
            facts={"blocks": len(blocks), "samples": sum(block.samples for block in blocks)},
            probes=probes,
            place=self._place(data),
        )
        filling.add(source, copied.listing)
        return source

    def _place(self, data: Path) -> dict[str, str]:
        if self._container is None:
            return {"path": str(data)}
        return {"container": self._container, "path": self._server.flags().get("storage.tsdb.path", "data/")}

    def _check(self, data: Path) -> None:
        broken = [f"{name} {what}" for name, what in tsdb.verify(data)]
        if broken:
            raise CopyFailed(
                f"the snapshot of {self._server.url} was expected to hold whole blocks, and {broken[0]}"
                f" ({len(broken)} such files): Prometheus' own data is damaged; look at its log, earlier sets are untouched"
            )

    def _lasting(self, blocks: Sequence[tsdb.Block]) -> list[tsdb.Block]:
        """The blocks that a server with these flags keeps when it starts on them."""
        keeps = tsdb.milliseconds(self._server.flags().get("storage.tsdb.retention.time", "0s")) or DEFAULT_RETENTION_MS
        newest = max((block.max_time for block in blocks), default=0)
        return [block for block in blocks if block.max_time > newest - keeps]

    def _ask(self, blocks: Sequence[tsdb.Block], settled: float) -> Iterator[Probe]:
        yield from operators_probes(self._questions, settled, self._server.url, self._server.query)
        step = max(1, -(-len(blocks) // BLOCKS_ASKED))
        own = [(SERIES, (block.min_time + block.max_time) / 2000) for block in blocks[::step]]
        for query, at in [*own, (SCRAPES, settled)]:
            answer = self._server.query(query, at)
            if answer != NO_DATA:
                yield Probe(query, at, answer)


def _remove_new(snapshots: Path, earlier: set[str]) -> str:
    """Shell commands that remove a snapshot whose name is not known yet, also one that the server is still writing."""
    spare = [part for name in sorted(earlier) for part in ("!", "-name", name)]
    children = ["find", str(snapshots), "-mindepth", "1", "-maxdepth", "1"]
    find = [*children, *spare, "-print", "-exec", "rm", "-rf", "--", "{}", "+"]
    return f"""
quiet=0
while [ "$quiet" -lt {QUIET_SECONDS} ]; do
    quiet=$((quiet + 1))
    if [ -d {quote([str(snapshots)])} ] && [ -n "$({quote(find)})" ]; then quiet=0; fi
    sleep 1
done"""
