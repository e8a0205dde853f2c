#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``report``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Open a run, and render what it has recorded
version_added: 1.0.0
description:
  - Reads the run record that the modules of this collection have left on the host, and makes one HTML and one JSON file of the
    records of all hosts, in C(<directory>/<run>/) on the controller. Each host's call renders again; the last one has everything.
  - Fails where a step of this host has failed, where the host has recorded nothing, where a host in O(hosts) has not reported, or
    where a drill has not proved all that it is for. A rescue can then not hide a failure.
  - Renders as well what a run has recorded that was killed.
author:
  - flatnet.ops contributors (@flatnet)
options:
  state:
    description:
      - V(opened) names a new run, and writes the report that stands if no host ever reports.
      - V(collected) takes the host's record to the controller.
      - V(rendered) does so as well, and makes the report.
    type: str
    choices: [opened, collected, rendered]
    default: rendered
  run:
    description:
      - The run, as O(state=opened) has named it. Required for the other states.
    type: str
  operation:
    description:
      - What the run is for, as in C(backup). Required for O(state=opened).
    type: str
  directory:
    description:
      - Where reports are kept on the controller.
    type: path
    default: ~/flatnet-reports
  hosts:
    description:
      - The hosts that have to report. Those that have not are named in the report, and make it failed.
    type: list
    elements: str
    default: []
  site:
    description:
      - The site that the host belongs to; C(flatnet_site), or the host's name, where not given.
    type: str
    default: ''
  language:
    description:
      - The language that the report shows first. It holds both.
    type: str
    choices: [ja, en]
    default: ja
  off_host_copy:
    description:
      - Says that backup sets are copied to another machine. Without it reports of C(backup) and C(drill) warn that they are not.
    type: bool
    default: false
  failure:
    description:
      - What went wrong outside of the recorded modules, with the name of the task.
    type: str
    default: ''
  state_directory:
    description:
      - Where this collection keeps its own files on a Windows host, the run records among them.
    type: str
    default: C:\ProgramData\flatnet
attributes:
  check_mode:
    description: The report is written in check mode too. It says that nothing was changed, and misses no record.
    support: full
  diff_mode:
    description: A report is no state of a host.
    support: none
  idempotent:
    description: The same records make the same report; O(state=opened) makes a new run each time.
    support: partial
"""

EXAMPLES = r"""
- name: Open a run
  flatnet.ops.report:
    state: opened
    operation: verify
    hosts: "{{ ansible_play_hosts_all }}"
  register: my_run
  run_once: true

- name: Verify the newest set
  flatnet.ops.backup_set_info:
    run: "{{ my_run.id }}"
    id: latest
    verify: true

- name: Report
  flatnet.ops.report:
    run: "{{ my_run.id }}"
    hosts: "{{ ansible_play_hosts_all }}"
"""

RETURN = r"""
id:
  description: The run.
  returned: success
  type: str
  sample: 20261124T021500Z-backup-3f9a
verdict:
  description: The verdict on all hosts that have reported.
  returned: O(state=rendered)
  type: str
  choices: [good, warning, failed]
  sample: good
html:
  description: The report for people, on the controller.
  returned: O(state=opened) and O(state=rendered)
  type: str
  sample: /home/op/flatnet-reports/20261124T021500Z-backup-3f9a/report.html
json:
  description: The report for programs, on the controller.
  returned: O(state=opened) and O(state=rendered)
  type: str
  sample: /home/op/flatnet-reports/20261124T021500Z-backup-3f9a/report.json
"""
