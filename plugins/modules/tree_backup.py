#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save a directory or a Podman volume into the open backup set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_backup
short_description: Save a directory or a Podman volume into the open backup set
version_added: 1.0.0
description:
  - Copies a tree into the set that this run has opened with M(flatnet.ops.backup_set), with owners, modes, times, ACLs,
    extended attributes, hard links and holes.
  - Copies twice. The second time, only what has changed since the first is copied, while the containers that use the tree
    are paused or stopped; this is measured and reported.
  - Containers that were at rest before stay so. Those that this module put to rest are taken up again on every way out; if
    the module is killed, a guard on the host does it at once.
  - Files that have not changed become hard links to the newest set that has them.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that has opened the set.
    required: true
  source:
    description:
      - The name of the source, which is its path in the set as well.
    type: str
    required: true
  path:
    description:
      - The directory to save.
    type: path
  container:
    description:
      - Says that O(path) is a directory of this container; its mounts tell where that lies on the host.
    type: str
  volume:
    description:
      - The Podman volume to save.
    type: str
  consistency:
    description:
      - V(paused) freezes the containers for the second copy, so that it holds one moment of the tree.
      - V(stopped) stops them, for programs that keep what matters in memory until they end.
      - V(hot) leaves them alone. Files that change meanwhile may be inconsistent with each other; the set says so.
    type: str
    choices: [hot, paused, stopped]
    default: paused
  containers:
    description:
      - The containers that have to rest. All running containers that can write to the tree where not given.
    type: list
    elements: str
  max_pause:
    description:
      - For how many seconds containers may rest. Then they are taken up again, and the copy fails.
    type: int
    default: 60
  exclude:
    description:
      - Names directly below the tree that are left out, as caches.
    type: list
    elements: str
    default: []
  before:
    description:
      - A command that is run ahead of the copy, as a database's dump into the tree. If it fails, nothing is copied.
    type: dict
    suboptions: &command
      command:
        description:
          - The program and its arguments; no shell is involved.
        type: list
        elements: str
        required: true
      container:
        description:
          - The container to run it in. On the host where not given.
        type: str
  after:
    description:
      - A command that is run after the copy, on every way out once O(before) has begun; if the module is killed, a guard on the
        host runs it, once its container is up. If it fails after a copy, the copy does not count.
    type: dict
    suboptions: *command
  command_timeout:
    description:
      - For how many seconds each of O(before) and O(after) may run. Then it has failed, and is ended; a program in a container may go
        on there, so it should have a limit of its own.
    type: int
    default: 300
  application:
    description:
      - Whose data it is. The application is asked about it before the copy, and the set keeps questions and answers for the restore.
    type: str
    choices: [loki, alertmanager]
  url:
    description:
      - The address of O(application), as seen from the host. Its own port on this host where not given.
    type: str
  probes:
    description:
      - More questions for O(application), beside those that are always asked.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description:
          - A query that gives one number.
        type: str
        required: true
      at:
        description:
          - The instant to ask about, in seconds since the epoch. The end of the last full hour where not given.
        type: float
  timeout:
    description:
      - For how many seconds to wait for an answer of O(application).
    type: float
    default: 60
attributes:
  check_mode:
    description: Looks for the tree and its containers; copies nothing and pauses nothing.
    support: full
  diff_mode:
    description: A copy into a new set has no state before it.
    support: none
  idempotent:
    description: Copies each time that it is called.
    support: none
requirements:
  - rsync and, for volumes and containers, Podman 4 on the host
  - systemd on the host, for the guard
  - the Python library requests on the host, with O(application)
seealso:
  - module: flatnet.ops.backup_set
  - module: flatnet.ops.tree_restore
"""

EXAMPLES = r"""
- name: Save a volume, its containers paused for a moment
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: volumes/app_notes_data
    volume: app_notes_data

- name: Save the silences of Alertmanager, which it writes down when it ends
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: alertmanager
    container: flatnet-alertmanager
    path: /alertmanager
    consistency: stopped
    application: alertmanager

- name: Save a directory that nobody writes to
  flatnet.ops.tree_backup:
    run: 20261124T021500Z-backup-3f9a
    source: stack
    path: /opt/flatnet/monitoring
    consistency: hot
