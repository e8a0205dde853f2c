# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a set: opened, filled by the sources, committed or aborted, and pruned when its days are over."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    ClockBehind,
    LeaseHeld,
    NoSuchSet,
    OpsError,
    RestorePending,
    SetDamaged,
    SourceRefused,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.lease import DEFAULT_SECONDS, Leases
from ansible_collections.flatnet.ops.plugins.module_utils.restore_journal import JOURNALS, Journals
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Manifest, Opening, Source
from ansible_collections.flatnet.ops.plugins.module_utils.times import iso, set_id
from ansible_collections.flatnet.ops.plugins.module_utils.tree_copy import Previous
from ansible_collections.flatnet.ops.plugins.module_utils.undo import UNDO_DIRECTORY, undo_leftovers

DAY = 86400


@dataclass(frozen=True)
class Opened:
    """A set that can be filled."""

    opening: Opening
    recovered: tuple[str, ...]


@dataclass(frozen=True)
class Pruned:
    """What retention kept and removed, by name."""

    kept: tuple[str, ...]
    removed: tuple[str, ...]
    leftovers: tuple[str, ...]


def shrink_refusal(source: Source, previous: Source | None, limit_percent: float) -> str | None:
    """Why a source may not enter a set; None if it may.

    :param limit_percent: how much smaller than in the last good set it may be, in files and in bytes
    """
    # An application may not have written anything yet; what everybody has to have is never empty.
    still_empty = source.name.startswith("volumes/") and (previous is None or previous.files == 0)
    if source.files == 0 and not still_empty:
        return f"source {source.name} ({source.origin}) was expected to hold files, and is empty"
    if previous is None:
        return None
    for what, now, was in (("files", source.files, previous.files), ("bytes", source.bytes, previous.bytes)):
        if now < was * (1 - limit_percent / 100):
            return (
                f"source {source.name} ({source.origin}) was expected to shrink by at most {limit_percent:g} % since the"
                f" last good set, and went from {was:,} to {now:,} {what} (-{100 - 100 * now / was:.0f} %)"
            )
    return None


@dataclass(frozen=True)
class Held:
    """What retention knows of a good set: its sources, those that it was forced to take, and whether it is of a whole site."""

    sources: frozenset[str]
    forced: frozenset[str] = frozenset()
    whole: bool = True

    @property
    def sound(self) -> frozenset[str]:
        """The sources that their guards let in."""
        return self.sources - self.forced


def doomed(all_ids: Sequence[str], good: Mapping[str, Held], keep_days: int) -> list[str]:
    """The sets that retention removes; age is in the name, never in mtime.

    Kept are the newest good set of a whole site of each of the last ``keep_days`` days that have one; of each day since,
    the newest set, and the newest one of each source that later sets of that day lack; and the newest set that holds by right
    what the newest whole one was forced to take. Sets found damaged go only when they are older than all of these, and there are
    as many days: until then they may be the best there is.
    """
    whole = [name for name in sorted(good) if good[name].whole] or sorted(good)
    days = sorted({name[:8] for name in whole})[-keep_days:]
    kept: set[str] = set()
    for day in sorted({name[:8] for name in good if days and name[:8] >= days[0]}):
        held: set[str] = set()
        newest = max(name for name in good if name[:8] == day)
        for name in sorted((name for name in good if name[:8] == day), reverse=True):
            last_whole = good[name].whole and not any(good[later].whole for later in kept if later[:8] == day)
            if name == newest or last_whole or not held >= good[name].sound:
                kept.add(name)
            held |= good[name].sound
    for source in good[whole[-1]].forced if whole else ():
        kept.update([name for name in sorted(good) if source in good[name].sound][-1:])
    replaced = len(days) == keep_days
    return [name for name in all_ids if name not in kept and (name in good or (replaced and name < min(kept)))]


