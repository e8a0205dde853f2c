#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search the logs that Loki keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: loki_query_info
short_description: Search the logs that Loki keeps
version_added: 1.0.0
description:
  - Asks Loki for the last lines that a query in LogQL finds, and says how many of them each source has, with its last one. Waits for
    nothing; M(flatnet.ops.podman_stack) waits until Loki is ready.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  query:
    description:
      - LogQL that yields lines. Loki wants at least one label with a value.
    type: str
    default: '{job=~".+"} |= "error"'
  since:
    description:
      - How far back to search, as V(30m), V(2h) or V(1d). Loki's own limit is 30 days and an hour, unless it is configured otherwise.
    type: str
    default: 1h
  limit:
    description:
      - How many lines are returned, at most; from 1 to 1000.
    type: int
    default: 100
  url:
    description:
      - The address of Loki, as seen from the host.
    type: str
    default: http://127.0.0.1:3100
  timeout:
    description:
      - For how many seconds to wait for the answer.
    type: float
    default: 60
attributes:
  check_mode:
    description: Asks only.
    support: full
  diff_mode:
    description: Asks only, so nothing ever differs.
    support: N/A
  idempotent:
    description: Asks only.
    support: full
requirements:
  - the Python library requests on the host
seealso:
  - module: flatnet.ops.gateway_logs_info
"""

EXAMPLES = r"""
- name: Which containers have written of errors today?
  flatnet.ops.loki_query_info:
    query: '{job="podman"} |= "error"'
    since: 1d
"""

RETURN = r"""
lines:
  description: The lines, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    time:
      description: When, in UTC.
      type: str
      sample: '2026-11-24T02:15:00Z'
    labels:
      description: Where from, as Loki labels it.
      type: dict
      sample: {job: podman, container: app-notes}
    text:
      description: The line.
      type: str
sources:
  description: Where the lines are from, the source with the newest one first.
  returned: success
  type: list
  elements: dict
  contains:
    labels:
      description: As Loki labels it.
      type: dict
    count:
      description: How many of the lines are from there.
      type: int
    last:
      description: The last one of them.
      type: str
more:
  description: Whether there are, or may be, more lines than were asked for.
  returned: success
  type: bool
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: NoAnswer
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.loki import Line, Loki
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.times import iso
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport
from ansible_collections.flatnet.ops.plugins.module_utils.tsdb import milliseconds

MOST_LINES = 1000


def search(module: AnsibleModule) -> Outcome:
    """Ask once, and say what came."""
    params = module.params
    limit = params["limit"]
    if not 1 <= limit <= MOST_LINES:
        raise UsageError(f"limit was expected to be a number from 1 to {MOST_LINES}, and is {limit}: mend it")
    try:
        back = milliseconds(params["since"]) / 1000
    except ValueError as error:
        raise UsageError(f"since: {error}; mend it") from error
    now = time.time()
    loki = Loki(params["url"], RequestsTransport(params["timeout"]))
    lines = loki.lines(params["query"], now - back, now, limit)
    sources = sources_of(lines)
    more = len(lines) == limit
    return Outcome(
        False,
        f"{loki.url} has {f'{limit} lines or more' if more else f'{len(lines)} lines'} of the last {params['since']} for"
        f" '{params['query']}', from {len(sources)} sources",
        numbers={"lines": len(lines)},
        evidence={"sources": sources, "lines": [f"{iso(line.time)} {shown(line)} {line.text}" for line in lines]},
        values={
            "lines": [{"time": iso(line.time), "labels": dict(line.labels), "text": line.text} for line in lines],
            "sources": sources,
            "more": more,
        },
    )


def sources_of(lines: list[Line]) -> list[dict[str, object]]:
    """Where lines are from, the source with the newest one first."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(shown(line), []).append(line)
    newest = sorted(found.values(), key=lambda of_one: of_one[-1].time, reverse=True)
    return [{"labels": dict(one[-1].labels), "count": len(one), "last": one[-1].text} for one in newest]


def shown(line: Line) -> str:
    """Where a line is from."""
    return ",".join(f"{name}={value}" for name, value in sorted(line.labels.items()))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "query": {"type": "str", "default": '{job=~".+"} |= "error"'},
            "since": {"type": "str", "default": "1h"},
            "limit": {"type": "int", "default": 100},
            "url": {"type": "str", "default": "http://127.0.0.1:3100"},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, "logs", lambda: search(module))


if __name__ == "__main__":
    main()
