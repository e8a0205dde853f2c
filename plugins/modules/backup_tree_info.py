#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a small source of a backup set, to hand it to another host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_tree_info
short_description: Read a small source of a backup set, to hand it to another host
version_added: 1.0.0
description:
  - Returns the files of a source as one text, for a source that belongs to a host which does not see the backup directory, as the
    gateway's configuration does. Each file is compared with what the set says of it.
  - The text may hold secrets. A task that registers it should say C(no_log).
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  id:
    description:
      - The set, or V(latest).
    type: str
    default: latest
  source:
    description:
      - The source; it holds files and directories alone, of 32 MiB at most.
    type: str
    required: true
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
  - module: flatnet.ops.gateway_config
  - module: flatnet.ops.tree_restore
"""

EXAMPLES = r"""
- name: Read the monitoring folder as it was saved
  flatnet.ops.backup_tree_info:
    id: latest
    source: stack
  register: saved
  no_log: true
"""

RETURN = r"""
id:
  description: The set.
  returned: success
  type: str
  sample: 20261124T021500Z
tree:
  description: The files, as one text.
  returned: success
  type: str
files:
  description: How many files it holds.
  returned: success
  type: int
  sample: 12
bytes:
  description: Their size.
  returned: success
  type: int
  sample: 30211
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SetDamaged
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils import sets
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet
from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import read_saved
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area


def read(area: Area, wanted: str, source: str) -> Outcome:
    """Read it, and compare."""
    name = area.find(wanted)
    path = area.path(name)
    held = area.manifest(name).sources
    if source not in held or not sets.holds(path, source):
        raise NoSuchSet(f"set {path} was expected to hold {source}, and holds {', '.join(held)}: name one of these")
    found = read_saved(path / source, sets.load_listing(path, source), f"{source} of set {name}")
    return Outcome(
        False,
        f"{source} of set {name} is read: {len(found.files):,} files, {found.bytes:,} bytes, all as they were saved",
        numbers={"files": len(found.files), "bytes": found.bytes},
        values={"id": name, "tree": found.pack(), "files": len(found.files), "bytes": found.bytes},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "id": {"type": "str", "default": "latest"},
            "source": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    area = Area(Path(params["root"]), params["area"])
    carry_out(module, params["source"], lambda: read(area, params["id"], params["source"]))


if __name__ == "__main__":
    main()