class Lifecycle:
    """Opens, commits, aborts and prunes the sets of one area."""

    def __init__(
        self,
        area: Area,
        effects: Effects,
        clock: Callable[[], float] = time.time,
        undo_directory: Path = UNDO_DIRECTORY,
        journals: Path = JOURNALS,
    ) -> None:
        self._area = area
        self._effects = effects
        self._clock = clock
        self._undo_directory = undo_directory
        self._journals = Journals(effects, journals, undo_directory)
        self._leases = Leases(area.root, effects, clock)

    def check(self, run: str) -> None:
        """Look whether a set can be opened now; changes nothing.

        :raises LeaseHeld: another run is at work
        :raises ClockBehind: the newest set is dated in the future
        :raises RestorePending: a restored tree is in use, and was neither confirmed nor undone
        """
        self._check_root()
        refusal = self._leases.refusal(run)
        if refusal:
            raise LeaseHeld(refusal)
        self._check_clock()
        self._check_restores()

    def open(
        self, run: str, purpose: str, site: str, host: str, tool: str, lease_seconds: int = DEFAULT_SECONDS
    ) -> Opened:
        """Take the lease, put right what dead runs left, and make an empty set.

        :raises LeaseHeld: another run is at work
        :raises ClockBehind: the newest set is dated in the future
        :raises RestorePending: a restored tree is in use, and was neither confirmed nor undone
        """
        self._check_root()
        with self._leases.claimed(run, purpose, lease_seconds, self._make_room):
            try:
                self._check_clock()
                self._check_restores()
                recovered = self._recover()
            except OpsError:
                self._leases.release()
                raise
            opening = self._begin(run, purpose, site, host, tool)
        return Opened(opening, tuple(recovered))

    def hold(self, run: str, purpose: str, lease_seconds: int = DEFAULT_SECONDS) -> list[str]:
        """Take the lease, and put right what dead runs left, without opening a set; :meth:`abort` gives it back.

        :return: what was put right
        :raises LeaseHeld: another run is at work
        """
        self._check_root()
        with self._leases.claimed(run, purpose, lease_seconds, self._make_room):
            return self._recover()

    def make(
        self,
        run: str,
        purpose: str,
        site: str,
        host: str,
        tool: str,
        fill: Callable[[Filling], str | None],
        keep: int | None,
    ) -> Manifest | None:
        """Make a whole set at once, under a lease that is given back unless the run has had it before.

        :param fill: fills the set, and says what its name has after the time; None drops it
        :param keep: how many sets of the area stay, the newest ones; None removes none
        :raises LeaseHeld: another run is at work
        :raises ClockBehind: the newest set is dated in the future
        """
        self._check_root()
        with self._leases.visited(run, purpose, lambda: self._make_room(run)):
            self._check_clock()
            self._clear()
            opening = self._begin(run, purpose, site, host, tool)
            suffix = fill(Filling(self._area, opening, self._effects))
            if suffix is None:
                self._remove(self._area.partial(opening.id))
                return None
            made = self._seal(opening, sets.load_sources(self._area.partial(opening.id)), f"-{suffix}")
            for name in self._area.ids()[:-keep] if keep else ():
                self._remove(self._area.path(name))
            return made

    @contextmanager
    def filling(self, run: str) -> Iterator[Filling]:
        """Work on the set that this run opened.

        :raises Evicted: the lease is not this run's any more
        """
        with self._leases.renewed(run):
            yield Filling(self._area, self._opening(run), self._effects)

    def commit(
        self,
        run: str,
        expected: Sequence[str],
        shrink_limit_percent: float,
        forced: Collection[str],
        kinds: Collection[str] = (),
    ) -> Manifest:
        """Check the guards, make everything durable, and give the set its name.

        What a restore has replaced is kept as it was: no guard applies to it.

        :param expected: the sources that the set has to hold
        :param forced: the sources that may pass although their guard refuses, or have vanished
        :param kinds: kinds such as ``volumes`` of which no source may vanish that the last good set of that kind had
        :raises SourceRefused: a source is missing, empty or has shrunk; the set stays uncommitted
        """
        with self._leases.renewed(run):
            opening = self._opening(run)
            partial = self._area.partial(opening.id)
            sources = sets.load_sources(partial)
            if self._area.name == "sets":
                self._check_vanished(sources, kinds, forced)
                sources = self._guarded(opening, sources, expected, shrink_limit_percent, forced)
            manifest = self._seal(opening, sources)
            self._leases.release()
        return manifest

    def abort(self, run: str) -> str | None:
        """Drop the set that this run opened, and give back the lease.

        What a restore has replaced already is kept nowhere else: that set is completed instead.

        :return: the name of the set, if there was one
        """
        lease = self._leases.current()
        if lease is None or not lease.belongs_to(run):
            return None
        with self._leases.renewed(run):
            mine = self.opened(run)
            if mine is not None:
                self._leave(mine)
            self._leases.release()
        return mine

    def opened(self, run: str) -> str | None:
        """The name of the set that this run has opened and not completed."""
        return next((name for name in self._area.partials() if self._opened_by(name) == run), None)

    def doomed(self, keep_days: int) -> list[str]:
        """The sets that :meth:`prune` would remove.

        :raises UsageError: no good set would stay
        """
        if self._area.name == "before-restore":
            horizon = set_id(self._clock() - keep_days * DAY)
            return [name for name in self._area.ids() if name < horizon]
        self._check_keep_days(keep_days)
        good = {name: _held(self._area.manifest(name)) for name in self._area.good_ids()}
        return doomed(self._area.ids(), good, keep_days)

    def prune(self, run: str, purpose: str, keep_days: int) -> Pruned:
        """Remove the sets whose days are over and what dead runs left.

        :raises LeaseHeld: another run is at work
        """
        self._check_keep_days(keep_days)
        with self._leases.visited(run, purpose, lambda: self._make_room(run)):
            leftovers = self._recover(run)
            removed = self.doomed(keep_days)
            for name in removed:
                self._remove(self._area.path(name))
        return Pruned(tuple(self._area.ids()), tuple(removed), tuple(leftovers))

    def noted(self, damage: Mapping[str, Collection[str]], verified: str | None) -> dict[str, frozenset[str]]:
        """What is known to be damaged once a verification has ended, by set.

        :param damage: paths by set
        :param verified: the set that was read whole: only what was found now counts there
        """
        known = {name: self._area.damaged(name) for name in self._area.ids() if name != verified}
        return {name: known.get(name, frozenset()) | frozenset(damage.get(name, ())) for name in self._area.ids()}

    def note_damage(
        self, run: str, purpose: str, damage: Mapping[str, Collection[str]], verified: str | None = None
    ) -> bool:
        """Remember damaged files, so that no set counts as good that has one and no backup links to it.

        :param damage: paths by set
        :param verified: the set that was read whole
        :return: something was not known before, or is not so any more
        """
        noted = self.noted(damage, verified)
        if noted == {name: self._area.damaged(name) for name in noted}:
            return False
        content = {name: sorted(paths) for name, paths in noted.items() if paths}
        with self._leases.visited(run, purpose, lambda: self._make_room(run)):
            self._effects.write(
                self._area.directory / sets.DAMAGE, json.dumps(content, indent=1).encode("ascii") + b"\n"
            )
        return True

    def _guarded(
        self,
        opening: Opening,
        sources: Mapping[str, Source],
        expected: Sequence[str],
        limit_percent: float,
        forced: Collection[str],
    ) -> dict[str, Source]:
        baseline = self._baseline()
        guarded = {}
        missing = [name for name in expected if name not in sources]
        if missing or not sources:
            raise SourceRefused(
                f"set {opening.id} was expected to hold {', '.join(expected)}, and {', '.join(missing) or 'everything'} is"
                " missing: its task did not run or failed; the earlier sets are untouched"
            )
        for name, source in sources.items():
            refusal = shrink_refusal(source, baseline.get(name), limit_percent)
            if refusal and name not in forced:
                raise SourceRefused(
                    f"{refusal}: look at the source; if it is right as it is, run again with"
                    f' -e \'{{"flatnet_backup_force": ["{name}"]}}\'; the earlier sets are untouched'
                )
            guard = {"shrink_limit_percent": limit_percent, "forced": refusal if name in forced else None}
            guarded[name] = replace(source, guard=guard)
        return guarded

    def _check_vanished(self, sources: Collection[str], kinds: Collection[str], forced: Collection[str]) -> None:
        for kind in kinds:
            for name in reversed(self._area.good_ids()):
                made = self._area.manifest(name)
                had = [source for source in made.sources if source.partition("/")[0] == kind]
                if not had and made.purpose == sets.PARTLY:
                    continue
                vanished = sorted(set(had) - set(sources) - set(forced))
                if vanished:
                    raise SourceRefused(
                        f"source {vanished[0]} was expected as in set {name}, and nothing of this site is it any more"
                        f" ({len(vanished)} such): find out who removed it; if that is right, run again with"
                        f" -e '{{\"flatnet_backup_force\": {json.dumps(vanished)}}}'; the earlier sets are untouched"
                    )
                break

    def _baseline(self) -> dict[str, Source]:
        """Each source as the newest set that has it describes it; a file damaged since does not make it smaller."""
        area = Area(self._area.root)
        known: dict[str, Source] = {}
        for name in area.readable_ids():
            known.update(area.manifest(name).sources)
        return known

    def _begin(self, run: str, purpose: str, site: str, host: str, tool: str) -> Opening:
        """An empty set in the making."""
        for directory in reversed(self._area.directory.relative_to(self._area.root).parents):
            self._effects.make_directory(self._area.root / directory, 0o700)
        self._effects.make_directory(self._area.directory, 0o700)
        good = Area(self._area.root).good_ids()
        started = self._free_second()
        opening = Opening(
            id=set_id(started),
            area=self._area.name,
            run=run,
            purpose=purpose,
            site=site,
            host=host,
            tool=tool,
            started=started,
            previous=good[-1] if good else None,
        )
        partial = self._area.partial(opening.id)
        self._effects.make_directory(partial, 0o700)
        self._effects.write(partial / sets.OPENING, sets.dump(opening))
        return opening

    def _seal(self, opening: Opening, sources: Mapping[str, Source], suffix: str = "") -> Manifest:
        """Turn a set in the making into a complete one: data synced first, the name last."""
        partial = self._area.partial(opening.id)
        manifest = Manifest(
            id=opening.id + suffix,
            area=opening.area,
            run=opening.run,
            purpose=opening.purpose,
            site=opening.site,
            host=opening.host,
            tool=opening.tool,
            started=opening.started,
            finished=self._clock(),
            previous=opening.previous,
            sources=sources,
        )
        self._effects.sync_filesystem(partial)
        self._effects.write(partial / sets.MANIFEST, sets.dump(manifest))
        self._effects.write(partial / sets.SUMS, b"".join(_sum_lines(partial, sources)))
        self._give_name(opening.id, suffix)
        return manifest

    def _give_name(self, name: str, suffix: str = "") -> None:
        """The last steps of a set whose manifest and sums are written."""
        partial = self._area.partial(name)
        if (partial / sets.SOURCES).exists():
            self._effects.remove_tree(partial / sets.SOURCES)
        if (partial / sets.OPENING).exists():
            self._effects.unlink(partial / sets.OPENING)
        self._effects.sync_directory(partial)
        self._effects.rename(partial, self._area.path(name + suffix))
        self._effects.sync_directory(self._area.directory)

    def _opening(self, run: str) -> Opening:
        name = self.opened(run)
        if name is not None:
            return sets.load_opening(self._area.partial(name))
        raise NoSuchSet(
            f"run {run} was expected to have opened a set in {self._area.directory}, and has not: begin with"
            " flatnet.ops.backup_set state=opened"
        )

    def _opened_by(self, name: str) -> str | None:
        try:
            return sets.load_opening(self._area.partial(name)).run
        except (OSError, ValueError, TypeError):
            return None

    def _check_keep_days(self, keep_days: int) -> None:
        if self._area.name == "sets" and keep_days < 1:
            raise UsageError(
                f"keep_days was expected to be 1 or more, and is {keep_days}: the last good set never goes"
            )

    def _check_root(self) -> None:
        if not self._area.root.is_dir():
            raise UsageError(
                f"the backup directory {self._area.root} was expected, and does not exist: mount it, or make it with"
                " playbook flatnet.ops.setup"
            )

    def _check_restores(self) -> None:
        refusal = self._journals.refusal() if self._area.name == "sets" else None
        if refusal:
            raise RestorePending(refusal)

    def _check_clock(self) -> None:
        now = self._clock()
        for newest in self._area.ids()[-1:]:
            if newest[: len(set_id(now))] > set_id(now):
                path = self._area.path(newest)
                raise ClockBehind(
                    f"the newest set was expected to be older than this host's clock ({iso(now)}), and is named {path}: set"
                    f" the clock right; if the clock is right and the set's date is wrong, put it aside with"
                    f" 'mv {path} {path}.set-aside' and run again"
                )

    def _free_second(self) -> float:
        while any(name[:16] == set_id(self._clock()) for name in self._area.ids()):
            time.sleep(0.1)
        return float(int(self._clock()))

    def _recover(self, alive: str | None = None) -> list[str]:
        """Put right what runs left that hold the lease no more."""
        recovered = [f"undone: {name}" for name in undo_leftovers(self._effects, self._undo_directory)]
        recovered.extend(self._journals.clear(self._area.root))
        return [*recovered, *self._make_room(alive)]

    def _make_room(self, alive: str | None = None) -> list[str]:
        """Remove, or complete, the sets that dead runs have left; also what makes room on a full disk.

        :param alive: the run that is at work; what it has open stays
        """
        areas = (Area(self._area.root, name) for name in sets.AREAS)
        return [words for area in areas for words in Lifecycle(area, self._effects, self._clock)._clear(alive)]

    def _clear(self, alive: str | None = None) -> list[str]:
        cleared = []
        for removed in self._area.directory.glob(".removed-*"):
            self._effects.remove_tree(removed)
            cleared.append(f"removed: {removed}")
        dead = [name for name in self._area.partials() if alive is None or self._opened_by(name) != alive]
        return [*cleared, *(self._leave(name) for name in dead)]

    def _leave(self, name: str) -> str:
        """Remove a set in the making; but what a restore has replaced is kept nowhere else, and is completed."""
        partial = self._area.partial(name)
        if self._area.name == "before-restore" and (partial / sets.SUMS).exists():
            self._give_name(name)
            return f"completed: {self._area.path(name)}"
        sources = sets.load_sources(partial)
        if self._area.name == "before-restore" and sources:
            self._remove_strays(partial, sources)
            self._seal(sets.load_opening(partial), sources)
            return f"completed: {self._area.path(name)}"
        self._remove(partial)
        return f"removed: {partial}"

    def _remove_strays(self, partial: Path, sources: Collection[str]) -> None:
        """Remove copies, and listings, that their run did not finish."""
        for listing in (partial / sets.LISTINGS).rglob("*.jsonl"):
            if listing not in [sets.listing_path(partial, name) for name in sources]:
                self._effects.unlink(listing)
        for top in [path for path in partial.iterdir() if path.is_dir() and path.name[0] != "."]:
            if top.name in sources or top.name == sets.LISTINGS.name:
                continue
            inside = [path for path in top.iterdir() if f"{top.name}/{path.name}" in sources]
            strays = [path for path in top.iterdir() if path not in inside] if inside else [top]
            for path in strays:
                self._effects.remove_tree(path)

    def _remove(self, path: Path) -> None:
        """Rename first, so that nothing half removed is ever listed."""
        removed = self._area.directory / f".removed-{path.name.strip('.')}"
        self._effects.rename(path, removed)
        self._effects.remove_tree(removed)


