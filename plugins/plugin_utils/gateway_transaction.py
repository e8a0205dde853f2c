# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transactions on a Windows gateway, as the controller sees them: what is to be done, and how far it has come.

``powershell/act.ps1`` carries them out, by the scheduled task ``flatnet-transaction``; the controller makes a plan, has it
deposited, and judges the journal. Nothing here talks to a host. The formats: ``docs/formats/gateway-transaction.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FORMAT = 1
ACT = Path(__file__).parent / "powershell" / "act.ps1"
ROOT = r"C:\ProgramData\flatnet\transactions"
TASK = "flatnet-transaction"
WHOAMI = "/.flatnet/whoami"
# The folder of the generated includes, in the configuration's own.
OURS = "flatnet"
# What an undo may take beyond the plan's own deadline: a reload that fails, a stop, a start.
UNDO_SECONDS = 90

WAITING, RUNNING, TAKE_UP = "waiting", "running", "take_up"
DONE, UNDONE, STRANDED, REFUSED, STRANGER = "done", "undone", "stranded", "refused", "stranger"
_ENDS = (DONE, UNDONE, STRANDED, REFUSED)
_GENERATION = re.compile(r"[0-9A-Za-z._-]{1,64}")
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z]+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Gateway:
    """Where a site's nginx is, and how it is asked who it is."""

    prefix: str = r"C:\openresty"
    program: str = r"C:\openresty\nginx.exe"
    configuration: str = r"conf\nginx.conf"
    error_log: str = r"C:\openresty\logs\error.log"
    task: str = "flatnet-gateway"
    address: str = "127.0.0.1"
    port: int = 80
    host: str = "localhost"
    path: str = WHOAMI
    # Other versions that may still run; their processes are the gateway's too.
    others: tuple[str, ...] = ()

    @property
    def live(self) -> str:
        """The folder of the configuration that is in effect."""
        return f"{self.prefix}\\{self.configuration.rpartition(chr(92))[0]}"

    def dump(self) -> dict[str, Any]:
        """As a plan holds it."""
        known = asdict(self)
        others = known.pop("others")
        return {**known, "programs": [self.program, *others]}


@dataclass(frozen=True)
class Probe:
    """A request through the gateway, and the answer that is expected."""

    path: str
    host: str = "localhost"
    status: int = 200
    pattern: str = ""
    seconds: float = 10


@dataclass(frozen=True)
class File:
    """A generated include."""

    name: str
    text: str


@dataclass(frozen=True)
class Step:
    """One of the steps that ``act.ps1`` knows."""

    do: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """As a plan holds it."""
        return {"do": self.do, **self.options}


@dataclass(frozen=True)
class Plan:
    """What a transaction does, within which time."""

    id: str
    kind: str
    gateway: Gateway
    steps: tuple[Step, ...]
    seconds: int
    begin_within: int = 60
    # The folder of the trees that it swaps; it goes with the transaction.
    trees: str = ""

    def dump(self) -> bytes:
        """The content of ``plan.json``."""
        content = {
            "format": FORMAT,
            "id": self.id,
            "kind": self.kind,
            "seconds": self.seconds,
            "begin_within": self.begin_within,
            "trees": self.trees,
            "gateway": self.gateway.dump(),
            "steps": [step.dump() for step in self.steps],
        }
        return json.dumps(content, indent=1).encode("ascii") + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 of ``plan.json``, which the journal repeats."""
        return hashlib.sha256(self.dump()).hexdigest()

    @property
    def patience(self) -> int:
        """Seconds after which a poll may give up: the deadline, and the undo that follows it."""
        return self.begin_within + self.seconds + UNDO_SECONDS


def new_id(kind: str, now: datetime | None = None) -> str:
    """A transaction's name; sorted by name they are in the order in which they were asked for."""
    at = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return f"{at:%Y%m%dT%H%M%SZ}-{kind}-{secrets.token_hex(4)}"


