# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every plan, whole, twice, and against everything that may be in its way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction as transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import Plan

from tests.gateway.site import Site, sites, within
from tests.lab.windows.below import unchangeable
from tests.lab.windows.powershell import missing

pytestmark = [pytest.mark.gateway, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Site]]:
    with sites("acts", 2) as both:
        yield both


@pytest.fixture
def site(pair: list[Site]) -> Site:
    """A gateway that does not run."""
    for one in pair:
        one.reset()
    return pair[0]


@pytest.fixture
def running(site: Site) -> Site:
    """A gateway that runs, by its task."""
    assert site.started().good
    return site


def reload(site: Site, generation: str, **options: float) -> Plan:
    return transaction.reload(site.gateway, generation, hold=0.1, seconds=int(options.get("seconds", 90)))


def restart(site: Site, generation: str) -> Plan:
    return transaction.restart(site.gateway, generation, quit_seconds=1, hold=0.1)


def facts(site: Site, plan: Plan, do: str) -> dict[str, object]:
    return dict(transaction.Journal.load(site.journal(plan)).facts(do))


def unchanged(site: Site, page: str = "first", generation: str = "g0") -> None:
    """It runs on as it did."""
    assert within(5, lambda: len(site.processes()) == 2), site.processes()
    assert (site.answers(), site.generation()) == (page, generation)
    assert (site.conf / "nginx.conf").read_text() == site.text(page)
    assert f" {generation}\\n" in (site.conf / "flatnet" / "identity.conf").read_text()
    assert site.enabled
    assert site.whole() == []


def test_every_plan_whole_and_twice(site: Site) -> None:
    for _time in range(2):
        state = site.started()
        assert state.good, state.sentence
        assert (len(site.processes()), site.answers(), site.enabled) == (2, "first", True)
    before = site.processes()
    for number in range(2):
        plan = reload(site, f"reload{number}")
        assert site.do(plan).good
        assert site.generation() == f"reload{number}"
        assert site.processes()[0] == before[0]
        assert "syntax is ok" in str(facts(site, plan, "test")["output"])
    assert within(5, lambda: site.processes()[1:] != before[1:] and len(site.processes()) == 2)
    for number in range(2):
        plan = site.rollout(f"page{number}", f"rollout{number}")
        state = site.do(plan)
        assert state.good, state.sentence
        assert (site.answers(), site.generation()) == (f"page{number}", f"rollout{number}")
        assert (Path(site.path) / "conf-trees" / plan.id / "old" / "nginx.conf").is_file()
    for number in range(2):
        before = site.processes()
        plan = restart(site, f"restart{number}")
        state = site.do(plan)
        assert state.good, state.sentence
        assert site.generation() == f"restart{number}"
        assert not set(before) & set(site.processes())
        assert state.gap_ms is not None
        assert 0 < state.gap_ms < 60_000
        assert facts(site, plan, "stop")["how"] == "quit"
    for _time in range(2):
        state = site.stopped()
        assert state.good, state.sentence
        assert (site.processes(), site.answers(), site.enabled) == ([], "", False)
    kept = {path.name for path in site.transactions.iterdir()}
    assert site.boot() == 0
    assert {path.name for path in site.transactions.iterdir()} == kept


def test_who_answers_is_told_to_loopback_alone(running: Site) -> None:
    assert running.host.inside(running.port, transaction.WHOAMI)[0] == 200
    assert running.host.outside(running.port, transaction.WHOAMI)[0] == 404


def test_a_second_transaction_is_refused_by_the_name_of_the_first(running: Site, pair: list[Site]) -> None:
    first = running.rollout("second", "g1", pattern="never", seconds=5)
    slow = {**first.steps[-1].options, "probes": [{**first.steps[-1].options["probes"][0], "seconds": 60}]}
    first = replace(first, steps=(*first.steps[:-1], transaction.Step("verify", slow)))
    second = reload(running, "g2")
    running.put(first)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(running.boot)
        assert within(20, lambda: b'"do":"verify"' in running.journal(first))
        running.put(second)
        assert pair[1].runner.ask("act", running.windows) == "3"
        assert not under_way.done()
        assert transaction.judge(first.id, running.journal(first), first.id, first).verdict == transaction.RUNNING
    state = running.state(second)
    assert state.verdict == transaction.REFUSED
    assert first.id in state.sentence
    assert running.state(first).verdict == transaction.UNDONE
    unchanged(running)
    again = reload(running, "g3")
    assert running.do(again).good


