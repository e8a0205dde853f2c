# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import (
    FOREIGN,
    RUNNING,
    STOPPED,
    Gateway,
    digest_of,
    gateway_of,
)

pytestmark = pytest.mark.unit

EXE = r"C:\openresty\nginx.exe"
MASTER = {"pid": 100, "path": EXE, "started": "2026-11-24T02:15:00Z", "master": True}
WORKER = {"pid": 104, "path": EXE, "started": "2026-11-24T02:15:01Z", "master": False}
TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Settings><Enabled>{enabled}</Enabled></Settings>
  <Actions><Exec><Command>C:\\openresty\\nginx.exe</Command><Arguments>-p C:\\openresty</Arguments></Exec></Actions>
</Task>"""


def looked(**other: Any) -> Gateway:
    """What a healthy gateway's look means, but for these answers."""
    look = {
        "installed": True,
        "processes": [MASTER, WORKER],
        "listening": True,
        "answer": {"status": 200, "body": "104 1.27.1 abc\n", "problem": None},
        "owners": [],
        "pid_file": "100",
        "program": EXE,
        "version": "nginx version: openresty/1.27.1",
        "configuration": [{"path": "nginx.conf", "sha256": "aa", "unified": "aa", "windows": False}],
        "errors": [],
        "tasks": [{"name": "flatnet-gateway", "xml": TASK.format(enabled="true")}],
        "holder": "",
        "transactions": [],
    }
    return gateway_of(r"C:\openresty", 80, {**look, **other})


def names(gateway: Gateway) -> list[str]:
    return [finding.name for finding in gateway.findings]


def test_of_a_healthy_gateway_nothing_is_to_be_said() -> None:
    gateway = looked()

    assert (gateway.state, gateway.version, gateway.since) == (RUNNING, "1.27.1", "2026-11-24T02:15:00Z")
    assert gateway.identity is not None
    assert (gateway.identity.worker, gateway.identity.generation) == (104, "abc")
    assert [each.pid for each in gateway.workers] == [104]
    assert gateway.sentence == "the gateway runs since 2026-11-24T02:15:00Z, version 1.27.1"
    assert names(gateway) == []


def test_a_stopped_gateway_has_the_version_of_its_program() -> None:
    gateway = looked(processes=[], listening=False, answer=None, pid_file=None)

    assert (gateway.state, gateway.version, gateway.since) == (STOPPED, "1.27.1", None)
    assert names(gateway) == []


def test_a_task_that_would_not_bring_the_gateway_back_is_named() -> None:
    disabled = [{"name": "flatnet-gateway", "xml": TASK.format(enabled="false")}]

    assert names(looked(tasks=disabled)) == ["task_disabled"]
    assert names(looked(tasks=disabled, processes=[], listening=False, answer=None, pid_file=None)) == []


def test_workers_without_a_master_are_named() -> None:
    gateway = looked(processes=[WORKER], pid_file="100")

    assert gateway.state == STOPPED
    assert names(gateway) == ["orphan_workers", "stale_pid_file"]
    assert "process 104" in gateway.sentence


def test_workers_that_a_new_master_did_not_start_are_named() -> None:
    gateway = looked(processes=[MASTER, WORKER, {**WORKER, "pid": 90, "started": "2026-11-24T02:00:00Z"}])

    assert gateway.state == RUNNING
    assert names(gateway) == ["orphan_workers"]
    assert "process 90" in gateway.sentence
    assert "process 104" not in gateway.sentence


def test_a_second_master_is_named() -> None:
    gateway = looked(processes=[MASTER, WORKER, {**MASTER, "pid": 200}])

    assert gateway.state == RUNNING
    assert names(gateway) == ["second_master"]
    assert "process 100 and process 200" in gateway.sentence


@pytest.mark.parametrize(
    ("owners", "words"),
    [([], "a program that Windows does not name"), ([{"pid": 7, "name": "httpd"}], "httpd (7)")],
)
def test_a_program_of_somebody_else_on_the_port_is_named(owners: list[dict[str, object]], words: str) -> None:
    gateway = looked(processes=[], owners=owners, pid_file=None, answer={"status": 200, "body": "hi", "problem": None})

    assert gateway.state == FOREIGN
    assert names(gateway) == ["foreign_program"]
    assert words in gateway.sentence


def test_an_answer_of_a_process_that_is_none_of_nginx_is_no_identity() -> None:
    gateway = looked(answer={"status": 200, "body": "999 1.27.1 abc", "problem": None})

    assert gateway.identity is None
    assert names(gateway) == ["no_identity"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 404, "body": "", "problem": None}, "status 404 came"),
        ({"status": None, "body": None, "problem": "The operation has timed out."}, "timed out. came"),
    ],
)
def test_a_gateway_that_does_not_say_who_it_is_is_told_apart(answer: dict[str, object], words: str) -> None:
    gateway = looked(answer=answer)

    assert gateway.state == RUNNING
    assert names(gateway) == ["no_identity"]
    assert words in gateway.sentence