def check_id(id: str) -> str:
    """Refuse what is no transaction's name: it becomes a folder's."""
    if not _ID.fullmatch(id):
        raise ValueError(f"a transaction's name like 20261124T021500Z-reload-3f9a01bc was expected, and {id!r} came")
    return id


def identity(generation: str) -> File:
    """The include by which a gateway says who it is; it belongs into the server on the gateway's port.

    ``return`` comes before ``allow`` and ``deny``, so the guard is a condition.
    """
    if not _GENERATION.fullmatch(generation):
        raise ValueError(f"a generation of letters, digits, '.', '_' and '-' was expected, and {generation!r} came")
    lines = [
        "# Generated by flatnet.ops at each rollout and reload; changes here are lost.",
        f"location = {WHOAMI} {{",
        "    access_log off;",
        "    default_type text/plain;",
        "    if ($remote_addr !~ ^(127\\.0\\.0\\.1|::1)$) {",
        "        return 404;",
        "    }",
        f'    return 200 "$pid $nginx_version {generation}\\n";',
        "}",
        "",
    ]
    return File("identity.conf", "\n".join(lines))


def start(
    gateway: Gateway, probes: Sequence[Probe] = (), seconds: int = 90, hold: float = 1, generation: str = ""
) -> Plan:
    """A gateway that runs, by its task.

    :param generation: of the configuration that a new master reads; empty where one may run that has read another
    """
    steps = (
        _look(own_port=True, task=True),
        *((_write(gateway, generation),) if generation else ()),
        _test(gateway.configuration),
        _task("enabled"),
        _start(generation),
        _verify(generation, probes, hold),
    )
    return Plan(new_id("start"), "start", gateway, steps, seconds)


def stop(gateway: Gateway, seconds: int = 60, quit_seconds: float = 15) -> Plan:
    """A gateway that is gone, workers too, and that nothing starts again."""
    steps = (_look(many=True), _task("disabled"), _stop(quit_seconds))
    return Plan(new_id("stop"), "stop", gateway, steps, seconds)


def reload(gateway: Gateway, generation: str, probes: Sequence[Probe] = (), seconds: int = 90, hold: float = 1) -> Plan:
    """The configuration that lies there, in effect, and proved to be by its generation."""
    steps = (
        _look(running=True),
        _write(gateway, generation),
        _test(gateway.configuration),
        _reload(generation),
        _verify(generation, probes, hold),
    )
    return Plan(new_id("reload"), "reload", gateway, steps, seconds)


def restart(
    gateway: Gateway,
    generation: str,
    probes: Sequence[Probe] = (),
    seconds: int = 120,
    quit_seconds: float = 15,
    hold: float = 1,
) -> Plan:
    """One new master by the task, whoever started what runs now."""
    steps = (
        _look(many=True, own_port=True, task=True),
        _write(gateway, generation),
        _test(gateway.configuration),
        _task("disabled"),
        _stop(quit_seconds),
        _task("enabled"),
        _start(generation),
        _verify(generation, probes, hold),
    )
    return Plan(new_id("restart"), "restart", gateway, steps, seconds)


def staged_tree(gateway: Gateway, id: str) -> str:
    """Where the tree of a rollout is put before the plan is deposited: on the same disk, beside nothing that runs."""
    return f"{gateway.prefix}\\conf-trees\\{id}\\new"


