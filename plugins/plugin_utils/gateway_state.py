# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a look at a gateway means: who answers, what runs, and everything about it that is not as it should be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ansible_collections.flatnet.ops.plugins.plugin_utils import gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tasks import (
    GATEWAY_TASK,
    ROTATION_TASK,
    TRANSACTION_TASK,
)
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_transaction import State, judge

# The tasks of the scheduler that we make.
TASKS = (GATEWAY_TASK, TRANSACTION_TASK, ROTATION_TASK)
RUNNING, STOPPED, FOREIGN = "running", "stopped", "foreign"
_TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
_IDENTITY = re.compile(r"(\d+) (\S+) (\S+)\s*")
# nginx for Windows cannot start a worker anew after every reload.
_NO_WORKER = "could not respawn worker"
_VERSION = re.compile(r"nginx version: \S+?/(\S+)")


@dataclass(frozen=True)
class Process:
    """One process of nginx; ``path`` and ``started`` (UTC) are not known of another account's."""

    pid: int
    path: str | None
    started: str | None
    master: bool


@dataclass(frozen=True)
class Identity:
    """Who answers on the port, as the gateway itself says: the worker, its version, and the configuration that is in effect."""

    worker: int
    version: str
    generation: str


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, by a name for programs and in a sentence for people."""

    name: str
    message: str


@dataclass(frozen=True)
class Task:
    """A task of the scheduler."""

    name: str
    enabled: bool
    command: str
    arguments: str


@dataclass(frozen=True)
class LiveFile:
    """A file of the configuration as it lies there; sums are SHA-256, ``unified`` that of the file with the line ends of Unix."""

    sha256: str
    unified: str
    windows: bool


@dataclass(frozen=True)
class Gateway:
    """A gateway, as one look has found it."""

    prefix: str
    port: int
    state: str
    version: str | None
    identity: Identity | None
    masters: tuple[Process, ...]
    workers: tuple[Process, ...]
    since: str | None
    program: str
    tasks: tuple[Task, ...]
    configuration: Mapping[str, LiveFile]
    digest: str
    errors: tuple[str, ...]
    # Those that have not ended, and the last one that has, the youngest first.
    transactions: tuple[State, ...]
    # Who listens on the port, by process, as far as Windows was asked and named them.
    owners: Mapping[int, str]
    findings: tuple[Finding, ...]

    @property
    def cut(self) -> State | None:
        """The transaction that somebody has to take up or undo before anything else is done."""
        return self._transaction(gateway_transaction.TAKE_UP)

    @property
    def under_way(self) -> State | None:
        """The transaction that the host carries out at this moment."""
        return self._transaction(gateway_transaction.RUNNING)

    def _transaction(self, *verdicts: str) -> State | None:
        return next((each for each in self.transactions if each.verdict in verdicts), None)

    @property
    def kept(self) -> bool:
        """Its task is there, and enabled."""
        return any(task.name == GATEWAY_TASK and task.enabled for task in self.tasks)

    @property
    def sentence(self) -> str:
        """Everything that an operator has to know, in one line."""
        who = f"version {self.version or 'unknown'}"
        runs = {
            RUNNING: f"the gateway runs since {self.since or 'a time that is not known'}, {who}",
            STOPPED: f"the gateway is stopped, {who}",
            FOREIGN: f"the gateway is stopped, and another program has its port {self.port}",
        }
        told = self._transaction(gateway_transaction.RUNNING, gateway_transaction.UNDONE)
        parts = [runs[self.state], *(finding.message for finding in self.findings), *([told.sentence] if told else [])]
        return "; ".join(parts)


def digest_of(configuration: Mapping[str, str]) -> str:
    """The SHA-256 of a configuration: of every file's path and content, in the order of their paths.

    :param configuration: the SHA-256 of each file's content, by its path with slashes
    """
    lines = (f"{digest}  {path}\n" for path, digest in sorted(configuration.items()))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def gateway_of(prefix: str, port: int, look: Mapping[str, Any]) -> Gateway:
    """What the answer of ``gateway_look.ps1`` means."""
    processes = [Process(each["pid"], each["path"], each["started"], each["master"]) for each in look["processes"]]
    masters = tuple(each for each in processes if each.master)
    workers = tuple(each for each in processes if not each.master)
    identity = _identity(look["answer"])
    configuration = {
        file["path"]: LiveFile(file["sha256"], file["unified"], file["windows"]) for file in look["configuration"]
    }
    said = _VERSION.search(look["version"] or "")
    answered = identity is not None and identity.worker in {each.pid for each in processes}
    transactions = tuple(judge(each["id"], each["journal"].encode(), look["holder"]) for each in look["transactions"])
    state = RUNNING if masters else FOREIGN if look["listening"] and not processes else STOPPED
    return Gateway(
        prefix=prefix,
        port=port,
        state=state,
        version=identity.version if identity else said.group(1) if said else None,
        identity=identity if answered else None,
        masters=masters,
        workers=workers,
        since=min((each.started for each in masters if each.started), default=None),
        program=look["program"],
        tasks=tuple(task for task in map(_task, look["tasks"]) if task),
        configuration=configuration,
        digest=digest_of({path: file.sha256 for path, file in configuration.items()}),
        errors=tuple(look["errors"]),
        transactions=transactions,
        owners={owner["pid"]: owner["name"] for owner in look["owners"]},
        findings=(
            *_findings(prefix, port, look, masters, workers, identity if answered else None),
            *_left(transactions),
        ),
    )


def _identity(answer: Mapping[str, Any] | None) -> Identity | None:
    match = _IDENTITY.fullmatch(answer["body"] or "") if answer and answer["status"] == 200 else None
    return Identity(int(match.group(1)), match.group(2), match.group(3)) if match else None


def _task(found: Mapping[str, Any]) -> Task | None:
    if found["xml"] is None:
        return None
    # The file says UTF-16 of itself; what it says has been decoded already.
    root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", found["xml"]))
    return Task(
        name=found["name"],
        enabled=root.findtext(f"{_TASK}Settings/{_TASK}Enabled", "true").strip().lower() != "false",
        command=root.findtext(f".//{_TASK}Exec/{_TASK}Command", ""),
        arguments=root.findtext(f".//{_TASK}Exec/{_TASK}Arguments", ""),
    )


def _findings(
    prefix: str,
    port: int,
    look: Mapping[str, Any],
    masters: Sequence[Process],
    workers: Sequence[Process],
    identity: Identity | None,
) -> list[Finding]:
    found = []
    if not look["installed"]:
        found.append(
            Finding(
                "not_installed", f"a gateway was expected in {prefix}, and there is no such directory: say where it is"
            )
        )
    orphans = _orphans(masters, workers)
    if orphans and masters:
        found.append(
            Finding(
                "orphan_workers",
                f"every worker of nginx was expected to be that of {_pids(masters)}, and {_pids(orphans)} have lost their master and go on"
                " serving, deaf to reload and stop: run flatnet.ops.start, which ends them",
            )
        )
    elif orphans:
        found.append(
            Finding(
                "orphan_workers",
                f"no master of nginx runs, and {_pids(workers)} go on serving without one, deaf to reload and stop: stop the"
                " gateway, which ends them, and start it",
            )
        )
    if len(masters) > 1:
        found.append(
            Finding(
                "second_master",
                f"one master of nginx was expected, and {_pids(masters)} run and share port {port}, so that requests are answered"
                " by either: stop the gateway, which ends all of them, and start it",
            )
        )
    if look["listening"] and not masters and not workers:
        named = [f"{owner['name']} ({owner['pid']})" for owner in look["owners"]]
        found.append(
            Finding(
                "foreign_program",
                f"port {port} was expected to be free for the gateway or in its hands, and"
                f" {' and '.join(named) or 'a program that Windows does not name'} listens there: end it, or give it another port",
            )
        )
    if masters and not workers:
        logged = next((f" ('{line}')" for line in reversed(look["errors"]) if _NO_WORKER in line), "")
        found.append(
            Finding(
                "no_worker",
                f"the master of nginx, {_pids(masters)}, was expected to have a worker, and has none, so that nobody answers, and"
                f" starts none by itself{logged}: run flatnet.ops.start, which replaces it",
            )
        )
    elif masters and not look["listening"]:
        found.append(
            Finding(
                "not_listening",
                f"the gateway runs and was expected to listen on port {port}, and nothing does: look at its configuration and"
                " the last lines of its error log",
            )
        )
    if masters and look["listening"] and identity is None:
        answer = look["answer"] or {}
        came = f"status {answer['status']}" if answer.get("status") else answer.get("problem") or "no answer"
        found.append(
            Finding(
                "no_identity",
                f"the gateway was expected to say who it is at http://127.0.0.1:{port}/.flatnet/whoami, and {came} came: run"
                " flatnet.ops.setup, which gives it that answer",
            )
        )
    written = look["pid_file"]
    if written is not None and written not in {str(each.pid) for each in masters}:
        found.append(
            Finding(
                "stale_pid_file",
                rf"{prefix}\logs\nginx.pid was expected to name the master, and says '{written}', which is none: signals by hand go"
                " astray; start or restart the gateway with our playbooks, which do not go by it",
            )
        )
    for task in look["tasks"]:
        if task["xml"] is None:
            found.append(
                Finding(
                    "task_missing",
                    f"task {task['name']} was expected, and the scheduler has none: run flatnet.ops.setup, which makes it",
                )
            )
    kept = next((task for task in map(_task, look["tasks"]) if task and task.name == GATEWAY_TASK), None)
    if masters and kept is not None and not kept.enabled:
        found.append(
            Finding(
                "task_disabled",
                f"task {GATEWAY_TASK} was expected to keep the gateway that runs, and is disabled, so that a reboot ends it: run"
                " flatnet.ops.start, which enables it",
            )
        )
    return found


def _left(transactions: Sequence[State]) -> list[Finding]:
    """What transactions have left for somebody to do."""
    todo = {
        gateway_transaction.TAKE_UP: (
            "transaction_cut",
            "; the host does so when it boots, and flatnet.ops.start, stop, reload and gateway_config have it done first",
        ),
        gateway_transaction.STRANDED: (
            "transaction_stranded",
            "; put that right by hand, and run flatnet.ops.start: this is said until a transaction is done",
        ),
        gateway_transaction.STRANGER: ("transaction_unknown", ""),
    }
    found = []
    for each in transactions:
        if each.verdict in todo:
            name, advice = todo[each.verdict]
            found.append(Finding(name, each.sentence + advice))
    return found


def _orphans(masters: Sequence[Process], workers: Sequence[Process]) -> list[Process]:
    """The workers that have lost their master: it started them, so they are younger than it."""
    if not masters:
        return list(workers)
    eldest = min((each.started for each in masters if each.started), default="")
    return [each for each in workers if each.started and each.started < eldest]


def _pids(processes: Sequence[Process]) -> str:
    return " and ".join(f"process {each.pid}" for each in processes)