"""

RETURN = r"""
saved:
  description: What the set holds of this source, as its manifest says it.
  returned: success, outside of check mode
  type: dict
  contains:
    files:
      description: Regular files.
      type: int
    bytes:
      description: Their size; a file with several names counts once.
      type: int
    linked_bytes:
      description: How much of it is shared with earlier sets.
      type: int
    pause_seconds:
      description: For how long the containers rested, at most; null if none had to.
      type: float
      sample: 0.31
    containers:
      description: The containers that rested.
      type: list
      elements: str
    changed_while_copied:
      description: With O(consistency=hot), names that changed while they were copied.
      type: int
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: SourceRefused
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Application, Question, application
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area, check_source_name
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport
from ansible_collections.flatnet.ops.plugins.module_utils.tree_backup import Command, TreeBackup, TreeSource


def save(module: AnsibleModule) -> Outcome:
    """Copy the tree into the set."""
    params = module.params
    effects = Effects()
    source = TreeSource(
        name=check_source_name(params["source"]),
        path=Path(params["path"]) if params["path"] else None,
        volume=params["volume"],
        consistency=params["consistency"],
        containers=tuple(params["containers"]) if params["containers"] is not None else None,
        max_pause=params["max_pause"],
        container=params["container"],
        exclude=tuple(params["exclude"]),
        before=command(params["before"], params["command_timeout"]),
        after=command(params["after"], params["command_timeout"]),
    )
    questions = [Question(probe["query"], probe["at"]) for probe in params["probes"]]
    backup = TreeBackup(effects, Podman(), source, application=asked(params, effects), questions=questions)
    if module.check_mode:
        rest = ", ".join(backup.running()) or "no container"
        return Outcome(True, f"{backup.directory()} would be saved; {rest} would rest ({source.consistency})")
    area = Area(Path(params["root"]), params["area"])
    with Lifecycle(area, effects).filling(params["run"]) as filling:
        saved = backup.save(filling)
    numbers: dict[str, float] = {"files": saved.files, "bytes": saved.bytes, "linked_bytes": saved.linked_bytes}
    if params["application"]:
        numbers["probes"] = len(saved.probes)
    rested = "no container had to rest"
    if saved.pause_seconds is not None:
        numbers["pause_seconds"] = saved.pause_seconds
        rested = f"{', '.join(saved.containers)} {saved.consistency} for {saved.pause_seconds:.2f} s"
    empty = "; it is empty: see whether its drive is mounted, if it should not be" if saved.files == 0 else ""
    moved = f"; {saved.changed_while_copied} names changed while they were copied" if saved.changed_while_copied else ""
    return Outcome(
        True,
        f"{saved.origin} is saved: {saved.files:,} files, {saved.bytes:,} bytes, of which {saved.linked_bytes:,} are shared"
        f" with earlier sets; {rested}{moved}{empty}",
        status="warning" if moved or empty else "good",
        numbers=numbers,
        evidence={"consistency": saved.consistency, "changed_while_copied": saved.changed_while_copied},
        values={"saved": asdict(saved)},
    )


def command(given: dict[str, Any] | None, timeout: int) -> Command | None:
    """A command as the task gives it."""
    return None if given is None else Command(tuple(given["command"]), given["container"], timeout)


def asked(params: dict[str, Any], effects: Effects) -> Application | None:
    """The application to ask, if there is one."""
    if params["application"] is None:
        return None
    return application(params["application"], params["url"], RequestsTransport(params["timeout"]), effects)


COMMAND: dict[str, Any] = {
    "type": "dict",
    "options": {
        "command": {"type": "list", "elements": "str", "required": True},
        "container": {"type": "str"},
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "source": {"type": "str", "required": True},
            "path": {"type": "path"},
            "volume": {"type": "str"},
            "container": {"type": "str"},
            "consistency": {"type": "str", "choices": ["hot", "paused", "stopped"], "default": "paused"},
            "containers": {"type": "list", "elements": "str"},
            "max_pause": {"type": "int", "default": 60},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "before": COMMAND,
            "after": COMMAND,
            "command_timeout": {"type": "int", "default": 300},
            "application": {"type": "str", "choices": ["loki", "alertmanager"]},
            "url": {"type": "str"},
            "probes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"query": {"type": "str", "required": True}, "at": {"type": "float"}},
            },
            "timeout": {"type": "float", "default": 60},
        },
        mutually_exclusive=[("path", "volume"), ("container", "volume")],
        required_one_of=[("path", "volume")],
        required_by={"container": ["path"]},
        supports_check_mode=True,
    )
    if module.params["application"] and not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, module.params["source"], lambda: save(module))


if __name__ == "__main__":
    main()
