#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the content of a Grafana as files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_dashboard_backup
short_description: Write everything that an operator made in a Grafana as files
version_added: 1.0.0
description:
  - Writes one file for each object of an organization, as JSON that a person can read, compare and commit. Dashboards and library
    panels, folders, permissions, data sources, everything of alerting, users, teams, service accounts, preferences, playlists,
    annotations and correlations. M(flatnet.ops.grafana_dashboard_restore) puts them back.
  - The files hold nothing that a server counts or invents. An object that has not changed keeps its file, untouched; one that was
    deleted loses it. The same content gives the same files, whatever server it comes from.
  - All or nothing. An object that the server lists and that cannot be read fails the task, and the files stay as they were.
  - What no API tells is listed in the files C(secrets_needed.json) and C(not_saved.json), and in RV(not_saved).
  - Nothing on the server is changed.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.grafana
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  dest:
    description:
      - The directory of the files. Nothing else that is there, as C(.git), is touched. The directory above it has to exist.
      - With O(kinds), the files of other kinds stay there as an earlier backup has written them, and the index names them.
      - Where it is not given, the files become source C(grafana) of the set that this run has opened with M(flatnet.ops.backup_set).
    type: path
  shrink_limit:
    description:
      - By how much the number of objects, or of those of one kind, may have become smaller since the last backup, in percent. It
        counts from ten objects on.
    type: float
    default: 50
  force:
    description:
      - Whatever has become fewer is right as it is.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads everything and says what would change; writes nothing.
    support: full
  diff_mode:
    description: Shows which objects were added, changed and removed since the last backup.
    support: full
  idempotent:
    description: With O(dest), a server that has not changed changes no file. A new set is filled each time.
    support: partial
    details: Into a set, it saves each time that it is called.
seealso:
  - module: flatnet.ops.grafana_dashboard_restore
  - module: flatnet.ops.backup_set
"""

EXAMPLES = r"""
- name: Keep the content of Grafana as files
  flatnet.ops.grafana_dashboard_backup:
    token: "{{ vault_grafana_token }}"
    dest: /srv/grafana-content

- name: Save it into the open backup set
  flatnet.ops.grafana_dashboard_backup:
    run: 20261124T021500Z-backup-3f9a
    token: "{{ vault_grafana_token }}"

- name: Save its database beside it, which has the secrets and tokens as well
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: volumes/grafana_data
    volume: grafana_data
"""

RETURN = r"""
objects:
  description: How many objects the files hold, by kind; with O(dest), also of kinds that an earlier backup has saved.
  returned: success
  type: dict
  sample: {"dashboards": 205, "folders": 12}
seconds:
  description: The time that reading took, by kind; that of requests that were under way at once adds up.
  returned: success
  type: dict
  sample: {"dashboards": 3.1, "folders": 0.2}
added:
  description: The files of objects that the last backup had not.
  returned: success
  type: list
  elements: str
changed_files:
  description: The files of objects that are not as they were.
  returned: success
  type: list
  elements: str
removed:
  description: The files of objects that the server has no more.
  returned: success
  type: list
  elements: str
provisioned:
  description: The files of objects that the server makes from files of its own, which a restore leaves alone.
  returned: success
  type: list
  elements: str
secrets_needed:
  description: By kind and key, the names of the secrets that a restore onto another server needs.
  returned: success
  type: dict
  sample: {"data_sources": {"prom": {"name": "Prometheus", "fields": ["basicAuthPassword"]}}}
not_saved:
  description: What no API gives back.
  returned: success
  type: list
  elements: str
saved:
  description: What the set holds of this source, as its manifest says it.
  returned: success, without O(dest), outside of check mode
  type: dict
  contains:
    files:
      description: Files.
      type: int
    bytes:
      description: Their size.
      type: int
    linked_bytes:
      description: How much of it is shared with earlier sets.
      type: int
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: ReadingIncomplete
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_backup import NOT_SAVED, GrafanaBackup, Place, Saved
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import GRAFANA_OPTIONS, chosen, connected
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_source import GrafanaApplication, save_into
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS


