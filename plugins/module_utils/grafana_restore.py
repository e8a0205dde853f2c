# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a Grafana hold what files say, all of it or a part, and prove it.

Everything is compared and decided before the first write. What is as it should be is not written, what the server refuses
does not keep the rest from being restored, and what was written is read back and compared with the files.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Callable, TypeVar

from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ContentDiffers,
    NoSuchSet,
    RequestRefused,
    RestoreIncomplete,
    SecretsNeeded,
    ServerError,
    UsageError,
    UsersMissing,
    WouldOverwrite,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Entry, Tree, dump
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import (
    FOLDERS,
    GENERAL,
    KINDS,
    Kind,
    Ref,
    Thing,
    called,
    refs_of,
    secret_fields,
    thing_of,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_writes import WRITES, Name, Secrets, Target

GENERAL_TITLE = "General"
NAMED_AT_MOST = 5
# What comes along with what is chosen, where the server has none: nothing could be put into it, or shown by it.
_SUPPORT = (FOLDERS.name, "library_panels")
_FOR_FOLDERS = ("folders", "folder_permissions")
_NOWHERE = Ref("", "", "")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Verdict(Enum):
    """What is to be done about an object."""

    CREATE = "created"
    UPDATE = "updated"
    SAME = "unchanged"
    KEEP = "kept"
    LEAVE_OUT = "left_out"
    PROVISIONED = "provisioned"
    WOULD_OVERWRITE = "would_overwrite"
    SECRETS_NEEDED = "secrets_needed"
    USER_MISSING = "user_missing"


COUNTED = (Verdict.CREATE, Verdict.UPDATE, Verdict.SAME, Verdict.KEEP, Verdict.LEAVE_OUT)
_WRITTEN = (Verdict.CREATE, Verdict.UPDATE)
_SHOWN = (*_WRITTEN, Verdict.WOULD_OVERWRITE)


@dataclass(frozen=True)
class Policy:
    """What is done about objects that cannot simply be made.

    ``existing``: the server has another one: ``refuse``, ``update``, ``keep``. ``missing_secrets`` and ``missing_users``:
    ``refuse`` or ``leave_out``. ``provisioned``: ``skip`` or ``restore``.
    """

    existing: str = "refuse"
    missing_secrets: str = "refuse"
    missing_users: str = "refuse"
    provisioned: str = "skip"


@dataclass(frozen=True)
class Selection:
    """What is restored; ``support`` only where the server has none."""

    chosen: tuple[Entry, ...]
    support: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Step:
    """What is to be done about one object, and why; ``ref`` and ``version`` are those of the one on the server."""

    entry: Entry
    verdict: Verdict
    reason: str = ""
    ref: Ref | None = None
    version: int = 0
    differs: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    before: str = ""
    after: str = ""

    @property
    def words(self) -> str:
        """How a message calls it."""
        about = self.reason or ", ".join(self.differs[:NAMED_AT_MOST])
        return _words(self.entry) + (f": {about}" if about else "")

    @property
    def name(self) -> dict[str, Any]:
        """What it is, as a module returns it."""
        return {"kind": self.entry.kind, "key": self.entry.key, "title": self.entry.title}

    @property
    def value(self) -> dict[str, Any]:
        """What it is and why, as a module returns it."""
        return {**self.name, "reason": self.reason, "differs": list(self.differs)}


@dataclass
class Progress:
    """How far a restore has come."""

    done: list[Step] = field(default_factory=list)
    refused: list[tuple[Step, str]] = field(default_factory=list)
    not_tried: list[tuple[Step, str]] = field(default_factory=list)
    locked: set[tuple[str, str]] = field(default_factory=set)
    differs: list[tuple[Step, tuple[str, ...]]] = field(default_factory=list)
    missing: dict[Name, str] = field(default_factory=dict)
    standing: set[Name] = field(default_factory=set)

    def values(self, steps: Iterable[Step]) -> dict[str, Any]:
        """What a module that fails returns."""
        told = {step.entry.id for step in self.done}
        told |= {step.entry.id for step, _reason in [*self.refused, *self.not_tried]}
        rest = [step for step in steps if step.verdict in _WRITTEN and step.entry.id not in told]
        return {
            "done": [step.name for step in self.done],
            "refused": [{**step.name, "reason": reason} for step, reason in self.refused],
            "not_tried": [
                *({**step.name, "reason": reason} for step, reason in self.not_tried),
                *({**step.name, "reason": "the run ended before"} for step in rest),
            ],
            "differs": [{**step.name, "differs": list(paths)} for step, paths in self.differs],
        }


class GrafanaRestore:
    """Restores one organization."""

    def __init__(
        self,
        server: Grafana,
        tree: Tree,
        policy: Policy | None = None,
        secrets: Secrets | None = None,
        workers: int = 8,
        diff: bool = False,
    ) -> None:
        """Nothing is asked yet.

        :param secrets: what no backup holds, by kind, key and field
        :param workers: how many requests are under way at a time
        :param diff: whether each step has the texts of both sides
        """
        self._server = server
        self._tree = tree
        self._policy = policy or Policy()
        self._secrets = secrets or {}
        self._workers = workers
        self._diff = diff
        self._known: set[Name] | None = None
        self._accounts: tuple[str, ...] = ()
        self.seconds: dict[str, float] = {}

    def plan(self, selection: Selection) -> list[Step]:
        """Compare everything with the server, and decide; nothing is changed.

        :raises SetDamaged: a file cannot be used
        """
        target = Target(self._server, self._secrets)
        support = {entry.id for entry in selection.support}
        progress = Progress()
        steps: list[Step] = []
        for kind, entries in _by_kind([*selection.chosen, *selection.support]):
            with self._clock(kind):
                refs = {ref.key: ref for ref in refs_of(kind, self._server)}
                wanted = [entry for entry in entries if entry.id not in support or entry.key not in refs]
                fresh = self._each(partial(self._step, target, progress, kind, refs), wanted)
            for step in fresh:
                self._expect(target, step)
                _note(progress, step)
            steps.extend(fresh)
        return steps

    def check(self, steps: Sequence[Step], overwriting: bool = True) -> None:
        """Refuse what nobody has agreed to, before anything is written.

        :param overwriting: also what the server has that would be replaced
        :raises UsersMissing: users or teams are missing
        :raises SecretsNeeded: secrets are missing
        :raises WouldOverwrite: the server has other objects in these places
        """
        url = self._server.url
        if users := of(steps, Verdict.USER_MISSING):
            raise UsersMissing(
                f"everybody whom the files name was expected at {url}, and that is not so of {words(users)}: give what is missing,"
                " restore users and teams first, or restore without them by missing_users=leave_out",
                {"missing": [step.value for step in users]},
            )
        if secrets := of(steps, Verdict.SECRETS_NEEDED):
            raise SecretsNeeded(
                f"the secrets of every object that {url} does not have yet were expected in the option secrets, and these are"
                f" missing: {words(secrets)}: give them, or restore without these objects by missing_secrets=leave_out",
                {"missing": [step.value for step in secrets]},
            )
        found = of(steps, Verdict.WOULD_OVERWRITE)
        if found and overwriting:
            raise WouldOverwrite(
                f"{url} was expected to have what the files have, or nothing in its place, and has something else as"
                f" {words(found)}: see what would be lost by --check --diff, then restore with existing=update to replace it, with"
                " existing=keep to leave it, or choose other objects",
                {"would_overwrite": [step.value for step in found]},
            )

    def apply(self, steps: Sequence[Step]) -> Progress:
        """Write what is to be written, in order, then read back and compare.

        :raises RestoreIncomplete: the server has refused something; all the rest that could be is restored
        :raises ContentDiffers: something is not as it was written
        :raises ServerError: nothing more can be written, as where credentials have expired
        """
        progress = Progress()
        for step in steps:
            if step.ref is not None and step.verdict not in _WRITTEN:
                _standing(progress, step.entry)
        to_write = [step for step in steps if step.verdict in _WRITTEN]
        if not to_write:
            return progress
        try:
            self._write_all(to_write, progress)
            self._compare_all([*progress.done, *of(steps, Verdict.SAME)], progress)
        except ServerError as error:
            raise type(error)(
                f"{error}; {len(progress.done)} of {len(to_write)} objects were written before: run again, and the rest follows",
                progress.values(steps),
            ) from error
        self._settle(steps, progress)
        return progress

    def _step(self, target: Target, progress: Progress, kind: Kind, refs: Mapping[str, Ref], entry: Entry) -> Step:
        """What is to be done about one object."""
        with self._server.understood(_words(entry), entry.path):
            return self._compared(target, progress, kind, refs, entry)

    def _compared(self, target: Target, progress: Progress, kind: Kind, refs: Mapping[str, Ref], entry: Entry) -> Step:
        writes, ref = WRITES[kind.name], refs.get(entry.key)
        saved = self._tree.thing(entry)
        gone = self._gone(target, saved)
        thing = writes.without(saved, gone)
        current = thing_of(kind, self._server, ref) if ref else None
        left_out = tuple(sorted(f"{what} '{name}'" for what, name in gone))
        if gone and self._policy.missing_users == "refuse":
            return Step(entry, Verdict.USER_MISSING, f"names {' and '.join(left_out)}")
        same = current is not None and writes.same(thing, current)
        paths = () if same or current is None else tuple(differing(thing.content, current.content))
        if (entry.provisioned and self._policy.provisioned == "skip") or (current and current.provisioned and not same):
            state = "the same" if same else "missing" if current is None else "different"
            return Step(
                entry, Verdict.PROVISIONED, f"is provisioned by files; the server's is {state}", ref, differs=paths
            )
        if same:
            return Step(entry, Verdict.SAME, ref=ref, left_out=left_out)
        verdict, reason = self._decide(target, thing, current)
        if verdict in _WRITTEN and (blocked := _blocked(progress, writes.needs(thing))):
            verdict, reason = Verdict.LEAVE_OUT, f"needs {blocked}, which is left out"
        before, after = self._texts(thing, current, target) if verdict in _SHOWN else ("", "")
        given = [name for name in secret_fields(thing) if name in target.secret(thing)]
        return Step(
            entry,
            verdict,
            reason,
            ref,
            current.version if current else 0,
            paths,
            tuple(f"{kind.name}/{entry.key}/{name}" for name in given if verdict in _WRITTEN),
            left_out,
            before,
            after,
        )

    def _decide(self, target: Target, thing: Thing, current: Thing | None) -> tuple[Verdict, str]:
        """What the policy says about an object that is not as it should be."""
        writes, policy = WRITES[thing.kind], self._policy
        if obstacle := writes.obstacle(target, thing, current):
            if thing.kind != "users":
                return Verdict.PROVISIONED, obstacle
            return (Verdict.LEAVE_OUT if policy.missing_users == "leave_out" else Verdict.USER_MISSING), obstacle
        taken = writes.takes(target, thing) if current is None else {}
        if taken or (current is not None and writes.loses(thing, current)):
            reason = "".join(f"takes from others {dump(taken).decode()}".split("\n")) if taken else ""
            if policy.existing != "update":
                return (Verdict.KEEP if policy.existing == "keep" else Verdict.WOULD_OVERWRITE), reason
        else:
            reason = ""
        if missing := writes.missing_secrets(target, thing, current):
            needs = f"needs {', '.join(missing)}"
            return (Verdict.LEAVE_OUT if policy.missing_secrets == "leave_out" else Verdict.SECRETS_NEEDED), needs
        return (Verdict.CREATE if current is None else Verdict.UPDATE), reason

    def _texts(self, thing: Thing, current: Thing | None, target: Target) -> tuple[str, str]:
        """What diff mode shows of both sides."""
        if not self._diff:
            return "", ""
        head = f"{thing.words}\n"
        if current is None:
            taken = WRITES[thing.kind].takes(target, thing)
            return (head + dump(taken).decode() if taken else ""), head
        return head + dump(current.content).decode(), head + dump(thing.content).decode()

    def _gone(self, target: Target, thing: Thing) -> set[Name]:
        """Whom the object names and nobody has heard of; service accounts that are to be made are known by their names' end."""
        holders = WRITES[thing.kind].holders(thing)
        if not holders:
            return set()
        return {
            (kind, name)
            for kind, name in holders - self._holders(target)
            if not (kind == "users" and name.startswith("sa-") and name.endswith(self._accounts))
        }

    def _expect(self, target: Target, step: Step) -> None:
        """Let those be known who are to be made."""
        if step.verdict is not Verdict.CREATE or step.entry.kind not in ("users", "teams", "service_accounts"):
            return
        if step.entry.kind == "service_accounts":
            self._accounts += (f"-{step.entry.key.lower().replace(' ', '-')}",)
        else:
            self._holders(target).add(step.entry.id)

    def _holders(self, target: Target) -> set[Name]:
        """Who is known; whoever is to be made is added to them."""
        if self._known is None:
            self._known = {("users", login) for login in target.logins} | {("teams", name) for name in target.teams}
        return self._known

    def _wanted(self, target: Target, entry: Entry) -> Thing:
        thing = self._tree.thing(entry)
        return WRITES[entry.kind].without(thing, self._gone(target, thing))

    def _write_all(self, steps: Sequence[Step], progress: Progress) -> None:
        by_id = {step.entry.id: step for step in steps}
        for kind, entries in _by_kind([step.entry for step in steps]):
            # Numbers that stand for names are asked for again: there are new users and teams.
            target = Target(self._server, self._secrets)
            with self._clock(kind):
                for batch in _levels(entries) if kind is FOLDERS else [entries]:
                    self._write_batch(target, progress, [by_id[entry.id] for entry in batch])

    def _write_batch(self, target: Target, progress: Progress, waiting: Sequence[Step]) -> None:
        """Write objects that do not need one another; a title that one is refused may be free when others are written."""
        reasons: dict[tuple[str, str], str] = {}
        while waiting:
            found = self._each(partial(self._write, target, progress), waiting)
            refused = [(step, reason) for step, reason in zip(waiting, found) if reason is not None]
            for step, reason in refused:
                reasons.setdefault(step.entry.id, reason)
            if len(refused) == len(waiting):
                break
            waiting = [step for step, _reason in refused]
        for step in waiting:
            progress.refused.append((step, reasons[step.entry.id]))
            _missing(progress, step.entry)

    def _write(self, target: Target, progress: Progress, step: Step) -> str | None:
        """Write one object.

        :return: why the server does not take it
        """
        writes, entry = WRITES[step.entry.kind], step.entry
        thing = self._wanted(target, entry)
        if blocked := _blocked(progress, writes.needs(thing)):
            progress.not_tried.append((step, f"needs {blocked}, which was not restored"))
            _missing(progress, entry)
            return None
        try:
            with self._server.understood(thing.words, entry.path):
                if step.verdict is Verdict.CREATE or step.ref is None:
                    answer = writes.create(target, thing)
                else:
                    answer = writes.update(target, thing, step.ref, step.version)
        except RequestRefused as error:
            return str(error)
        progress.done.append(step)
        _standing(progress, entry)
        if isinstance(answer, Mapping) and answer.get("provenance") == "api":
            progress.locked.add(entry.id)
        return None

    def _compare_all(self, steps: Sequence[Step], progress: Progress) -> None:
        """Read everything back that should be as the files say."""
        by_id = {step.entry.id: step for step in steps}
        written = {step.entry.id for step in progress.done}
        target = Target(self._server, self._secrets)
        for kind, entries in _by_kind([step.entry for step in steps]):
            with self._clock(kind):
                refs = {ref.key: ref for ref in refs_of(kind, self._server)}
                found = self._each(partial(self._differing, target, kind, refs), entries)
            for entry, paths in zip(entries, found):
                if paths:
                    progress.differs.append((by_id[entry.id], paths))
                if entry.id in written and refs.get(entry.key, _NOWHERE).known.get("provenance") == "api":
                    progress.locked.add(entry.id)

    def _differing(self, target: Target, kind: Kind, refs: Mapping[str, Ref], entry: Entry) -> tuple[str, ...]:
        ref = refs.get(entry.key)
        current = thing_of(kind, self._server, ref) if ref else None
        if current is None:
            return ("it is not there",)
        wanted = self._wanted(target, entry)
        return () if WRITES[kind.name].same(wanted, current) else tuple(differing(wanted.content, current.content))

    def _settle(self, steps: Sequence[Step], progress: Progress) -> None:
        url, counts = self._server.url, f"{len(progress.done)} objects were written"
        if progress.refused:
            step, reason = progress.refused[0]
            others = f"{len(progress.refused) - 1} others, and " if len(progress.refused) > 1 else ""
            raise RestoreIncomplete(
                f"{url} was expected to accept every object, and refused {_words(step.entry)} ({reason}); {others}"
                f"{len(progress.not_tried)} that need them were not tried; {counts}: mend the cause, then run again, and the rest"
                " follows",
                progress.values(steps),
            )
        if progress.differs:
            found = "; ".join(
                f"{_words(step.entry)} in {', '.join(paths[:NAMED_AT_MOST])}"
                for step, paths in progress.differs[:NAMED_AT_MOST]
            )
            more = (
                f"; and {len(progress.differs) - NAMED_AT_MOST} more" if len(progress.differs) > NAMED_AT_MOST else ""
            )
            raise ContentDiffers(
                f"{url} was expected to have what the files have, now that {counts}, and differs: {found}{more}: look at these"
                " objects; a server of another version may not keep everything",
                progress.values(steps),
            )

    @contextmanager
    def _clock(self, kind: Kind) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[kind.name] = self.seconds.get(kind.name, 0.0) + time.monotonic() - began

    def _each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do the work on each item, several at a time; after the first error nothing is begun any more."""
        failed: list[BaseException] = []

        def one(item: Item) -> Result:
            if failed:
                raise CancelledError
            try:
                return work(item)
            except BaseException as error:
                failed.append(error)
                raise

        with ThreadPoolExecutor(self._workers) as pool:
            try:
                futures = [pool.submit(one, item) for item in items]
                wait(futures)
            finally:
                pool.shutdown(cancel_futures=True)
        if failed:
            raise failed[0]
        return [future.result() for future in futures]


def select(
    tree: Tree,
    kinds: Sequence[str] | None = None,
    folders: Sequence[str] | None = None,
    objects: Sequence[str] | None = None,
) -> Selection:
    """What is meant; everything where nothing is said.

    :param kinds: only these
    :param folders: uids or titles; everything in them, on whatever level
    :param objects: uids, or whatever else an object is known by
    :raises NoSuchSet: the files have no such thing
    :raises UsageError: a title means several folders
    """
    entries = [entry for entry in tree.entries if kinds is None or entry.kind in kinds]
    if folders is not None or objects is not None:
        inside = _inside(tree, folders or ())
        keys = set(objects or ())
        for key in sorted(keys - {entry.key for entry in tree.entries}):
            raise NoSuchSet(
                f"{tree.root} was expected to hold an object '{key}', and has none: see its index.json for the keys"
            )
        chosen = [entry for entry in entries if entry.key in keys or _place(entry) in inside]
        if not chosen:
            raise NoSuchSet(f"{tree.root} was expected to hold objects of that choice, and has none: choose others")
    else:
        chosen = entries
    if len(chosen) == len(tree.entries):
        return Selection(tuple(chosen))
    return Selection(tuple(chosen), tuple(_support(tree, chosen)))


def differing(wanted: Any, current: Any, path: str = "") -> Iterator[str]:
    """Where two contents differ, as ``panels[3].title``; true is not 1 here, as in their files."""
    if isinstance(wanted, Mapping) and isinstance(current, Mapping):
        for name in sorted({*wanted, *current}):
            inner = f"{path}.{name}" if path else name
            if (name in wanted) != (name in current):
                yield inner
            else:
                yield from differing(wanted[name], current[name], inner)
    elif isinstance(wanted, list) and isinstance(current, list):
        for number, (one, other) in enumerate(zip(wanted, current)):
            yield from differing(one, other, f"{path}[{number}]")
        for number in range(min(len(wanted), len(current)), max(len(wanted), len(current))):
            yield f"{path}[{number}]"
    elif dump(wanted) != dump(current):
        yield path


def _inside(tree: Tree, folders: Sequence[str]) -> set[str]:
    """The uids of these folders and of those below."""
    known = {entry.key: entry for entry in tree.entries if entry.kind == FOLDERS.name}
    inside = set()
    for wanted in folders:
        alike = [wanted] if wanted in known else [key for key, entry in known.items() if entry.title == wanted]
        if wanted in (GENERAL, GENERAL_TITLE) and not alike:
            alike = [GENERAL]
        if not alike:
            raise NoSuchSet(
                f"{tree.root} was expected to hold a folder '{wanted}', and has none: name its uid or its title"
            )
        if len(alike) > 1:
            raise UsageError(
                f"one folder was expected to be called '{wanted}', and {len(alike)} are: name a uid, {', '.join(alike)}"
            )
        inside.update(alike)
    while below := {key for key, entry in known.items() if entry.folder in inside - {GENERAL} and key not in inside}:
        inside |= below
    return inside


def _place(entry: Entry) -> str | None:
    """The folder that an object is in or stands for; None for what is in no folders."""
    if entry.kind in _FOR_FOLDERS:
        return entry.key
    return entry.folder if entry.kind in ("library_panels", "dashboards", "dashboard_permissions", "rules") else None


def _support(tree: Tree, chosen: Sequence[Entry]) -> list[Entry]:
    """What the chosen objects cannot do without."""
    known = {entry.id: entry for entry in tree.entries if entry.kind in _SUPPORT}
    found: dict[Name, Entry] = {}
    waiting = [entry for entry in chosen if entry.kind in (*_SUPPORT, "dashboards", "rules")]
    ids = {entry.id for entry in chosen}
    while waiting:
        entry = waiting.pop()
        for name in WRITES[entry.kind].needs(tree.thing(entry)):
            if name in known and name not in ids and name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return list(found.values())


def _by_kind(entries: Sequence[Entry]) -> Iterator[tuple[Kind, list[Entry]]]:
    """The objects of each kind, in the order of a restore."""
    for kind in KINDS:
        if mine := [entry for entry in entries if entry.kind == kind.name]:
            yield kind, mine


def _levels(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Folders, those in which others are first."""
    waiting = {entry.key: entry for entry in entries}
    while waiting:
        level = [entry for entry in waiting.values() if entry.folder not in waiting]
        yield level or list(waiting.values())
        for entry in level or list(waiting.values()):
            del waiting[entry.key]


def _note(progress: Progress, step: Step) -> None:
    """Remember what will not be there, for what needs it."""
    absent = step.ref is None and step.verdict in (Verdict.LEAVE_OUT, Verdict.PROVISIONED, Verdict.KEEP)
    (_missing if absent else _standing)(progress, step.entry)


def _missing(progress: Progress, entry: Entry) -> None:
    progress.missing[entry.kind, entry.key] = progress.missing[entry.kind, entry.title] = _words(entry)


def _standing(progress: Progress, entry: Entry) -> None:
    progress.standing.update(((entry.kind, entry.key), (entry.kind, entry.title)))


def _blocked(progress: Progress, needs: set[Name]) -> str:
    return " and ".join(sorted(progress.missing[name] for name in needs & progress.missing.keys() - progress.standing))


def of(steps: Iterable[Step], verdict: Verdict) -> list[Step]:
    """Those about which this is to be done."""
    return [step for step in steps if step.verdict is verdict]


def counts(steps: Iterable[Step]) -> dict[str, dict[str, int]]:
    """How many objects of each kind have come to what."""
    found = Counter((step.entry.kind, step.verdict) for step in steps)
    kinds = dict.fromkeys(kind for kind, _verdict in found)
    return {kind: {verdict.value: found[kind, verdict] for verdict in COUNTED} for kind in kinds}


def words(steps: Sequence[Step]) -> str:
    """The first few of them, and why."""
    more = f"; and {len(steps) - NAMED_AT_MOST} more" if len(steps) > NAMED_AT_MOST else ""
    return "; ".join(step.words for step in steps[:NAMED_AT_MOST]) + more


def _words(entry: Entry) -> str:
    return called(entry.kind, entry.key, entry.title)