def test_of_two_plans_that_wait_one_is_carried_out(running: Site) -> None:
    first, second = reload(running, "g1"), reload(running, "g2")
    early, late = sorted((first, second), key=lambda plan: plan.id)
    running.put(late)
    running.put(early)

    assert running.boot() == 3

    assert running.state(early).good
    assert running.state(late).verdict == transaction.REFUSED
    assert early.id in running.state(late).sentence


def test_the_last_twenty_are_kept(running: Site) -> None:
    rollout = running.rollout("second", "g1")
    assert running.do(rollout).good
    trees = running.path / "conf-trees" / rollout.id
    assert (trees / "old").is_dir()
    gone = running.transactions / ".gone-half"
    (gone / "inside").mkdir(parents=True)
    for number in range(22):
        plan = replace(reload(running, "g2"), id=f"2099010{number // 10}T00000{number % 10}Z-reload-{number:08x}")
        os.utime(running.put(plan) / "plan.json", (0, 0))

    running.boot()

    kept = sorted(path.name for path in running.transactions.iterdir() if path.is_dir())
    assert len(kept) == 20
    assert kept[-1] == plan.id
    assert not trees.exists()
    assert not gone.exists()
    assert (running.answers(), running.generation()) == ("second", "g1")


def test_a_plan_that_was_forgotten_is_not_carried_out(running: Site) -> None:
    plan = reload(running, "g1")
    os.utime(running.put(plan) / "plan.json", (1_600_000_000, 1_600_000_000))

    assert running.boot() == 1

    state = running.state(plan)
    assert state.verdict == transaction.REFUSED
    assert "expected to begin within 60 s" in state.sentence
    unchanged(running)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 2}, "its format is 2"),
        ({"id": "other"}, "it is that of other"),
        ({"steps": [{"do": "format"}]}, "'format' came"),
    ],
)
def test_a_plan_that_it_does_not_know_is_refused(running: Site, change: dict[str, object], why: str) -> None:
    plan = reload(running, "g1")
    path = running.put(plan) / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    assert running.boot() == 1

    state = transaction.judge(plan.id, running.journal(plan), "")
    assert state.verdict == transaction.REFUSED
    assert why in state.sentence
    unchanged(running)


def test_a_damaged_journal_is_named_and_stops_nobody(running: Site) -> None:
    plan = reload(running, "g1")
    (running.put(plan) / "journal").write_bytes(b"\0" * 100 + b"\n")

    assert running.state(plan).verdict == transaction.STRANGER
    running.boot()

    assert running.state(plan).verdict == transaction.STRANGER
    assert "move C:\\" in running.state(plan).sentence
    assert running.do(reload(running, "g2")).good


def test_after_the_deadline_it_is_undone(running: Site) -> None:
    plan = running.rollout("second", "g1", seconds=60)
    running.put(plan)
    assert running.cut(19, "after")
    lines = running.journal(plan).splitlines(keepends=True)
    begin = json.loads(lines[0])
    begin["at"] = "2020" + begin["at"][4:]
    (running.transactions / plan.id / "journal").write_bytes(
        b"".join([json.dumps(begin, separators=(",", ":")).encode() + b"\n", *lines[1:]])
    )

    assert running.boot() == 1

    state = running.state(plan)
    assert state.verdict == transaction.UNDONE
    assert "expected to end within 60 s" in state.sentence
    unchanged(running)


def test_the_deadline_ends_a_wait(running: Site) -> None:
    plan = running.rollout("second", "g1", pattern="never", seconds=3)
    options = {**plan.steps[-1].options, "probes": [{**plan.steps[-1].options["probes"][0], "seconds": 600}]}
    plan = replace(plan, steps=(*plan.steps[:-1], transaction.Step("verify", options)))

    state = running.do(plan)

    assert state.verdict == transaction.UNDONE
    unchanged(running)


def test_what_dies_again_and_again_is_undone(running: Site) -> None:
    plan = running.rollout("second", "g1")
    running.put(plan)
    assert running.cut(6, "after")
    for _time in range(3):
        assert running.cut(2, "before")

    assert running.boot() == 1

    assert running.state(plan).verdict == transaction.UNDONE
    assert "died 4 times" in running.state(plan).sentence
    unchanged(running)


