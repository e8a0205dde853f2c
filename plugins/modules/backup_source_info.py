#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell which trees the containers of a host use, and what saves each of them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_source_info
short_description: Tell which trees the containers of a host use, and what saves each of them
version_added: 1.0.0
description:
  - Looks at what every container mounts, running or not, and decides what saves it. Nothing is saved here; RV(sources) is made
    for M(flatnet.ops.tree_backup).
  - A volume that a container mounts is a source without a rule. So is a directory below one of O(bind_roots) that a container
    mounts; where one lies in another, the outer one is the source.
  - What nothing covers is in RV(uncovered). The step V(sources) of the run record names it, and is a warning.
  - Sockets, devices, everything below C(/dev), C(/proc), C(/run) and C(/sys), and the host's own C(/etc/hostname), C(/etc/hosts),
    C(/etc/localtime), C(/etc/resolv.conf) and C(/etc/timezone) are no data, and not mentioned.
  - Symbolic links are followed before paths are compared.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  rules:
    description:
      - How to save a volume or a directory, where the defaults do not fit. It is saved also if no container mounts it.
      - A rule about something that does not exist, and that no container mounts, is refused.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - A Podman volume, saved as C(volumes/NAME). Either this or O(rules[].path) is needed.
        type: str
      path:
        description:
          - A directory of the host. The rule covers mounts of it, and of everything below it.
        type: path
      source_name:
        description:
          - With O(rules[].path), what comes after C(volumes/) in the name of the source. By itself, it is the path without its
            first C(/), the others being C(.).
        type: str
      consistency:
        description:
          - As in M(flatnet.ops.tree_backup).
        type: str
        choices: [hot, paused, stopped]
        default: paused
      max_pause:
        description:
          - As in M(flatnet.ops.tree_backup).
        type: int
        default: 60
      before:
        description:
          - A command to run before the tree is saved.
        type: dict
        suboptions: &command
          command:
            description:
              - Program and arguments.
            type: list
            elements: str
            required: true
          container:
            description:
              - The container to run it in. On the host where not given.
            type: str
      after:
        description:
          - A command to run after the tree is saved.
        type: dict
        suboptions: *command
      command_timeout:
        description:
          - For how many seconds each of the commands may run.
        type: int
        default: 300
  bind_roots:
    description:
      - Directories of the host. What a container mounts from below one of them is saved without a rule, if it is a directory.
    type: list
    elements: path
    default: [/srv, /opt, /home]
  exclude:
    description:
      - What not to save, with the reason. One that keeps nothing out is a warning, also if a source holds what it names.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - A Podman volume. Either this or O(exclude[].path) is needed.
        type: str
      path:
        description:
          - A directory or file of the host, and everything below it. V(/) means mounts of the whole host only.
        type: path
      reason:
        description:
          - Why it need not be saved, for whoever reads the report.
        type: str
        required: true
  covered:
    description:
      - Trees that other sources save. A mount of such a tree, or of something in it, is covered, unless a rule names it.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description:
          - The source that saves it.
        type: str
        required: true
      path:
        description:
          - The tree, as the host sees it or, with O(covered[].container), as the container sees it.
        type: path
        required: true
      container:
        description:
          - The container that mounts the tree. One that does not exist covers nothing.
        type: str
attributes:
  check_mode:
    description: Looks only.
    support: full
  diff_mode:
    description: Looks only, so nothing ever differs.
    support: N/A
  idempotent:
    description: Looks only.
    support: full
requirements:
  - Podman 4 on the host
seealso:
  - module: flatnet.ops.tree_backup
"""

EXAMPLES = r"""
- name: What do the containers use, and what saves it?
  flatnet.ops.backup_source_info:
    rules:
      - name: app_notes_data
        consistency: stopped
    exclude:
      - name: app_files_data
        reason: each release brings it along
    covered:
      - source: stack
        path: /opt/flatnet/monitoring
      - source: prometheus
        container: flatnet-prometheus
        path: /prometheus
"""

RETURN = r"""
sources:
  description: The trees to save, by name, each with the options of M(flatnet.ops.tree_backup).
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: The name of the source.
      type: str
      sample: volumes/srv.uploads
    volume:
      description: The Podman volume.
      returned: where it is one
      type: str
    path:
      description: The directory of the host.
      returned: where it is no volume
      type: str
      sample: /srv/uploads
    consistency:
      description: As the rule says it.
      type: str
      sample: paused
    max_pause:
      description: As the rule says it.
      type: int
    before:
      description: As the rule says it; null if there is no command.
      type: dict
    after:
      description: As the rule says it; null if there is no command.
      type: dict
    command_timeout:
      description: As the rule says it.
      type: int
    containers:
      description: The containers that mount the tree, a part of it, or a directory around it, running or not.
      type: list
      elements: str
covered:
  description: The mounts that another source holds, of RV(sources) or of O(covered).
  returned: success
  type: list
  elements: dict
  contains:
    mount: &mount
      description: The volume, or the path on the host.
      type: str
    containers: &containers
      description: The containers that mount it.
      type: list
      elements: str
    source:
      description: The source that holds it.
      type: str
excluded:
  description: The mounts that are not saved, as O(exclude) says.
  returned: success
  type: list
  elements: dict
  contains:
    mount: *mount
    containers: *containers
    reason:
      description: Why not.
      type: str
