#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install timers, and what they run without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
module: timers
short_description: Install timers, and what they run without Ansible
version_added: 1.0.0
description:
  - Installs the Python sources of this collection's own checks and generations, which then run on the host without Ansible, other
    files that the timers need, and the timers themselves. All of them are root's.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  library:
    description:
      - The directory for the sources. With it in C(PYTHONPATH),
        C(python3 -m ansible_collections.flatnet.ops.plugins.module_utils.host_checks) makes the checks, and C(….generations) keeps
        generations. Other sources of the package are removed there.
    type: path
    required: true
  files:
    description:
      - More files, such as programs. The host's journal shows what they hold, unless the variable C(ansible_no_target_syslog) is true.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file. Directories that it lacks are made.
        type: path
        required: true
      content:
        description: All that it holds.
        type: str
        required: true
      mode:
        description: Its mode, as octal digits.
        type: str
        default: "0644"
  timers:
    description:
      - The timers, each with the service that it starts. They are enabled and started; one whose definition has changed is restarted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of its units, without C(.timer).
        type: str
        required: true
      here:
        description: Whether this host has it. If not, it is stopped, and its units are removed.
        type: bool
        default: true
      description:
        description: What it does.
        type: str
        required: true
      command:
        description: What it runs, as systemd's C(ExecStart) takes it.
        type: str
        required: true
      environment:
        description: Environment variables of the command.
        type: dict
        default: {}
      calendar:
        description: When, as systemd's C(OnCalendar) takes it.
        type: str
        required: true
      delay_seconds:
        description: By how much at most it begins later.
        type: int
        default: 0
  on_failure:
    description:
      - The unit that systemd starts when the work of a timer fails.
    type: str
    default: ""
attributes:
  check_mode:
    description: Changes nothing, and foretells everything.
    support: full
  diff_mode:
    description: Shows what each file holds, and each timer's state.
    support: full
  idempotent:
    description: Does nothing the second time.
    support: full
requirements:
  - systemd on the host
seealso:
  - module: flatnet.ops.schedule_info
"""

EXAMPLES = r"""
- name: Check every hour that backups are made
  flatnet.ops.timers:
    library: /usr/local/lib/flatnet-ops
    files:
      - path: /usr/local/sbin/flatnet-check
        mode: "0755"
        content: |
          #!/bin/sh
          PYTHONPATH=/usr/local/lib/flatnet-ops exec python3 -m ansible_collections.flatnet.ops.plugins.module_utils.host_checks "$@"
    timers:
      - name: flatnet-check
        description: Check that backups, drills and timers happen
        command: /usr/local/sbin/flatnet-check
        calendar: hourly
"""

RETURN = r"""
files:
  description: The files that are new, changed or removed.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/flatnet-check.timer]
timers:
  description: The state of each timer that the host has, in systemd's words; in check mode, the present one.
  returned: success
  type: dict
  sample: {"flatnet-check.timer": "loaded, enabled, active"}
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: CommandFailed
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.timers import (
    RUNNING,
    File,
    Installation,
    Timer,
    library,
    states,
)


def install(module: AnsibleModule) -> Outcome:
    """Install what is missing or differs."""
    params = module.params
    timers = [Timer(**given, on_failure=params["on_failure"]) for given in params["timers"]]
    files = [File(Path(given["path"]), given["content"], int(given["mode"], 8)) for given in params["files"]]
    installation = Installation([*library(Path(params["library"])), *files], timers)
    wrong, before = installation.wrong, installation.states
    diff = [
        {
            "before_header": str(file.path),
            "after_header": str(file.path),
            "before": file.text(),
            "after": file.content or "",
        }
        for file in wrong
    ]
    diff += [
        {"before_header": unit, "after_header": unit, "before": f"{before[unit]}\n", "after": f"{RUNNING}\n"}
        for unit in installation.resting
    ]
    if not module.check_mode:
        installation.install(Effects())
    after = states([timer for timer in timers if timer.here])
    words = "would change" if module.check_mode else "have changed"
    return Outcome(
        bool(diff),
        f"this host has {len(after)} timers of ours; {len(wrong)} files {words}",
        numbers={"timers": len(after), "files": len(wrong)},
        evidence={"timers": after},
        values={"files": [str(file.path) for file in wrong], "timers": after},
        diff=diff,
    )


def main() -> None:
    """Run the module."""
    file = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
    }
    timer = {
        "name": {"type": "str", "required": True},
        "here": {"type": "bool", "default": True},
        "description": {"type": "str", "required": True},
        "command": {"type": "str", "required": True},
        "environment": {"type": "dict", "default": {}},
        "calendar": {"type": "str", "required": True},
        "delay_seconds": {"type": "int", "default": 0},
    }
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "library": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file},
            "timers": {"type": "list", "elements": "dict", "default": [], "options": timer},
            "on_failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    carry_out(module, "timers", lambda: install(module))


if __name__ == "__main__":
    main()