def test_a_configuration_that_nginx_refuses(running: Site) -> None:
    (running.conf / "nginx.conf").write_text(running.text("first") + "nonsense;\n")
    before = running.processes()
    for plan in (reload(running, "g1"), restart(running, "g1")):
        state = running.do(plan)
        assert state.verdict == transaction.UNDONE
        assert 'unknown directive "nonsense"' in state.sentence
        assert facts(running, plan, "test")["exit"] == 1
    assert running.processes() == before
    (running.conf / "nginx.conf").write_text(running.text("first"))
    plan = running.rollout("second }", "g1")
    (running.path / "conf-trees" / plan.id / "new" / "nginx.conf").write_text("nonsense;\n")
    assert running.do(plan).verdict == transaction.UNDONE
    assert running.processes() == before
    unchanged(running)


def test_a_start_with_a_configuration_that_nginx_refuses(site: Site) -> None:
    (site.conf / "nginx.conf").write_text("nonsense;\n")

    state = site.started()

    assert state.verdict == transaction.UNDONE
    assert "the gateway does not run" in state.sentence
    assert not site.enabled


def test_a_configuration_that_answers_500(running: Site) -> None:
    state = running.do(running.rollout("broken", "g1", status=500))

    assert state.verdict == transaction.UNDONE
    assert "200 and a body like '^broken$' was expected" in state.sentence
    assert "500 and 'broken' came" in state.sentence
    unchanged(running)


def test_a_configuration_without_the_identity(running: Site) -> None:
    plan = running.rollout("second", "g1")
    tree = running.path / "conf-trees" / plan.id / "new" / "nginx.conf"
    tree.write_text(tree.read_text().replace("include  flatnet/identity.conf;", ""))
    steps = tuple(
        replace(step, options={**step.options, "seconds": 1}) if step.do == "reload" else step for step in plan.steps
    )

    state = running.do(replace(plan, steps=steps))

    assert state.verdict == transaction.UNDONE
    assert "whether identity.conf is included" in state.sentence
    unchanged(running)


def test_a_gateway_gets_its_identity_by_a_rollout_or_stays_without(running: Site) -> None:
    nameless = running.text("first").replace("include  flatnet/identity.conf;", "")
    assert running.stopped().good
    (running.conf / "nginx.conf").write_text(nameless)
    running.schedule(enabled=True)
    running.runner.ask("start", running.windows)
    assert within(10, lambda: running.answers() == "first")

    failed = running.do(running.rollout("second", "g1", pattern="never"))

    assert failed.verdict == transaction.UNDONE, failed.sentence
    assert within(5, lambda: len(running.processes()) == 2)
    assert (running.answers(), running.generation()) == ("first", "")
    assert (running.conf / "nginx.conf").read_text() == nameless
    assert running.do(running.rollout("second", "g1")).good
    assert (running.answers(), running.generation()) == ("second", "g1")


def test_workers_that_die(running: Site) -> None:
    plan = running.rollout("second", "g1")
    options = {**plan.steps[-1].options, "hold_ms": 2000}
    plan = replace(plan, steps=(*plan.steps[:-1], transaction.Step("verify", options)))
    over = threading.Event()

    def kill() -> None:
        while not over.is_set():
            if b'"do":"verify"' in running.journal(plan):
                for pid in running.processes()[1:]:
                    os.kill(pid, 9)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        state = running.do(plan)
    finally:
        over.set()
        killer.join()

    assert state.verdict == transaction.UNDONE
    unchanged(running)


@pytest.mark.parametrize("leaving", [True, False])
def test_an_alert_in_the_error_log_counts_unless_it_is_of_a_worker_that_leaves(running: Site, leaving: bool) -> None:
    """A worker that leaves sometimes finds a handle closed already."""
    old = running.host.inside(running.port, transaction.WHOAMI)[1].split()[0]
    line = f"2026/11/29 01:04:14 [alert] {old if leaving else 99999}#1888: CloseHandle(00000000000000A0) failed\r\n"
    plan = transaction.reload(running.gateway, "g1", hold=1.5)
    with ThreadPoolExecutor(1) as pool:
        running.put(plan)
        boot = pool.submit(running.boot)
        assert within(20, lambda: b'"do":"verify"' in running.journal(plan))
        with (running.path / "logs" / "error.log").open("a") as log:
            log.write(line)
        boot.result()

    state = running.state(plan)
    assert state.verdict == (transaction.DONE if leaving else transaction.UNDONE), state.sentence
    assert ("CloseHandle" in state.sentence) != leaving
    unchanged(running, generation="g1" if leaving else "g0")


def test_a_master_that_cannot_start_its_worker_anew(running: Site) -> None:
    assert running.do(reload(running, "g1")).good
    assert within(5, lambda: len(running.processes()) == 2)
    master, worker = running.processes()
    running.kill(worker)
    assert within(10, lambda: b"could not respawn worker" in (running.path / "logs" / "error.log").read_bytes())

    state = running.started()

    assert state.good, state.sentence
    assert master not in running.processes()
    unchanged(running, generation="g1")


