#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open, commit, abort and prune backup sets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set
short_description: Open, commit, abort and prune backup sets
version_added: 1.0.0
description:
  - A backup set is one directory with everything that one run has saved, as plain files.
  - It is made beside the others under a hidden name, and gets its own name only when it is complete and durable.
    What has no such name is not a backup.
  - One run at a time works in a backup directory. The run that opens a set holds a lease, which every module of the run
    renews, and which ends two minutes after the last renewal or with a reboot.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that works on the set.
    required: true
  state:
    description:
      - V(opened) takes the lease, puts right what dead runs left, and makes an empty set for the sources to fill.
      - V(held) takes the lease and puts right what dead runs left, for a run that makes no set; V(aborted) gives it back.
      - V(committed) checks that every source is there and has not shrunk, makes the set durable, and gives it its name.
      - V(aborted) drops the set that this run has opened; with O(area=before-restore), what was replaced already is kept. A run
        that has opened none is left as it is.
      - V(pruned) removes the sets whose days are over, by the date in their names, and what dead runs left. The newest good
        set of each of the last O(keep_days) days that have one stays, so the last good one never goes; and of such a day, the
        newest set of each source that later ones lack or hold only because they were forced to.
      - V(damaged) remembers the files of O(damage), so that their sets no longer count as good, and the next backup copies
        these files afresh instead of linking to them.
    type: str
    choices: [opened, held, committed, aborted, pruned, damaged]
    required: true
  purpose:
    description:
      - What the run is about. Whoever finds the lease taken is told.
    type: str
    default: backup
  site:
    description:
      - The site that is saved; kept in the set. The host's own name where empty.
    type: str
    default: ''
  host:
    description:
      - The name of the host in the inventory; kept in the set. The host's own name where empty.
    type: str
    default: ''
  sources:
    description:
      - With O(state=committed), the sources that the set must hold.
    type: list
    elements: str
    default: []
  shrink_limit:
    description:
      - With O(state=committed), by how much a source may have shrunk since the last good set, in percent of its files and
        of its bytes.
    type: float
    default: 50
  kinds:
    description:
      - With O(state=committed), kinds such as V(volumes) of which no source may be missing that the last good set of that kind had.
    type: list
    elements: str
    default: []
  force:
    description:
      - With O(state=committed), the sources that may be empty or have shrunk all the same, or have vanished.
    type: list
    elements: str
    default: []
  keep_days:
    description:
      - With O(state=pruned), for how many days that have a good set one is kept; 1 at least.
      - With O(area=before-restore), for how many days what a restore has replaced is kept.
    type: int
    default: 7
  damage:
    description:
      - With O(state=damaged), the damaged paths by set, as RV(flatnet.ops.backup_set_info#module:damage) gives and escapes them.
    type: dict
    default: {}
  verified:
    description:
      - With O(state=damaged), the set that was read whole. What was remembered of it, and is not in O(damage), is forgotten.
    type: str
  lease_seconds:
    description:
      - With O(state=opened) and O(state=held), for how many seconds after its last sign of life the run keeps the lease.
    type: int
    default: 120
attributes:
  check_mode:
    description: Says what would be refused, opened and removed; writes nothing. O(state=committed) has nothing to check then.
    support: full
  diff_mode:
    description: Shows the names of the sets before and after.
    support: full
  idempotent:
    description:
      - O(state=opened) and O(state=committed) make a new set each time, O(state=held) takes the lease again. The other states do
        nothing the second time.
    support: partial
seealso:
  - module: flatnet.ops.backup_set_info
"""

EXAMPLES = r"""
- name: Open a set
  flatnet.ops.backup_set:
    run: 20261124T021500Z-backup-3f9a
    state: opened

- name: Save a volume into it
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: volumes/app_notes_data
    volume: app_notes_data

- name: Give the set its name
  flatnet.ops.backup_set:
    run: 20261124T021500Z-backup-3f9a
    state: committed
    sources: [volumes/app_notes_data]

- name: Remove the sets whose days are over
  flatnet.ops.backup_set:
    run: 20261124T021500Z-backup-3f9a
    state: pruned
    keep_days: 7
"""

RETURN = r"""
id:
  description: The set that was opened, committed or dropped.
  returned: with O(state=opened), O(state=committed) and O(state=aborted), unless there is none
  type: str
  sample: 20261124T021500Z
path:
  description: Where the set lies.
  returned: with O(state=opened) and O(state=committed)
  type: str
  sample: /backup/flatnet/20261124T021500Z
recovered:
  description: What dead runs had left and was put right, one sentence each.
  returned: with O(state=opened) and O(state=pruned)
  type: list
  elements: str
  sample: ["removed: /backup/flatnet/.20261123T021500Z.partial"]
kept:
  description: The sets that are there.
  returned: with O(state=pruned)
  type: list
  elements: str
  sample: [20261123T021500Z, 20261124T021500Z]
removed:
  description: The sets whose days were over.
  returned: with O(state=pruned)
  type: list
  elements: str
  sample: [20261116T021500Z]
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: LeaseHeld
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area
from ansible_collections.flatnet.ops.plugins.module_utils.version import TOOL


def opened(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Begin a set."""
    params = module.params
    lifecycle = Lifecycle(area, effects)
    if module.check_mode:
        lifecycle.check(params["run"])
        return Outcome(True, f"a set would be opened in {area.directory}")
    name = os.uname().nodename
    begun = lifecycle.open(
        run=params["run"],
        purpose=params["purpose"],
        site=params["site"] or name,
        host=params["host"] or name,
        tool=TOOL,
        lease_seconds=params["lease_seconds"],
    )
    left = f"; left by dead runs and put right: {', '.join(begun.recovered)}" if begun.recovered else ""
    return Outcome(
        True,
        f"set {begun.opening.id} is open{left}",
        status="warning" if begun.recovered else "good",
        evidence={"recovered": list(begun.recovered)},
        values={
            "id": begun.opening.id,
            "path": str(area.partial(begun.opening.id)),
            "recovered": list(begun.recovered),
        },
    )


def held(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Take the lease alone."""
    params = module.params
    lifecycle = Lifecycle(area, effects)
    if module.check_mode:
        lifecycle.check(params["run"])
        return Outcome(True, f"the lease of {area.root} would be taken")
    recovered = lifecycle.hold(params["run"], params["purpose"], params["lease_seconds"])
    left = f"; left by dead runs and put right: {', '.join(recovered)}" if recovered else ""
    return Outcome(
        True,
        f"the lease of {area.root} is this run's{left}",
        status="warning" if recovered else "good",
        evidence={"recovered": recovered},
        values={"recovered": recovered},
    )


def committed(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Complete the set that this run has opened."""
    params = module.params
    if module.check_mode:
        return Outcome(True, f"a set with {', '.join(params['sources'])} would be committed in {area.directory}")
    before = area.ids()
    manifest = Lifecycle(area, effects).commit(
        params["run"], params["sources"], params["shrink_limit"], frozenset(params["force"]), params["kinds"]
    )
    files = sum(source.files for source in manifest.sources.values())
    linked = sum(source.linked_bytes for source in manifest.sources.values())
    path = str(area.path(manifest.id))
    return Outcome(
        True,
        f"set {path} is complete: {len(manifest.sources)} sources, {files:,} files, {manifest.bytes:,} bytes, of which"
        f" {linked:,} are shared with earlier sets",
        numbers={"sources": len(manifest.sources), "files": files, "bytes": manifest.bytes, "linked_bytes": linked},
        evidence={"path": path, "previous": manifest.previous},
        values={"id": manifest.id, "path": path},
        diff=names(before, area.ids()),
    )


def aborted(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Drop the set that this run has opened."""
    lifecycle = Lifecycle(area, effects)
    run = module.params["run"]
    name = lifecycle.opened(run) if module.check_mode else lifecycle.abort(run)
    if name is None:
        return Outcome(False, "this run has no open set")
    if module.check_mode:
        return Outcome(True, f"set {name} would be dropped", values={"id": name})
    fate = "keeps what was replaced until now" if name in area.ids() else "was dropped"
    return Outcome(True, f"set {name} {fate}; the earlier sets are untouched", values={"id": name})


def pruned(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Remove what is over."""
    params = module.params
    lifecycle = Lifecycle(area, effects)
    before = area.ids()
    if module.check_mode:
        removed = lifecycle.doomed(params["keep_days"])
        after = [name for name in before if name not in removed]
        values = {"kept": after, "removed": removed, "recovered": []}
        return Outcome(bool(removed), f"{len(removed)} sets would go", values=values, diff=names(before, after))
    done = lifecycle.prune(params["run"], params["purpose"], params["keep_days"])
    return Outcome(
        bool(done.removed or done.leftovers),
        f"{len(done.kept)} sets are kept, {len(done.removed)} were removed",
        numbers={"kept": len(done.kept), "removed": len(done.removed)},
        evidence={"removed": list(done.removed), "recovered": list(done.leftovers)},
        values={"kept": list(done.kept), "removed": list(done.removed), "recovered": list(done.leftovers)},
        diff=names(before, list(done.kept)),
    )


def damaged(module: AnsibleModule, area: Area, effects: Effects) -> Outcome:
    """Remember damage."""
    params = module.params
    lifecycle = Lifecycle(area, effects)
    found = {name: {tree.unshown(path) for path in paths} for name, paths in params["damage"].items()}
    noted = lifecycle.noted(found, params["verified"])
    if module.check_mode:
        new = noted != {name: area.damaged(name) for name in noted}
    else:
        new = lifecycle.note_damage(params["run"], params["purpose"], found, params["verified"])
    damaged_sets = [name for name, paths in noted.items() if paths]
    words = f"damaged: {', '.join(damaged_sets)}" if damaged_sets else "no set is known to be damaged"
    return Outcome(new, words, status="warning" if damaged_sets else "good")


def names(before: list[str], after: list[str]) -> dict[str, str]:
    """The sets before and after, for diff mode."""
    return {"before": "".join(f"{name}\n" for name in before), "after": "".join(f"{name}\n" for name in after)}


STATES = {
    "opened": opened,
    "held": held,
    "committed": committed,
    "aborted": aborted,
    "pruned": pruned,
    "damaged": damaged,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "purpose": {"type": "str", "default": "backup"},
            "site": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "sources": {"type": "list", "elements": "str", "default": []},
            "shrink_limit": {"type": "float", "default": 50},
            "kinds": {"type": "list", "elements": "str", "default": []},
            "force": {"type": "list", "elements": "str", "default": []},
            "keep_days": {"type": "int", "default": 7},
            "damage": {"type": "dict", "default": {}},
            "verified": {"type": "str"},
            "lease_seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    state = module.params["state"]
    area = Area(Path(module.params["root"]), module.params["area"])
    carry_out(module, f"set {state}", lambda: STATES[state](module, area, Effects()))


if __name__ == "__main__":
    main()