def rollout(
    gateway: Gateway,
    id: str,
    generation: str,
    probes: Sequence[Probe] = (),
    seconds: int = 120,
    hold: float = 1,
    live: str = "",
) -> Plan:
    """Another configuration tree in effect, or the old one.

    :param id: a name from :func:`new_id`; the tree is in its :func:`staged_tree`
    :param live: the digest of the configuration that it was made for; empty where that is no matter
    """
    staged = staged_tree(gateway, check_id(id))
    trees, name = staged.rpartition("\\")[0], gateway.configuration.rpartition("\\")[2]
    old = f"{trees}\\old"
    ours = [asdict(identity(generation))]
    steps = (
        _look(),
        Step("free", {"folder": gateway.live, "digest": live}),
        Step("carry", {"from": f"{gateway.live}\\{OURS}", "to": f"{staged}\\{OURS}", "files": ours}),
        _test(f"{staged}\\{name}"),
        _task("disabled"),
        Step("rename", {"from": gateway.live, "to": old}),
        Step("rename", {"from": staged, "to": gateway.live}),
        _task("before"),
        _reload(generation),
        _verify(generation, probes, hold, if_running=True),
    )
    return Plan(id, "rollout", gateway, steps, seconds, trees=trees)


def _look(*, running: bool = False, own_port: bool = False, many: bool = False, task: bool = False) -> Step:
    return Step("look", {"running": running, "own_port": own_port, "many": many, "task": task})


def _write(gateway: Gateway, generation: str) -> Step:
    return Step("write", {"folder": f"{gateway.live}\\{OURS}", "files": [asdict(identity(generation))]})


def _test(configuration: str) -> Step:
    return Step("test", {"configuration": configuration})


def _task(state: str) -> Step:
    return Step("task", {"state": state})


def _stop(quit_seconds: float) -> Step:
    return Step("stop", {"quit_seconds": quit_seconds})


def _start(generation: str = "") -> Step:
    return Step("start", {"generation": generation, "seconds": 30})


def _reload(generation: str) -> Step:
    return Step("reload", {"generation": generation, "seconds": 20})


def _verify(generation: str, probes: Sequence[Probe], hold: float, *, if_running: bool = False) -> Step:
    asked = [asdict(probe) for probe in probes]
    options = {"generation": generation, "probes": asked, "hold_ms": int(hold * 1000), "if_running": if_running}
    return Step("verify", options)