def test_generated_includes_are_carried_over(running: Site) -> None:
    wsl = running.conf / "flatnet" / "wsl.conf"
    wsl.write_text("# 172.28.112.10\n")
    wsl.chmod(0o444)
    (running.conf / "flatnet" / "identity.conf").chmod(0o444)
    plan = running.rollout("second", "g1")

    assert running.do(plan).good

    assert wsl.read_text() == "# 172.28.112.10\n"
    assert facts(running, plan, "carry")["carried"] == ["identity.conf", "wsl.conf"]
    assert running.do(reload(running, "g2")).good


def test_a_rollout_on_a_gateway_that_is_stopped_leaves_it_stopped(site: Site) -> None:
    plan = site.rollout("second", "g1")

    state = site.do(plan)

    assert state.good, state.sentence
    assert (site.processes(), site.enabled) == ([], False)
    assert (site.conf / "nginx.conf").read_text() == site.text("second")
    assert site.started().good
    assert (site.answers(), site.generation()) == ("second", "g1")


def test_a_locked_file_refuses_a_rollout_by_its_name(running: Site, pair: list[Site]) -> None:
    locked = f"{running.windows}\\conf\\nginx.conf"
    holder = pair[1].runner
    holder.ask("hold", locked)
    plan = running.rollout("second", "g1")
    try:
        state = running.do(plan)
    finally:
        holder.ask("release", locked)

    assert state.verdict == transaction.UNDONE
    assert f"some program holds {locked}" in state.sentence
    assert "rename" not in running.journal(plan).decode()
    unchanged(running)
    assert running.do(running.rollout("third", "g2")).good


def test_a_tree_that_cannot_be_renamed(running: Site) -> None:
    with unchangeable(running.conf):
        plan = running.rollout("second", "g1")
        state = running.do(plan)

    assert state.verdict == transaction.UNDONE
    assert "was expected to be renamed to" in state.sentence
    assert (running.path / "conf-trees" / plan.id / "new").is_dir()
    unchanged(running)


def test_files_that_cannot_be_written(running: Site) -> None:
    with unchangeable(running.conf / "flatnet"):
        state = running.do(reload(running, "g1"))

    assert state.verdict == transaction.UNDONE
    unchanged(running)


@contextmanager
def small_disk(site: Site) -> Iterator[Path]:
    """A disk of 1 MB for the transactions of a site, mounted where the host sees it."""
    inside = ["nsenter", f"--target={site.host.pid}", "--mount", "--"]
    # The drive is there under another name.
    target = f"/prefix/drive_c/{site.name}/transactions"
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], check=True)
    try:
        yield Path(f"/proc/{site.host.pid}/root{target}")
    finally:
        subprocess.run([*inside, "umount", target], check=True)


def deposit(folder: Path, plan: Plan) -> Path:
    (folder / plan.id).mkdir()
    (folder / plan.id / "plan.json").write_bytes(plan.dump())
    return folder / plan.id


def fill(folder: Path, leave: int) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        file.write(b"\0" * (free.f_bavail * free.f_frsize - leave))


def test_a_full_disk_refuses_before_anything_is_done(running: Site) -> None:
    plan = reload(running, "g1")
    with small_disk(running) as disk:
        folder = deposit(disk, plan)
        fill(disk, 16384)

        running.boot()

        state = transaction.judge(plan.id, (folder / "journal").read_bytes(), "", plan)
        assert state.verdict == transaction.REFUSED
        assert "make room on that disk" in state.sentence
    unchanged(running)


def test_a_disk_that_fills_up_meanwhile(running: Site) -> None:
    plan = running.rollout("second", "g1", seconds=60)
    with small_disk(running) as disk:
        folder = deposit(disk, plan)
        over = threading.Event()

        def fill_up() -> None:
            while not over.is_set():
                if (folder / "journal").exists() and b'"do":"free"' in (folder / "journal").read_bytes():
                    fill(disk, 0)
                    return

        filler = threading.Thread(target=fill_up)
        filler.start()
        try:
            running.boot()
        finally:
            over.set()
            filler.join()
        state = transaction.judge(plan.id, (folder / "journal").read_bytes(), "", plan)
        assert state.good, state.sentence
    assert (running.answers(), running.generation()) == ("second", "g1")


