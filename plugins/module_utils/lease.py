# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease on a backup directory: one run at a time, over many modules.

``.lease.lock`` is held with ``flock`` while a module works; ``.lease.json`` says whose run it is between two modules. A
run that died leaves a lease that expires two minutes after its last renewal, or with the next boot.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import DiskFull, Evicted, LeaseHeld
from ansible_collections.flatnet.ops.plugins.module_utils.times import iso

FORMAT = 1
DEFAULT_SECONDS = 120
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A guard may hold the lock for the moment that its undo takes.
LOCK_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Lease:
    """Whose turn it is."""

    run: str
    purpose: str
    host: str
    boot_id: str
    seconds: int
    expires: float
    format: int = FORMAT

    def belongs_to(self, run: str) -> bool:
        """It is this run's, on this host."""
        return (self.run, self.host) == (run, os.uname().nodename)

    def lapsed(self, now: float, boot_id: str) -> bool:
        """Its run cannot be alive any more, or has been silent too long."""
        booted = self.host == os.uname().nodename and self.boot_id != boot_id
        return booted or now >= self.expires or self.expires - now > 2 * self.seconds


class Leases:
    """The lease of one backup directory."""

    def __init__(self, root: Path, effects: Effects, clock: Callable[[], float] = time.time) -> None:
        self._path = root / ".lease.json"
        self._lock = root / ".lease.lock"
        self._effects = effects
        self._clock = clock
        self._boot_id = BOOT_ID.read_text(encoding="ascii").strip()

    def current(self) -> Lease | None:
        """The lease as it stands, if any."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return Lease(**{name: value for name, value in stored.items() if name != "expires_at"})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError) as error:
            raise LeaseHeld(
                f"{self._path} was expected to say which run holds the backup directory, and cannot be read ({error}): make sure"
                " that no run is at work, remove the file, and run again"
            ) from error

    def refusal(self, run: str) -> str | None:
        """Why this run may not take the lease now, in one sentence; None if it may."""
        lease, now = self.current(), self._clock()
        if lease is None or lease.belongs_to(run) or lease.lapsed(now, self._boot_id):
            return None
        return (
            f"the backup directory {self._path.parent} was expected to be free, and run {lease.run} ({lease.purpose} on"
            f" {lease.host}) holds its lease until {iso(lease.expires)}: wait for that run; if it is dead, run again in"
            f" {lease.expires - now:.0f} s"
        )

    @contextmanager
    def claimed(self, run: str, purpose: str, seconds: int, make_room: Callable[[], object] = list) -> Iterator[None]:
        """Take the lease for a run and work under it.

        :param make_room: what to do where the disk is too full for the lease itself
        :raises LeaseHeld: another run has it, or works right now
        """
        with self._locked():
            refusal = self.refusal(run)
            if refusal:
                raise LeaseHeld(refusal)
            try:
                self._renew(run, purpose, seconds)
            except DiskFull:
                make_room()
                self._renew(run, purpose, seconds)
            yield
            self._renew_if_there()

    @contextmanager
    def visited(self, run: str, purpose: str, make_room: Callable[[], object]) -> Iterator[None]:
        """Work under the lease, and give it back unless the run had it before.

        :raises LeaseHeld: another run has it, or works right now
        """
        mine = self.current()
        if mine is not None and mine.belongs_to(run):
            with self.claimed(run, mine.purpose, mine.seconds, make_room):
                yield
            return
        with self.claimed(run, purpose, DEFAULT_SECONDS, make_room):
            try:
                yield
            finally:
                self.release()

    @contextmanager
    def renewed(self, run: str) -> Iterator[None]:
        """Work under the lease that this run took before.

        :raises Evicted: it is not this run's any more
        """
        with self._locked():
            lease = self.current()
            if lease is None:
                raise Evicted(
                    f"run {run} was expected to hold the lease of {self._path.parent}, and nobody holds it: it was given back"
                    " or removed; nothing of this run counts, run again from the start"
                )
            if not lease.belongs_to(run):
                raise Evicted(
                    f"run {run} was expected to hold the lease of {self._path.parent}, and run {lease.run} ({lease.purpose} on"
                    f" {lease.host}) holds it: this run was silent too long and must not go on; nothing of it counts, run again"
                    " from the start"
                )
            # On a full disk the lease is as old as its last renewal, and what makes room or puts things back goes on.
            with suppress(DiskFull):
                self._renew(run, lease.purpose, lease.seconds)
            yield
            with suppress(DiskFull):
                self._renew_if_there()

    def release(self) -> None:
        """Give the lease back; called while working under it."""
        self._effects.unlink(self._path)

    def _renew_if_there(self) -> None:
        lease = self.current()
        if lease is not None:
            self._renew(lease.run, lease.purpose, lease.seconds)

    def _renew(self, run: str, purpose: str, seconds: int) -> None:
        lease = Lease(run, purpose, os.uname().nodename, self._boot_id, seconds, self._clock() + seconds)
        content = json.dumps({**asdict(lease), "expires_at": iso(lease.expires)}, indent=1, sort_keys=True)
        self._effects.write(self._path, content.encode("utf-8") + b"\n", 0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii") as lock:
            give_up = time.monotonic() + LOCK_WAIT_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up:
                        raise LeaseHeld(self._busy()) from None
                    time.sleep(0.1)
            yield

    def _busy(self) -> str:
        lease = self.current()
        worker = f"run {lease.run} ({lease.purpose} on {lease.host})" if lease else "another run"
        return (
            f"the backup directory {self._path.parent} was expected to be free, and {worker} works in it right now:"
            " wait until it has ended and run again"
        )