@dataclass(frozen=True)
class Entry:
    """One line of a journal."""

    n: int
    at: str
    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Journal:
    """What a transaction has said so far."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def load(cls, content: bytes) -> Journal:
        """Read a journal; a last line without its end was cut while it was written, and counts for nothing."""
        entries = []
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                stored = json.loads(line)
                entry = Entry(stored.pop("n"), stored.pop("at"), stored.pop("event"), stored)
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise ValueError(f"its line {number} is no entry of a journal: {line[:80]!r}") from error
            if entry.n != number:
                raise ValueError(f"its line {number} says that it is line {entry.n}")
            entries.append(entry)
        return cls(tuple(entries))

    def last(self, *events: str) -> Entry | None:
        """The last entry of these kinds."""
        return next((entry for entry in reversed(self.entries) if entry.event in events), None)

    def facts(self, do: str) -> Mapping[str, Any]:
        """What the last step of this kind found out."""
        names = {entry.fields["step"]: entry.fields["do"] for entry in self.entries if entry.event == "step"}
        for entry in reversed(self.entries):
            if entry.event in ("done", "failed") and names.get(entry.fields["step"]) == do:
                facts: Mapping[str, Any] = entry.fields["facts"]
                return facts
        return {}


@dataclass(frozen=True)
class State:
    """How a transaction stands, in one word and in one sentence."""

    id: str
    verdict: str
    sentence: str
    # From the first signal of a stop, or the last good answer, to the next one; None where nothing was interrupted.
    gap_ms: int | None = None

    @property
    def ended(self) -> bool:
        """Nobody has to do anything about it any more."""
        return self.verdict in _ENDS

    @property
    def good(self) -> bool:
        """It did what was asked."""
        return self.verdict == DONE


def judge(id: str, content: bytes, holder: str, plan: Plan | None = None) -> State:
    """Say how a transaction stands.

    :param content: its journal, empty while there is none
    :param holder: the transaction that holds the lock now; empty if none does
    :param plan: the plan that was deposited, where the asker has made it
    """
    try:
        journal = Journal.load(content)
    except ValueError as error:
        return State(id, STRANGER, _stranger(id, str(error)))
    if not journal.entries:
        return State(id, *_unbegun(id, holder))
    end = journal.last("end")
    if end is not None and end.fields["outcome"] == REFUSED:
        return State(id, REFUSED, f"transaction {id} was refused and changed nothing: {end.fields['why']}")
    begin = journal.entries[0]
    if begin.event == "begin" and begin.fields.get("format") != FORMAT:
        return State(id, STRANGER, _stranger(id, f"its format is {begin.fields.get('format')}, and {FORMAT} is known"))
    if begin.event != "begin" or begin.fields["id"] != id:
        return State(id, STRANGER, _stranger(id, f"it begins with {begin.event} of {begin.fields.get('id')}"))
    if plan is not None and begin.fields["plan_sha256"] != plan.digest:
        return State(id, STRANGER, _stranger(id, "it carries out another plan than the one that was deposited"))
    if end is None:
        return State(id, *_unfinished(id, journal, holder, begin.fields["kind"]))
    return _ended(id, journal, end, begin.fields["kind"])


def _stranger(id: str, why: str) -> str:
    return (
        f"the journal of transaction {id} was expected to be one of flatnet.ops, and {why}: look at the gateway, then move"
        f" {ROOT}\\{id} away"
    )


def _unbegun(id: str, holder: str) -> tuple[str, str]:
    if holder == id:
        return RUNNING, f"transaction {id} is about to begin"
    if holder:
        return WAITING, f"transaction {id} has not begun, and changed nothing: {holder} is under way"
    return WAITING, f"transaction {id} has not begun, and changed nothing: task {TASK} has yet to run it"


def _unfinished(id: str, journal: Journal, holder: str, kind: str) -> tuple[str, str]:
    failed = journal.last("failed")
    begun = [entry for entry in journal.entries if entry.event in ("step", "undo")]
    reached = f"step {begun[-1].fields['step'] + 1} ({begun[-1].fields['do']})" if begun else "its beginning"
    if holder == id:
        if failed:
            return RUNNING, f"the {kind} {id} failed and is being undone, at {reached}: {failed.fields['why']}"
        return RUNNING, f"the {kind} {id} is under way, at {reached}"
    rest = "undo the rest" if failed else "take it up, or undo it if its time is over"
    return TAKE_UP, (
        f"the {kind} {id} was cut at {reached}, at {journal.entries[-1].at}, and nobody works on it: the next run of task {TASK}"
        f" will {rest}"
    )


def _ended(id: str, journal: Journal, end: Entry, kind: str) -> State:
    outcome, why, gap = end.fields["outcome"], end.fields["why"], end.fields["gap_ms"]
    now = _gateway(end.fields["gateway"])
    taken_up = " after it was cut and taken up again" if journal.last("taken_up") else ""
    if outcome == DONE:
        return State(id, DONE, f"the {kind} {id} is done{taken_up}: {now}", gap)
    if outcome == UNDONE:
        return State(id, UNDONE, f"the {kind} {id} was undone{taken_up}, and all is as before ({now}): {why}", gap)
    if outcome == STRANDED:
        return State(id, STRANDED, f"the {kind} {id} failed and could not be undone{taken_up} ({now}): {why}", gap)
    return State(id, STRANGER, _stranger(id, f"it ended with {outcome!r}"))


def _gateway(state: Mapping[str, Any] | None) -> str:
    """What runs, in words."""
    if state is None:
        return "nobody has looked at the gateway"
    masters, workers = state["masters"], state["workers"]
    if not masters:
        named = ", ".join(str(pid) for pid in workers)
        return f"the gateway has no master, and workers {named} are left" if workers else "the gateway does not run"
    who = f"the gateway runs with master {', '.join(str(pid) for pid in masters)}"
    if state["answer"] != "ours":
        return f"{who}, and does not say who it is"
    return f"{who}; worker {state['pid']} of nginx {state['version']} answers with generation {state['generation']}"