def save(module: AnsibleModule) -> Outcome:
    """Write the files."""
    params = module.params
    effects = Effects()
    server = connected(params, effects)
    backup = GrafanaBackup(server, chosen(params), params["workers"], params["shrink_limit"], params["force"])
    return into_directory(module, effects, backup) if params["dest"] else into_set(module, effects, backup, server)


def into_directory(module: AnsibleModule, effects: Effects, backup: GrafanaBackup) -> Outcome:
    """Write them into a directory of the operator's."""
    dest = Path(module.params["dest"])
    if not dest.parent.is_dir():
        raise UsageError(f"the directory {dest.parent} was expected, to hold {dest.name}, and does not exist: make it")
    saved = backup.save(Place(effects, dest, dest, 0o600, module.check_mode))
    difference = saved.difference
    changed = bool(difference.added or difference.changed or difference.removed)
    return Outcome(
        changed,
        f"{dest} {'would hold' if module.check_mode else 'holds'} {words(saved)}: {len(difference.added)} added,"
        f" {len(difference.changed)} changed, {len(difference.removed)} removed",
        numbers=numbers(saved),
        values=values(saved),
        diff={"before": lines(saved, before=True), "after": lines(saved, before=False)},
    )


def into_set(module: AnsibleModule, effects: Effects, backup: GrafanaBackup, server: Grafana) -> Outcome:
    """Write them into the set that the run has opened."""
    params = module.params
    if params["run"] is None:
        raise UsageError("either dest, or the run that has opened a set, was expected: give one of them")
    if module.check_mode:
        saved = backup.save(Place(effects, Path(params["root"]), None, 0o400, dry=True))
        return Outcome(True, f"{words(saved)} would be saved", numbers=numbers(saved), values=values(saved))
    with Lifecycle(Area(Path(params["root"]), params["area"]), effects).filling(params["run"]) as filling:
        kinds = [kind.name for kind in chosen(params)]
        source, saved = save_into(filling, backup, GrafanaApplication(server, params["workers"]), kinds, effects)
    return Outcome(
        True,
        f"{words(saved)} are saved: {source.bytes:,} bytes, of which {source.linked_bytes:,} are shared with earlier sets",
        numbers={**numbers(saved), "bytes": source.bytes, "linked_bytes": source.linked_bytes},
        evidence=dict(source.facts),
        values={**values(saved), "saved": asdict(source)},
        diff={"before": lines(saved, before=True), "after": lines(saved, before=False)},
    )


def words(saved: Saved) -> str:
    """What there is, in words."""
    return f"{len(saved.entries)} objects, among them {saved.counts.get('dashboards', 0)} dashboards"


def numbers(saved: Saved) -> dict[str, float]:
    """What the report shows."""
    return {"objects": len(saved.entries), "dashboards": saved.counts.get("dashboards", 0)}


def values(saved: Saved) -> dict[str, object]:
    """What the task returns."""
    return {
        "objects": saved.counts,
        "seconds": {kind: round(seconds, 3) for kind, seconds in saved.seconds.items()},
        "added": list(saved.difference.added),
        "changed_files": list(saved.difference.changed),
        "removed": list(saved.difference.removed),
        "provisioned": sorted(entry.path for entry in saved.entries if entry.provisioned),
        "secrets_needed": saved.secrets_needed,
        "not_saved": list(NOT_SAVED),
    }


def lines(saved: Saved, before: bool) -> str:
    """The files that differ, one side of them."""
    difference = saved.difference
    state = "as it was" if before else "changed"
    shown = dict.fromkeys(difference.changed, state)
    shown.update(dict.fromkeys(difference.removed if before else difference.added, "there"))
    return "".join(f"{path}: {shown[path]}\n" for path in sorted(shown))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            **GRAFANA_OPTIONS,
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "dest": {"type": "path"},
            "shrink_limit": {"type": "float", "default": 50},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, "grafana", lambda: save(module))


if __name__ == "__main__":
    main()
