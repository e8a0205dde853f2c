# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease: one run at a time, and a dead run's turn ends by itself."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import Evicted, LeaseHeld
from ansible_collections.flatnet.ops.plugins.module_utils.lease import BOOT_ID, Lease

from tests.unit.plugins.module_utils.conftest import OTHER_RUN, RUN, Backups, at_once

pytestmark = pytest.mark.unit

BOOT = BOOT_ID.read_text("ascii").strip()


def take(backups: Backups, run: str = RUN, seconds: int = 120) -> Lease:
    """Take the lease, and return it as it is between two modules."""
    with backups.leases().claimed(run, "backup", seconds):
        pass
    return held(backups)


def held(backups: Backups) -> Lease:
    """The lease that somebody holds."""
    lease = backups.leases().current()
    assert lease is not None
    return lease


@pytest.mark.parametrize(
    ("left", "same_boot", "lapsed"),
    [
        (120, True, False),
        (0.1, True, False),
        (0, True, True),
        (-3600, True, True),
        (240, True, False),
        (240.1, True, True),
        (120, False, True),
    ],
)
def test_a_lease_lapses_by_time_by_boot_and_by_a_clock_set_back(left: float, same_boot: bool, lapsed: bool) -> None:
    lease = Lease(RUN, "backup", "wsl1", BOOT if same_boot else "another boot", 120, 1000 + left)

    assert lease.lapsed(1000, BOOT) is lapsed


def test_a_lease_is_taken_by_whoever_comes_first(backups: Backups) -> None:
    assert backups.leases().current() is None
    assert backups.leases().refusal(RUN) is None

    lease = take(backups)

    assert (lease.run, lease.purpose, lease.boot_id, lease.expires) == (RUN, "backup", BOOT, backups.now + 120)
    assert (backups.root / ".lease.json").stat().st_mode & 0o7777 == 0o600
    assert (backups.root / ".lease.lock").stat().st_mode & 0o7777 == 0o600


def test_the_run_itself_may_come_back(backups: Backups) -> None:
    take(backups)
    backups.now += 60

    assert take(backups).expires == backups.now + 120


def test_another_run_is_refused_with_the_time_to_wait(backups: Backups) -> None:
    take(backups)
    backups.now += 20

    words = rf"run {RUN} \(backup on .*\) holds its lease until 2026-11-24T02:17:00Z: .*run again in 100 s"
    with pytest.raises(LeaseHeld, match=words):
        take(backups, OTHER_RUN)
    assert held(backups).run == RUN


def by_time(backups: Backups) -> None:
    backups.now += 120


def by_a_clock_set_back(backups: Backups) -> None:
    backups.now -= 3600


def by_boot(backups: Backups) -> None:
    path = backups.root / ".lease.json"
    path.write_text(path.read_text("utf-8").replace(BOOT, "5c7b1d3e-8f0a-4a52-9d43-1c3c2f6f7f11"), "utf-8")


@pytest.mark.parametrize("lapse", [by_time, by_a_clock_set_back, by_boot])
def test_a_lapsed_lease_passes_to_another_run_and_evicts_its_own(
    backups: Backups, lapse: Callable[[Backups], None]
) -> None:
    take(backups)
    lapse(backups)

    assert take(backups, OTHER_RUN).run == OTHER_RUN
    words = rf"run {RUN} was expected .* run {OTHER_RUN} .* holds it: .*start"
    with pytest.raises(Evicted, match=words), backups.leases().renewed(RUN):
        pytest.fail("an evicted run works on")
    assert held(backups).run == OTHER_RUN


def test_a_lease_that_nobody_holds_evicts_as_well(backups: Backups) -> None:
    with pytest.raises(Evicted, match="nobody holds it"), backups.leases().renewed(RUN):
        pytest.fail("a run works without its lease")
    assert backups.leases().current() is None


def test_work_renews_the_lease_when_it_begins_and_when_it_ends(backups: Backups) -> None:
    with backups.leases().claimed(RUN, "backup", 60):
        backups.now += 50
    assert held(backups).expires == backups.now + 60
    backups.now += 50
    with backups.leases().renewed(RUN):
        assert held(backups).expires == backups.now + 60
        backups.now += 500

    assert held(backups) == replace(held(backups), purpose="backup", seconds=60, expires=backups.now + 60)


def test_a_lease_given_back_stays_so(backups: Backups) -> None:
    take(backups)
    leases = backups.leases()
    with leases.renewed(RUN):
        leases.release()

    assert leases.current() is None
    assert take(backups, OTHER_RUN).run == OTHER_RUN


def test_work_that_fails_keeps_the_lease(backups: Backups) -> None:
    with pytest.raises(RuntimeError), backups.leases().claimed(RUN, "backup", 120):
        raise RuntimeError

    assert held(backups).run == RUN


def test_a_lapsed_lease_is_not_taken_from_a_run_that_works(backups: Backups) -> None:
    take(backups)
    backups.now += 3600

    with (backups.root / ".lease.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LeaseHeld, match=rf"run {RUN} \(backup on .*\) works in it right now"):
            take(backups, OTHER_RUN)


def test_a_lock_that_is_free_soon_is_waited_for(backups: Backups) -> None:
    with (backups.root / ".lease.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.3, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        assert take(backups).run == RUN


def test_of_two_processes_at_once_one_has_the_lease(backups: Backups) -> None:
    runs = [f"20261124T021458Z-backup-000{number}" for number in range(4)]
    refused = at_once(runs, lambda run: take(backups, run))

    assert {held(backups).run} == set(runs) - refused