class Filling:
    """A set in the making, as the sources see it."""

    def __init__(self, area: Area, opening: Opening, effects: Effects) -> None:
        self._area = area
        self._effects = effects
        self.opening = opening
        self.path = area.partial(opening.id)

    def place(self, source: str) -> Path:
        """Where a source's files go; the directories above it exist afterwards."""
        place = self.path / sets.check_source_name(source)
        self._parents(place)
        if place.exists():
            self._effects.remove_tree(place)
        return place

    def previous(self, source: str) -> Previous | None:
        """The same source in the newest set, or generation, that has it, to link to."""
        kind = source.partition("/")[0]
        areas = [Area(self._area.root, f"generations/{kind}")] if kind in sets.GENERATIONS else []
        for area in [*areas, Area(self._area.root)]:
            for name in reversed(area.ids()):
                found = previous(area, name, source)
                if found is not None:
                    return found
        return None

    def add(self, source: Source, listing: Mapping[str, tree.Item]) -> None:
        """Enter a saved source; from here on the set holds it."""
        listed = sets.listing_path(self.path, source.name)
        self._parents(listed)
        self._effects.write(listed, tree.dump(listing))
        record = self.path / sets.SOURCES / f"{source.name}.json"
        self._parents(record)
        self._effects.write(record, sets.dump(source))

    def _parents(self, path: Path) -> None:
        for parent in reversed(path.relative_to(self.path).parents):
            self._effects.make_directory(self.path / parent, 0o700)