def test_a_master_that_starts_no_worker_is_named() -> None:
    line = "2026/11/24 02:15:00 [alert] 100#4001: could not respawn worker"
    gateway = looked(processes=[MASTER], listening=False, answer=None, errors=[line])

    assert names(gateway) == ["no_worker"]
    assert (
        f"process 100, was expected to have a worker, and has none, so that nobody answers, and starts none by itself ('{line}')"
        in (gateway.sentence)
    )
    assert names(looked(processes=[MASTER], listening=False, answer=None)) == ["no_worker"]


def transaction(*events: dict[str, object], id: str = "20261129T001122Z-reload-3f9a01bc") -> dict[str, str]:
    begun = {"event": "begin", "format": 1, "id": id, "kind": "reload", "plan_sha256": "aa", "settled": []}
    step = {"event": "step", "step": 1, "do": "write", "before": {}}
    lines = [{"n": n, "at": "20261129T001124.345Z", **event} for n, event in enumerate([begun, step, *events], 1)]
    return {"id": id, "journal": "".join(json.dumps(line) + "\n" for line in lines)}


def end(outcome: str) -> dict[str, object]:
    return {"event": "end", "outcome": outcome, "why": "it was so", "gap_ms": None, "gateway": None}


def test_a_transaction_that_was_cut_is_named_with_what_to_do() -> None:
    cut = transaction()
    gateway = looked(transactions=[cut])

    assert names(gateway) == ["transaction_cut"]
    assert gateway.cut is not None
    assert gateway.cut.id == cut["id"]
    assert f"the reload {cut['id']} was cut at step 2 (write), at 20261129T001124.345Z" in gateway.sentence
    assert "flatnet.ops.start, stop, reload and gateway_config have it done first" in gateway.sentence


def test_a_transaction_that_is_under_way_is_said_and_is_no_finding() -> None:
    under_way = transaction()
    gateway = looked(transactions=[under_way], holder=under_way["id"])

    assert (names(gateway), gateway.cut) == ([], None)
    assert gateway.under_way is not None
    assert f"the reload {under_way['id']} is under way, at step 2 (write)" in gateway.sentence


@pytest.mark.parametrize(
    ("outcome", "found", "words"),
    [
        ("done", [], None),
        ("undone", [], "was undone, and all is as before (nobody has looked at the gateway): it was so"),
        ("stranded", ["transaction_stranded"], "could not be undone"),
        ("lost", ["transaction_unknown"], "move C:"),
    ],
)
def test_how_the_last_transaction_has_ended_is_said_where_it_matters(
    outcome: str, found: list[str], words: str | None
) -> None:
    gateway = looked(transactions=[transaction(end(outcome))])

    assert names(gateway) == found
    assert ("20261129T001122Z" in gateway.sentence) == (words is not None)
    assert (words or "") in gateway.sentence


def test_a_gateway_that_listens_nowhere_is_named() -> None:
    assert names(looked(listening=False, answer=None)) == ["not_listening"]


@pytest.mark.parametrize("written", ["104", "", "4711"])
def test_a_pid_file_that_names_no_master_is_stale(written: str) -> None:
    gateway = looked(pid_file=written)

    assert names(gateway) == ["stale_pid_file"]
    assert f"says '{written}'" in gateway.sentence


@pytest.mark.parametrize(("text", "enabled"), [("true", True), ("false", False)])
def test_a_task_is_read_from_what_the_scheduler_keeps(text: str, enabled: bool) -> None:
    (task,) = looked(tasks=[{"name": "flatnet-gateway", "xml": TASK.format(enabled=text)}]).tasks

    assert (task.enabled, task.command, task.arguments) == (enabled, EXE, r"-p C:\openresty")


def test_a_task_that_is_not_there_is_named() -> None:
    assert names(looked(tasks=[{"name": "flatnet-gateway", "xml": None}])) == ["task_missing"]


def test_a_missing_installation_is_named() -> None:
    gateway = looked(installed=False, processes=[], listening=False, answer=None, pid_file=None, version=None)

    assert names(gateway) == ["not_installed"]
    assert gateway.version is None


def test_a_digest_is_that_of_the_sorted_sums() -> None:
    expected = hashlib.sha256(b"11  a\n22  b/c\n").hexdigest()

    assert digest_of({"b/c": "22", "a": "11"}) == expected
    assert digest_of({"b/c": "22", "a": "12"}) != expected
