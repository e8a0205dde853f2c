#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List and verify backup sets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set_info
short_description: List and verify backup sets
version_added: 1.0.0
description:
  - Lists the complete sets of a backup directory, and what each holds.
  - Verifies one set, if asked to, by reading all of it again. Every sum, name, mode, owner, time, link target and extended
    attribute has to be as it was saved, and Prometheus' blocks have to be whole.
  - A set that is damaged is not a failure of this module. RV(damage) says what is wrong with which set, the ones included
    that share a damaged file by a hard link.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  id:
    description:
      - Only this set; V(latest) is the newest one. All sets where empty.
    type: str
    default: ''
  verify:
    description:
      - Read and compare the whole set; needs O(id).
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only, so nothing ever differs.
    support: N/A
  idempotent:
    description: Reads only.
    support: full
seealso:
  - module: flatnet.ops.backup_set
"""

EXAMPLES = r"""
- name: List the sets
  flatnet.ops.backup_set_info:
  register: sets

- name: Verify the newest set
  flatnet.ops.backup_set_info:
    id: latest
    verify: true
  register: verified
  failed_when: verified.damage | length > 0
"""

RETURN = r"""
sets:
  description: The sets, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The set's name, which is when it was begun, in UTC.
      type: str
      sample: 20261124T021500Z
    path:
      description: Where it lies.
      type: str
      sample: /backup/flatnet/20261124T021500Z
    good:
      description: Its manifest can be read, and no verification has found damage in it.
      type: bool
    site:
      description: The site that was saved.
      type: str
    started:
      description: When it was begun, in seconds since the epoch.
      type: float
    finished:
      description: When it was complete, in seconds since the epoch.
      type: float
    purpose:
      description: V(backup), or V(partial) if only some of the site's sources were chosen.
      type: str
    bytes:
      description: The size of everything that it saved.
      type: int
    sources:
      description: What it holds, as its manifest says, by name.
      type: dict
damage:
  description:
    - With O(verify=true), the damaged paths by set; empty if all is well.
    - A backslash, a line feed, a carriage return and a byte that is not UTF-8 are written C(\\), C(\n), C(\r) and C(\xNN).
  returned: success
  type: dict
  sample: {"20261124T021500Z": ["prometheus/01JD8/chunks/000001"]}
reasons:
  description: With O(verify=true), what is wrong with each damaged path of the set.
  returned: success
  type: dict
  sample: {"prometheus/01JD8/chunks/000001": "has sha256 5f.., expected 9b.."}
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: NoSuchSet
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils import tree
from ansible_collections.flatnet.ops.plugins.module_utils.errors import SetDamaged
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, MANIFEST, Area
from ansible_collections.flatnet.ops.plugins.module_utils.verification import verify


def describe(area: Area, name: str, good: bool) -> dict[str, Any]:
    """A set as the result shows it; one whose manifest is gone has only its name."""
    known: dict[str, Any] = {"id": name, "path": str(area.path(name)), "good": good}
    try:
        manifest = area.manifest(name)
    except SetDamaged:
        return known
    return {
        **known,
        "site": manifest.site,
        "purpose": manifest.purpose,
        "started": manifest.started,
        "finished": manifest.finished,
        "bytes": manifest.bytes,
        "sources": {source.name: asdict(source) for source in manifest.sources.values()},
    }


def look(area: Area, wanted: str, thorough: bool) -> Outcome:
    """List, and verify if asked to."""
    listed = [area.find(wanted)] if wanted else area.ids()
    good = area.good_ids()
    described = [describe(area, name, name in good) for name in listed]
    values: dict[str, Any] = {"sets": described, "damage": {}, "reasons": {}}
    if not thorough:
        return Outcome(False, f"{len(listed)} sets in {area.directory}, {len(good)} of all are good", values=values)
    name = listed[0]
    path = area.path(name)
    try:
        found = verify(area, name)
    except SetDamaged as error:
        values.update(damage={name: [MANIFEST]}, reasons={MANIFEST: str(error)})
        return Outcome(False, str(error), status="failed", numbers={"damaged": 1}, values=values)
    reasons = {tree.shown(entry.path): entry.what for entry in found.damage}
    numbers = {"files": found.files, "bytes": found.bytes, "damaged": len(reasons)}
    if not reasons:
        words = f"set {path} is whole: {found.files:,} files, {found.bytes:,} bytes, every sum and attribute as saved"
        return Outcome(False, words, numbers=numbers, evidence={"path": str(path)}, values=values)
    first, what = next(iter(reasons.items()))
    shared = {other: [tree.shown(path) for path in paths] for other, paths in found.shared.items()}
    values.update(damage={name: list(reasons), **shared}, reasons=reasons)
    others = f"; sets that share damaged files: {', '.join(shared)}" if shared else ""
    return Outcome(
        False,
        f"set {path} was expected to be as it was saved, and {first} {what} ({len(reasons)} damaged paths){others}:"
        " restore from another set; the next backup copies these files afresh",
        status="failed",
        numbers=numbers,
        evidence={"damaged": reasons, "shared_with": list(shared)},
        values=values,
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "id": {"type": "str", "default": ""},
            "verify": {"type": "bool", "default": False},
        },
        required_if=[("verify", True, ["id"])],
        supports_check_mode=True,
    )
    params = module.params
    area = Area(Path(params["root"]), params["area"])
    step = "verify" if params["verify"] else "list"
    carry_out(module, step, lambda: look(area, params["id"], params["verify"]))


if __name__ == "__main__":
    main()
