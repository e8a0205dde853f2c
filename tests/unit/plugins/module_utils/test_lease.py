# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease: one run at a time, and a dead run's turn ends by itself."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import DiskFull, Evicted, LeaseHeld
from ansible_collections.flatnet.ops.plugins.module_utils.lease import BOOT_ID, Lease

from tests.unit.plugins.module_utils.conftest import OTHER_RUN, RUN, Backups, at_once, full_disk, grow

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
    lease = Lease(RUN, "backup", os.uname().nodename, BOOT if same_boot else "another boot", 120, 1000 + left)

    assert lease.lapsed(1000, BOOT) is lapsed


@pytest.mark.parametrize(("left", "lapsed"), [(120, False), (0, True)])
def test_the_boot_of_another_host_says_nothing(left: float, lapsed: bool) -> None:
    assert Lease(RUN, "backup", "another-host", "another boot", 120, 1000 + left).lapsed(1000, BOOT) is lapsed


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


def change(backups: Backups, **changes: object) -> None:
    """Change what the lease says."""
    path = backups.root / ".lease.json"
    stored = {**json.loads(path.read_bytes()), **changes}
    grow(
        backups.root,
        {path.name: json.dumps({key: value for key, value in stored.items() if value is not ...}).encode()},
    )


def test_a_run_of_the_same_name_on_another_host_is_another_run(backups: Backups) -> None:
    take(backups)
    change(backups, host="another-host")

    with pytest.raises(LeaseHeld, match=rf"run {RUN} \(backup on another-host\) holds its lease"):
        take(backups)
    words = rf"run {RUN} \(backup on another-host\) holds it: this run was silent"
    with pytest.raises(Evicted, match=words), backups.leases().renewed(RUN):
        pytest.fail("a run works under the lease of another host")
    assert backups.lifecycle().abort(RUN) is None
    assert held(backups).host == "another-host"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"format": 2, "run": "x"}', b"\xff"])
def test_a_lease_that_cannot_be_read_is_held_and_has_a_way_out(backups: Backups, content: bytes) -> None:
    lease = grow(backups.root, {".lease.json": content}) / ".lease.json"

    words = rf"^{lease} was expected to say which run holds .* no run is at work, remove the file, and run again"
    for look in (lambda: backups.leases().refusal(RUN), lambda: take(backups), lambda: backups.lifecycle().check(RUN)):
        with pytest.raises(LeaseHeld, match=words):
            look()
    lease.unlink()
    assert take(backups).run == RUN


def test_a_lease_needs_no_time_for_the_eye(backups: Backups) -> None:
    lease = take(backups)
    change(backups, expires_at=...)

    assert held(backups) == lease


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
    words = "nobody holds it: it was given back or removed; nothing of this run counts"
    with pytest.raises(Evicted, match=words), backups.leases().renewed(RUN):
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


def test_a_full_disk_stops_no_run_that_has_the_lease(backups: Backups) -> None:
    lease, worked = take(backups), []
    backups.now += 60
    with backups.leases(full_disk(lambda: True)).renewed(RUN):
        worked.append(RUN)

    assert (worked, held(backups)) == ([RUN], lease)
    assert backups.names() == {".lease.json"}


@pytest.mark.parametrize("helps", [True, False])
def test_room_is_made_once_for_a_lease(backups: Backups, helps: bool) -> None:
    made: list[str] = []
    leases = backups.leases(full_disk(lambda: not (helps and made)))

    ends = nullcontext() if helps else pytest.raises(DiskFull)
    with ends, leases.claimed(RUN, "backup", 120, lambda: made.append("room")):
        assert held(backups).run == RUN
    assert made == ["room"]
    assert (leases.current() is not None) is helps


@pytest.mark.parametrize("before", [True, False])
def test_a_visit_leaves_the_lease_as_it_was(backups: Backups, before: bool) -> None:
    if before:
        take(backups)
    with backups.leases().visited(RUN, "prune", list):
        assert held(backups).run == RUN

    assert (backups.leases().current() is not None) is before


def test_a_visit_leaves_the_lease_of_its_own_run_as_it_is(backups: Backups) -> None:
    leases = backups.leases()
    with leases.claimed(RUN, "restore", 900):
        pass
    with leases.visited(RUN, "before", list):
        pass

    lease = leases.current()
    assert lease is not None
    assert (lease.purpose, lease.seconds, lease.expires) == ("restore", 900, backups.now + 900)


def test_a_visit_that_fails_leaves_no_lease(backups: Backups) -> None:
    leases = backups.leases()
    with pytest.raises(ZeroDivisionError), leases.visited(RUN, "timer", list):
        raise ZeroDivisionError

    assert leases.current() is None
