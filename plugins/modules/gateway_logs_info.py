#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action ``gateway_logs_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_logs_info
short_description: Read the logs of the gateway on a Windows host
version_added: 1.0.0
description:
  - Returns the last entries of the gateway's error log and access log, or those that came after an earlier look. Changes nothing, and
    takes one round trip.
  - Of a log of any size only the end is read, as much as the entries need, and 16 MiB at most; RV(gaps) says where that was not
    enough.
  - An entry of the error log of many lines, as a stack trace, is one entry. A line whose end is not written yet is left for the next
    look.
  - A log that is missing, or cannot be read, is named in RV(unread), and fails nothing; a play that wants both logs asserts that this is
    empty.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.gateway
  - flatnet.ops.recorded
options:
  error_log:
    description:
      - The error log, below O(prefix) unless it begins with a drive. An empty name leaves it out.
    type: str
    default: logs\error.log
  access_log:
    description:
      - The access log, below O(prefix) unless it begins with a drive. An empty name leaves it out.
    type: str
    default: logs\access.log
  lines:
    description:
      - How many entries of each log are returned, at most; from 1 to 1000.
    type: int
    default: 100
  level:
    description:
      - Entries of the error log of this level, and of those that are worse. V(debug) is all of them.
    type: str
    choices: [emerg, alert, crit, error, warn, notice, info, debug]
    default: debug
  since:
    description:
      - Only entries since this time, as V(2026-11-24T02:15:00Z), or as far back as this duration, as V(30m). An entry that does not tell
        its time is returned whenever it was written.
    type: str
    default: ""
  after:
    description:
      - Only entries after these places, of one log or both, as RV(next) of an earlier look has named them. The oldest ones are returned
        then, instead of the newest, so that look after look returns every entry once.
      - Where a log was rotated since, what came before is read from the file beside it that is the old one, its name that of the log
        with something after it.
    type: dict
    default: {}
    suboptions:
      error:
        description: A place in the error log.
        type: str
      access:
        description: A place in the access log.
        type: str
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
  - module: flatnet.ops.gateway_info
  - module: flatnet.ops.loki_query_info
"""

EXAMPLES = r"""
- name: Read what has gone wrong in the last two hours
  flatnet.ops.gateway_logs_info:
    level: warn
    since: 2h
  register: read

- name: Expect logs that can be read
  ansible.builtin.assert:
    that: read.unread == []
    fail_msg: "{{ read.unread | join('; ') }}"

- name: Read what has come since
  flatnet.ops.gateway_logs_info:
    level: warn
    after: "{{ read.next }}"
"""

RETURN = r"""
logs:
  description: By C(error) and C(access), what was read of each.
  returned: success
  type: dict
  contains:
    path:
      description: The file.
      type: str
      sample: C:\openresty\logs\error.log
    size:
      description: Its size in bytes; null where it could not be read.
      type: int
    entries:
      description:
        - The entries, the oldest first, each with C(text), its C(time) in UTC and, in an error log, its C(level). Both are null where the
          entry does not tell.
      type: list
      elements: dict
      sample:
        - time: '2026-11-24T02:15:00Z'
          level: emerg
          text: '2026/11/24 11:15:00 [emerg] 3988#4001: unknown directive "liste"'
    levels:
      description: How many of them have each level.
      type: dict
      sample: {emerg: 1}
    next:
      description: Where a later look goes on; null where the log could not be read.
      type: str
      sample: 41213-1024-9f86d081884c7d65
    rotated:
      description: Whether the file is another one than that of O(after).
      type: bool
    aside:
      description: The files beside it that were read because of that, the oldest first.
      type: list
      elements: str
    more:
      description: Whether there are more entries after these.
      type: bool
    cut:
      description: Whether entries may lie before the part that was looked through.
      type: bool
    problem:
      description: Why it could not be read, as V(missing), V(denied) or V(locked); null if it was.
      type: str
    said:
      description: What Windows said of that, where it said something.
      type: str
next:
  description: The places after what was read, as O(after) takes them.
  returned: success
  type: dict
  sample: {error: 41213-1024-9f86d081884c7d65, access: 90071-1024-60303ae22b998861}
unread:
  description: Of each log that could not be read, a sentence that says why.
  returned: success
  type: list
  elements: str
  sample: []
rotation:
  description: What came of the last run of the task C(flatnet-log-rotation) of M(flatnet.ops.gateway_tasks); null if none has run.
  returned: success
  type: dict
  contains:
    at:
      description: When that was, in UTC.
      type: str
      sample: '2026-11-24T02:00:00Z'
    rotated:
      description: The logs that it has put aside.
      type: list
      elements: str
      sample: ['C:\openresty\logs\access.log.20261124T020000Z']
    removed:
      description: Those that it has deleted.
      type: list
      elements: str
      sample: []
    problem:
      description: Why it has failed, in a sentence; null if it has not.
      type: str
gaps:
  description: Of each log of which entries may be missing, a sentence that says why.
  returned: success
  type: list
  elements: str
  sample: []
"""