uncovered:
  description: The mounts that nothing saves, although nobody said so.
  returned: success
  type: list
  elements: dict
  contains:
    mount: *mount
    containers: *containers
    why:
      description: Why it is no source without a rule.
      type: str
      sample: is not below a bind root (/srv, /opt, /home)
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: UsageError
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.mounts import (
    DIRECTORY,
    FILE,
    MISSING,
    OTHER,
    Exclusion,
    Judged,
    Place,
    Rule,
    SavedElsewhere,
    SavedTree,
    Wishes,
    decide,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.tree import shown

COMMAND = {
    "type": "dict",
    "options": {
        "command": {"type": "list", "elements": "str", "required": True},
        "container": {"type": "str"},
    },
}
TARGET: dict[str, Any] = {"name": {"type": "str"}, "path": {"type": "path"}}
ONE_TARGET: dict[str, Any] = {"mutually_exclusive": [("name", "path")], "required_one_of": [("name", "path")]}


def tell(params: dict[str, Any]) -> Outcome:
    """Look at the containers and decide."""
    podman = Podman()
    decision = decide(podman.containers(), wishes(params), look, podman.mountpoint)
    uncovered = [f"{one.mount} of {', '.join(one.containers)}: it {one.words}" for one in decision.uncovered]
    idle = [f"exclude of {shown(str(one.target))} keeps nothing out" for one in decision.idle]
    numbers = {
        "sources": len(decision.trees),
        "covered": len(decision.covered),
        "excluded": len(decision.excluded),
        "uncovered": len(decision.uncovered),
    }
    words = [f"of what containers mount, {numbers['sources']} trees are to be saved"]
    if uncovered:
        words.append(f"nothing saves {'; '.join(uncovered)}; write a rule, or an exclude with a reason")
    if idle:
        words.append(f"{'; '.join(idle)}: correct it, or take it off")
    judged = {
        "covered": judgements(decision.covered, "source"),
        "excluded": judgements(decision.excluded, "reason"),
        "uncovered": judgements(decision.uncovered, "why"),
    }
    return Outcome(
        False,
        "; ".join(words),
        status="warning" if uncovered or idle else "good",
        numbers=numbers,
        evidence={"sources": [tree.source for tree in decision.trees], **judged},
        values={"sources": [described(tree) for tree in decision.trees], **judged},
    )


def look(path: Path) -> Place:
    """Follow a path of this host."""
    place = Path(os.path.realpath(path))
    try:
        mode = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Place(place, MISSING)
    # A link that is left at the end leads in a circle.
    kinds = {stat.S_IFDIR: DIRECTORY, stat.S_IFREG: FILE, stat.S_IFLNK: MISSING}
    return Place(place, kinds.get(stat.S_IFMT(mode), OTHER))


def wishes(params: dict[str, Any]) -> Wishes:
    """What the task says."""
    settings = ("source_name", "consistency", "max_pause", "before", "after", "command_timeout")
    return Wishes(
        rules=tuple(Rule(target(one), **{name: one[name] for name in settings}) for one in params["rules"]),
        bind_roots=tuple(map(Path, params["bind_roots"])),
        exclusions=tuple(Exclusion(target(one), one["reason"]) for one in params["exclude"]),
        elsewhere=tuple(
            SavedElsewhere(one["source"], Path(one["path"]), one["container"]) for one in params["covered"]
        ),
    )


def target(given: dict[str, Any]) -> str | Path:
    """The volume or the directory that an entry is about."""
    return given["name"] if given["path"] is None else Path(given["path"])


def described(tree: SavedTree) -> dict[str, Any]:
    """A tree as the result shows it."""
    rule = tree.rule
    return {
        "source": tree.source,
        "path" if isinstance(rule.target, Path) else "volume": str(rule.target),
        "consistency": rule.consistency,
        "max_pause": rule.max_pause,
        "before": rule.before,
        "after": rule.after,
        "command_timeout": rule.command_timeout,
        "containers": tree.containers,
    }


def judgements(judged: Sequence[Judged], words: str) -> list[dict[str, Any]]:
    """Mounts as the result shows them, with what their words are."""
    return [{"mount": one.mount, "containers": one.containers, words: one.words} for one in judged]


def main() -> None:
    """Run the module."""
    rule = {
        **TARGET,
        "source_name": {"type": "str"},
        "consistency": {"type": "str", "choices": ["hot", "paused", "stopped"], "default": "paused"},
        "max_pause": {"type": "int", "default": 60},
        "before": COMMAND,
        "after": COMMAND,
        "command_timeout": {"type": "int", "default": 300},
    }
    exclusion = {**TARGET, "reason": {"type": "str", "required": True}}
    elsewhere = {
        "source": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "container": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "rules": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": rule,
                "required_by": {"source_name": ["path"]},
                **ONE_TARGET,
            },
            "bind_roots": {"type": "list", "elements": "path", "default": ["/srv", "/opt", "/home"]},
            "exclude": {"type": "list", "elements": "dict", "default": [], "options": exclusion, **ONE_TARGET},
            "covered": {"type": "list", "elements": "dict", "default": [], "options": elsewhere},
        },
        supports_check_mode=True,
    )
    carry_out(module, "sources", lambda: tell(module.params))


if __name__ == "__main__":
    main()