def _held(manifest: Manifest) -> Held:
    forced = frozenset(name for name, source in manifest.sources.items() if source.forced)
    return Held(frozenset(manifest.sources), forced, manifest.purpose != sets.PARTLY)


def previous(area: Area, name: str, source: str) -> Previous | None:
    """A source of a set as something to link to; None if it is not there, or its listing is damaged."""
    path, damaged = area.path(name), area.damaged(name)
    listed = sets.listing_path(path, source)
    if not (path / source).is_dir() or str(listed.relative_to(path)) in damaged:
        return None
    try:
        listing = sets.load_listing(path, source)
    except SetDamaged:
        return None
    prefix = f"{source}/"
    unusable = frozenset(item[len(prefix) :] for item in damaged if item.startswith(prefix))
    return Previous(path / source, listing, unusable)


def _sum_lines(partial: Path, sources: Mapping[str, Source]) -> Iterator[bytes]:
    own = [Path(sets.MANIFEST), *(sets.listing_path(partial, name).relative_to(partial) for name in sorted(sources))]
    for path in own:
        yield sets.sum_line(str(path), tree.sha256(bytes(partial / path)))
    for name in sorted(sources):
        for item in sets.load_listing(partial, name).values():
            if item.sha256 is not None:
                yield sets.sum_line(f"{name}/{item.path}", item.sha256)
