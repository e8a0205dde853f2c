# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The actions on a gateway, as a play uses them over WinRM: one Windows, one task after the other."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import identity

from tests.lab import Lab
from tests.lab.machine import wait_until
from tests.lab.play import Ended, run
from tests.lab.windows.gateway import POWERSHELL, Gateway
from tests.lab.windows.image import USER

pytestmark = [pytest.mark.gateway, pytest.mark.long]

INCLUDE = "    include flatnet/identity*.conf;\n"
TRANSACTIONS = r"C:\ProgramData\flatnet\transactions"
PROBE = {"path": "/healthz", "pattern": "ok"}
# The caller's answer as a line of JSON, whatever else Ansible prints.
SHOW = {"name": "Show", "ansible.builtin.debug": {"msg": "ANSWER {{ answer | to_json }}"}}


@dataclass(frozen=True)
class Site:
    """A gateway and the controller's copy of its configuration."""

    gateway: Gateway
    conf: Path
    reports: Path

    def play(self, action: str, *options: str, **arguments: Any) -> tuple[Ended, dict[str, Any]]:
        """Run one task, and give back how the play ended and what the task answered."""
        task = {"name": "Do it", f"flatnet.ops.{action}": arguments, "register": "answer"}
        ended = self.run_tasks([task, SHOW], *options)
        return ended, answer_in(ended.output)

    def run_tasks(self, tasks: list[dict[str, Any]], *options: str) -> Ended:
        """Run some tasks on the gateway."""
        book = self.reports / "book.yml"
        book.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}], sort_keys=False))
        return run(self.gateway.lab, str(book), self.reports, *options)

    def good(self, action: str, *options: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a task that has to end well."""
        ended, answer = self.play(action, *options, **arguments)
        assert ended.code == 0, ended.output
        return answer

    def bad(self, action: str, *options: str, **arguments: Any) -> str:
        """The sentence with which a task fails that has to."""
        ended, _answer = self.play(action, *options, **arguments)
        assert ended.code == 2, ended.output
        return ended.error

    def look(self) -> dict[str, Any]:
        """What gateway_info says now."""
        return self.good("gateway_info")

    def findings(self) -> list[str]:
        """What gateway_info finds wrong."""
        return [each["name"] for each in self.look()["findings"]]


def answer_in(output: str) -> dict[str, Any]:
    """What SHOW has printed, if the play came so far."""
    for line in output.splitlines():
        text = line.strip().removeprefix('"msg": ')
        if text.startswith('"ANSWER '):
            answer: dict[str, Any] = json.loads(json.loads(text).removeprefix("ANSWER "))
            return answer
    return {}


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(f"actions-{os.getpid()}") as lab:
        gateway = lab.new_gateway("gateway1")
        live = gateway.drive / "openresty" / "conf"
        (live / "flatnet").mkdir()
        (live / "flatnet" / "identity.conf").write_text(identity("none").text)
        conf = tmp_path_factory.mktemp("site") / "conf"
        shutil.copytree(live, conf, ignore=shutil.ignore_patterns("flatnet"))
        site = Site(gateway, conf, tmp_path_factory.mktemp("reports"))
        site.good("gateway_tasks", account=USER)
        # The task may have begun to keep a gateway by now, which knows no generation yet.
        site.good("gateway", state="restarted")
        yield site


@pytest.fixture
def running(site: Site) -> Site:
    """A gateway that runs, with the configuration that the controller has."""
    site.good("gateway", state="started")
    return site


@contextmanager
def changed(site: Site, name: str, old: str, new: str) -> Iterator[None]:
    """The controller's copy of a file is another one for a while."""
    path = site.conf / name
    was = path.read_bytes()
    assert old.encode() in was
    path.write_bytes(was.replace(old.encode(), new.encode(), 1))
    try:
        yield
    finally:
        path.write_bytes(was)


def test_what_is_installed_is_left_alone_the_second_time(site: Site) -> None:
    again = site.good("gateway_tasks", account=USER)

    assert (again["changed"], again["made"]) == (False, [])


def test_a_task_that_was_deleted_by_hand_is_named_and_made_again(site: Site) -> None:
    deleted = site.gateway.run([r"C:\windows\System32\schtasks.exe", "/Delete", "/TN", "flatnet-gateway", "/F"])
    assert deleted.code == 0, deleted
    assert "task_missing" in site.findings()

    assert site.good("gateway_tasks", "--check", account=USER)["made"] == ["task flatnet-gateway"]
    assert "task_missing" in site.findings()
    assert site.good("gateway_tasks", account=USER)["made"] == ["task flatnet-gateway"]
    assert "task_missing" not in site.findings()


def test_a_gateway_that_somebody_started_by_hand_is_taken_over(running: Site) -> None:
    running.good("gateway", state="stopped")
    command = [POWERSHELL, "-NoProfile", "-Command"]
    started = "Start-Process C:\\openresty\\nginx.exe -ArgumentList '-p','C:\\openresty','-c','conf\\nginx.conf' -WindowStyle Hidden"
    assert running.gateway.run([*command, started]).code == 0
    wait_until("A gateway by hand", lambda: running.look()["state"] == "running", 30)
    by_hand = running.look()["masters"]

    assert running.good("gateway", state="started")["changed"] is True
    # The task would have started a second one by then.
    running.gateway.pass_time(120)
    found = running.look()
    assert (found["masters"], found["findings"]) == (by_hand, [])


def test_a_configuration_is_tried_shown_rolled_out_and_then_left_alone(running: Site) -> None:
    assert running.good("gateway_config", src=str(running.conf))["changed"] is False
    template = running.conf / "conf.d" / "new.conf.j2"
    template.write_text("server {\n    listen 80;\n    server_name {{ inventory_hostname }}.example;\n}\n")
    try:
        tried = running.good("gateway_config", "--check", "--diff", src=str(running.conf))
        assert (tried["changed"], tried["added"], tried["replaced"]) == (True, ["conf.d/new.conf"], [])
        assert "server_name gateway1.example;" in tried["diff"][0]["after"]
        assert "conf.d/new.conf" not in running.look()["configuration"]
        assert not list((running.gateway.drive / "openresty" / "conf-trees").glob("*"))

        done = running.good("gateway_config", src=str(running.conf), probes=[PROBE])
        found = running.look()
        assert (done["changed"], done["added"]) == (True, ["conf.d/new.conf"])
        assert found["identity"]["generation"] == found["generation"]
        assert running.good("gateway_config", src=str(running.conf))["changed"] is False
    finally:
        template.unlink()

    gone = running.good("gateway_config", src=str(running.conf), purge=True)
    assert gone["removed"] == ["conf.d/new.conf"]
    assert running.look()["configuration"] == sorted(
        path.relative_to(running.conf).as_posix() for path in running.conf.rglob("*") if path.is_file()
    )


def test_a_file_keeps_the_line_ends_that_it_has_on_the_gateway(running: Site) -> None:
    live = running.gateway.drive / "openresty" / "conf" / "nginx.conf"
    path = running.conf / "nginx.conf"
    was = path.read_bytes()
    assert b"\r\n" in was
    path.write_bytes(was.replace(b"\r\n", b"\n"))
    try:
        assert running.good("gateway_config", src=str(running.conf))["changed"] is False
        path.write_bytes(path.read_bytes() + b"# more\n")
        assert running.good("gateway_config", src=str(running.conf))["replaced"] == ["nginx.conf"]
        assert live.read_bytes() == was + b"# more\r\n"
    finally:
        path.write_bytes(was)
    running.good("gateway_config", src=str(running.conf))
    assert live.read_bytes() == was


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_a_configuration_that_nginx_does_not_take_changes_nothing(running: Site, check: bool) -> None:
    before = running.look()

    with changed(running, "conf.d/notes.conf", "listen ", "listne "):
        refused = running.bad("gateway_config", *(["--check"] if check else []), src=str(running.conf))

    after = running.look()
    assert 'unknown directive "listne"' in refused
    assert (after["generation"], after["masters"]) == (before["generation"], before["masters"])
    assert after["identity"] == before["identity"]


def test_a_configuration_that_answers_wrongly_is_taken_back(running: Site) -> None:
    before = running.look()

    with changed(running, "conf.d/gateway.conf", 'return 200 "ok', 'return 500 "ok'):
        refused = running.bad("gateway_config", src=str(running.conf), probes=[PROBE])

    after = running.look()
    assert "was undone, and all is as before" in refused
    assert (
        "200 and a body like 'ok' was expected from http://localhost:80/healthz through the gateway, and 500" in refused
    )
    assert (after["generation"], after["masters"]) == (before["generation"], before["masters"])
    assert after["identity"]["generation"] == before["identity"]["generation"]


def test_a_live_configuration_that_somebody_edits_meanwhile_is_not_overwritten(running: Site) -> None:
    live = running.gateway.drive / "openresty" / "conf" / "conf.d" / "notes.conf"
    was = live.read_bytes()
    tree = gateway_transaction.Gateway()
    transaction = gateway_transaction.new_id("rollout")
    plan = gateway_transaction.rollout(tree, transaction, "other", live=running.look()["generation"])
    staged = running.gateway.drive / "openresty" / "conf-trees" / transaction / "new"
    shutil.copytree(running.gateway.drive / "openresty" / "conf", staged)
    live.write_bytes(was + b"# by hand\n")
    try:
        folder = running.gateway.drive / "ProgramData" / "flatnet" / "transactions" / transaction
        folder.mkdir()
        (folder / "plan.json").write_bytes(plan.dump())
        running.gateway.lab_request("task-run", {"name": "flatnet-transaction"})
        wait_until(
            "Its end", lambda: (folder / "journal").exists() and b'"end"' in (folder / "journal").read_bytes(), 60
        )
        state = gateway_transaction.judge(transaction, (folder / "journal").read_bytes(), "", plan)
        assert live.read_bytes() == was + b"# by hand\n"
    finally:
        live.write_bytes(was)

    assert state.verdict == gateway_transaction.UNDONE
    assert (
        "was expected to be as it was when the rollout was planned, and somebody has changed it since" in state.sentence
    )


def test_a_transaction_that_was_cut_is_named_and_settled_first(running: Site) -> None:
    plan = gateway_transaction.reload(gateway_transaction.Gateway(), running.look()["generation"])
    folder = put(running, plan.id, plan.dump())
    refused = {"n": 1, "at": "20990101T000000.000Z", "event": "end", "outcome": "refused", "why": "", "gap_ms": None}
    refusals = [put(running, f"2099010{day}T000000Z-reload-00000000", b"{}") for day in (1, 2)]
    for each in refusals:
        (each / "journal").write_text(json.dumps({**refused, "gateway": None}, separators=(",", ":")) + "\n")
    act = [POWERSHELL, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", rf"{TRANSACTIONS}\act.ps1"]
    try:
        assert running.gateway.run(act, kill_at=(rf"{TRANSACTIONS}\{plan.id}\journal", 3)).ended == "watch"

        found = running.look()
        assert [each["name"] for each in found["findings"]] == ["transaction_cut"]
        assert f"the reload {plan.id} was cut at " in found["msg"]
        tried = running.good("gateway_config", "--check", src=str(running.conf))
        assert (tried["changed"], running.findings()) == (True, ["transaction_cut"])
        assert f"the transaction {plan.id}, which was cut, would be taken up or undone first" in tried["msg"]

        settled = running.good("gateway", state="started")
        assert settled["changed"] is True
        assert settled["msg"].startswith(f"first, the reload {plan.id} is done after it was cut and taken up again: ")
        assert running.findings() == []
        assert running.good("gateway", state="started")["changed"] is False
    finally:
        for each in (folder, *refusals):
            shutil.rmtree(each)


def put(site: Site, name: str, plan: bytes) -> Path:
    """Deposit a plan by hand; its folder."""
    folder = site.gateway.drive / "ProgramData" / "flatnet" / "transactions" / name
    folder.mkdir()
    (folder / "plan.json").write_bytes(plan)
    return folder


def test_a_master_that_cannot_start_its_worker_anew_is_named_and_replaced(running: Site) -> None:
    running.good("gateway", state="reloaded")
    (worker,) = running.look()["workers"]
    ended = running.gateway.powershell(f"[Diagnostics.Process]::GetProcessById({worker}).Kill()")
    assert ended.code == 0, ended
    wait_until("The end of its worker", lambda: running.gateway.processes("nginx.exe") == 1, 30)

    found = running.look()
    assert "no_worker" in [each["name"] for each in found["findings"]]
    assert "could not respawn worker" in found["msg"]

    running.good("gateway", state="started")
    after = running.look()
    assert (after["findings"], len(after["workers"])) == ([], 1)
    assert after["masters"] != found["masters"]


def test_trees_whose_plan_never_came_go_with_the_next_rollout(running: Site) -> None:
    trees = running.gateway.drive / "openresty" / "conf-trees"
    names = [f"20261128T00000{number}Z-rollout-00000000" for number in range(4)]
    forgotten, planned, swapped, young = (trees / name for name in names)
    of_others = trees / "mine"
    for tree in (forgotten, planned, swapped, young, of_others):
        (tree / ("old" if tree is swapped else "new")).mkdir(parents=True)
        (tree / ("old" if tree is swapped else "new") / "nginx.conf").touch()
    long_ago = time.time() - 3600
    for tree in (forgotten, planned, swapped, of_others):
        os.utime(tree, (long_ago, long_ago))
    folder = put(running, planned.name, b"{}")
    try:
        with changed(running, "conf.d/notes.conf", "server {", "# forgotten\nserver {"):
            running.good("gateway_config", "--check", src=str(running.conf))
            assert forgotten.is_dir()
            running.good("gateway_config", src=str(running.conf))
        assert not forgotten.exists()
        assert all(tree.is_dir() for tree in (planned, swapped, young, of_others))
    finally:
        for tree in (folder, planned, swapped, young, of_others):
            shutil.rmtree(tree, ignore_errors=True)
        running.good("gateway_config", src=str(running.conf))


def test_a_tree_without_the_answer_that_proves_it_is_refused(running: Site) -> None:
    with changed(running, "conf.d/gateway.conf", INCLUDE.strip(), ""):
        refused = running.bad("gateway_config", src=str(running.conf))

    assert "put 'include flatnet/identity*.conf;' into that server; nothing was changed" in refused


def test_a_cable_that_is_pulled_in_the_middle_of_a_rollout_is_no_matter(running: Site) -> None:
    transactions = running.gateway.drive / "ProgramData" / "flatnet" / "transactions"
    before = set(transactions.iterdir())

    def begun() -> bool:
        return any((path / "journal").exists() for path in set(transactions.iterdir()) - before)

    def pull() -> None:
        wait_until("The transaction", begun, 300)
        running.gateway.outage(10)

    with changed(running, "conf.d/notes.conf", "server {", "# cut\nserver {"):
        cut = threading.Thread(target=pull)
        cut.start()
        done = running.good("gateway_config", src=str(running.conf), probes=[PROBE])
        cut.join()

    assert done["replaced"] == ["conf.d/notes.conf"]
    found = running.look()
    assert (found["identity"]["generation"], found["findings"]) == (found["generation"], [])
    running.good("gateway_config", src=str(running.conf))


def test_a_host_that_lacks_our_tasks_is_told_to_be_set_up(running: Site) -> None:
    running.gateway.lab_request("task-delete", {"name": "flatnet-transaction"})
    transactions = running.gateway.drive / "ProgramData" / "flatnet" / "transactions"
    try:
        refused = running.bad("gateway", state="reloaded")
        waiting = [path for path in transactions.glob("*/plan.json") if not (path.parent / "journal").exists()]
    finally:
        running.good("gateway_tasks", account=USER)

    assert "task flatnet-transaction was expected to run, and schtasks ended with 1" in refused
    assert "run playbook flatnet.ops.setup" in refused
    assert waiting == []


def test_another_version_of_what_carries_out_transactions_is_replaced(running: Site) -> None:
    act = running.gateway.drive / "ProgramData" / "flatnet" / "transactions" / "act.ps1"
    text = act.read_bytes()
    act.write_bytes(b"exit 1\r\n")

    assert running.good("gateway", state="reloaded")["changed"] is True
    assert act.read_bytes() == text