def test_a_port_that_a_foreign_program_has(site: Site, pair: list[Site]) -> None:
    foreign = pair[1]
    (foreign.conf / "nginx.conf").write_text(site.text("foreign"))
    foreign.schedule(enabled=True)
    foreign.runner.ask("start", foreign.windows)
    assert within(10, lambda: site.answers() == "foreign")

    state = site.started()

    assert state.verdict == transaction.UNDONE
    assert f"port {site.port} was expected to be free" in state.sentence
    assert (site.processes(), site.enabled) == ([], False)
    assert len(foreign.processes()) == 2


def test_workers_without_a_master(running: Site) -> None:
    for follow in ("start", "stop", "restart"):
        master, *orphans = running.processes()
        running.kill(master)
        assert running.answers() == "first"
        refused = running.do(reload(running, "g1"))
        assert refused.verdict == transaction.UNDONE
        assert "workers without one: PIDs" in refused.sentence
        assert running.processes() == orphans
        plan = {
            "start": transaction.start(running.gateway, hold=0.1),
            "stop": transaction.stop(running.gateway, quit_seconds=1),
            "restart": restart(running, "g0"),
        }[follow]
        state = running.do(plan)
        assert state.good, state.sentence
        assert not set(orphans) & set(running.processes())
        if follow == "start":
            assert facts(running, plan, "start")["orphans_killed"]
        if follow == "stop":
            assert facts(running, plan, "stop")["how"] == "kill"
            assert running.processes() == []
            assert running.started().good
    unchanged(running)


def test_two_masters_on_one_port(running: Site) -> None:
    running.run_by_hand()
    refused = running.do(reload(running, "g1"))
    assert refused.verdict == transaction.UNDONE
    assert "share the port: run the restart" in refused.sentence

    assert running.do(restart(running, "g2")).good

    assert within(5, lambda: len(running.processes()) == 2)
    assert running.generation() == "g2"


def test_a_gateway_that_was_started_by_hand_is_left_running(site: Site) -> None:
    site.run_by_hand()
    before = site.processes()

    assert site.started().good

    assert site.processes() == before
    assert site.enabled


@pytest.mark.parametrize("content", ["99999\r\n", None])
def test_a_pid_file_that_is_stale_or_gone(running: Site, content: str | None) -> None:
    file = running.path / "logs" / "nginx.pid"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)

    assert running.do(reload(running, "g1")).good
    assert running.stopped().good
    assert running.processes() == []


def test_a_request_that_does_not_end_does_not_hold_up_a_stop(running: Site) -> None:
    with socket.create_connection((running.host.address, running.port)) as busy:
        busy.sendall(b"GET / HT")
        assert within(5, lambda: len(running.processes()) == 2)
        plan = restart(running, "g1")
        state = running.do(plan)

    assert state.good, state.sentence
    assert facts(running, plan, "stop")["how"] in ("stop", "kill")
    assert running.generation() == "g1"


def test_a_task_that_somebody_has_disabled(running: Site) -> None:
    running.schedule(enabled=False)
    assert running.do(reload(running, "g1")).good
    assert not running.enabled
    assert running.do(running.rollout("second", "g2")).good
    assert not running.enabled
    assert running.started().good
    assert running.enabled


def test_a_task_that_somebody_has_deleted(running: Site) -> None:
    running.unschedule()
    for plan in (transaction.start(running.gateway), restart(running, "g1")):
        state = running.do(plan)
        assert state.verdict == transaction.UNDONE
        assert "run playbook flatnet.ops.setup" in state.sentence
    assert running.do(running.rollout("second", "g1")).good
    assert running.do(reload(running, "g2")).good
    assert (running.answers(), running.generation()) == ("second", "g2")
    assert running.stopped().good
    assert running.processes() == []
    state = running.started()
    assert state.verdict == transaction.UNDONE
    assert "the gateway does not run" in state.sentence


def test_what_cannot_be_undone_is_stranded(running: Site) -> None:
    """The old configuration is spoilt while the new one is in effect, and the master is gone."""
    plan = running.rollout("second", "g1", pattern="never")

    running.put(plan)
    assert running.cut(20, "after")
    running.kill(*running.processes())
    running.unschedule()
    assert running.boot() == 1

    state = running.state(plan)
    assert state.verdict == transaction.STRANDED
    assert "could not be undone" in state.sentence
    assert "the gateway does not run" in state.sentence
    assert (running.conf / "nginx.conf").read_text() == running.text("first")
    running.schedule(enabled=False)
    assert running.started().good
    unchanged(running)
