#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start, stop and restart the monitoring stack."""

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_stack
short_description: Start, stop and restart the monitoring stack
version_added: 1.0.0
description:
  - Drives one C(podman-compose) project, and is done only when each service says by its own readiness URL that it is ready.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.recorded
options:
  project_dir:
    description:
      - The folder of the compose file; its name is the name of the project.
    type: path
    required: true
  file:
    description:
      - The compose file in it.
    type: str
    default: compose.yml
  state:
    description:
      - V(started) creates and starts whatever is missing, and makes containers anew whose definition has changed.
      - V(stopped) stops every container. They and their volumes stay.
      - V(restarted) stops, then starts.
      - V(ready) changes nothing, and waits.
    type: str
    choices: [started, stopped, restarted, ready]
    default: started
  ready:
    description:
      - By container, the URL that answers status 200 when it is ready.
    type: dict
    default: {}
  missing_ok:
    description:
      - A compose file that is not there yet, as on a new host, is a warning instead of a failure. It always is in check mode.
    type: bool
    default: false
  timeout:
    description:
      - For how many seconds to wait until all are ready.
    type: int
    default: 120
attributes:
  check_mode:
    description: Changes nothing.
    details: Says which containers would be started or stopped, not whether a changed compose file makes new ones.
    support: partial
  diff_mode:
    description: Shows each container's state before and after.
    support: full
  idempotent:
    description: The other states than V(restarted) do nothing the second time.
    details: O(state=restarted) restarts each time.
    support: partial
requirements:
  - Podman 4, podman-compose 1.1 or later, and the Python library requests on the host
"""

EXAMPLES = r"""
- name: Start the monitoring stack
  flatnet.ops.podman_stack:
    project_dir: /opt/flatnet/monitoring
    ready:
      flatnet-prometheus: http://127.0.0.1:9090/-/ready
      flatnet-alertmanager: http://127.0.0.1:9093/-/ready
"""

RETURN = r"""
containers:
  description: The state of each container of the project, by name.
  returned: success
  type: dict
  sample: {"flatnet-prometheus": "running"}
ready_seconds:
  description: How long it took until all were ready; null where none had to be.
  returned: success
  type: float
  sample: 2.5
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: NotReady
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.stack import Service, Stack, not_running
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport

# One readiness request may hang while a service starts.
REQUEST_SECONDS = 5


def drive(module: AnsibleModule) -> Outcome:
    """Bring the stack to its state."""
    params = module.params
    state = params["state"]
    if not (Path(params["project_dir"]) / params["file"]).is_file() and (params["missing_ok"] or module.check_mode):
        words = f"the stack can be {state} once {params['project_dir']} is there: restore it, then run this again"
        return Outcome(False, words, status="warning", values={"containers": {}, "ready_seconds": None})
    stack = Stack(Effects(), RequestsTransport(REQUEST_SECONDS), Path(params["project_dir"]), params["file"])
    before = stack.services()
    if module.check_mode:
        change = state == "restarted" or differs(state, stack, before)
        words = f"the stack would {'change' if change else 'stay'} for state {state}"
        return Outcome(change, words, values={"containers": statuses(before), "ready_seconds": None})
    if state in ("stopped", "restarted") and any(service.status == "running" for service in before.values()):
        stack.stop()
    seconds = None
    if state in ("started", "restarted"):
        stack.up()
    after = stack.services()
    if state != "stopped":
        resting = not_running(list(after.values()))
        if resting or not after:
            raise NotReady(
                f"every container of {params['project_dir']} was expected to run, and {', '.join(resting) or 'none'} does"
                f"{' not' if resting else ''}: read 'podman logs --tail 50 {resting[0] if resting else 'NAME'}' on this host"
            )
        seconds = stack.wait(params["ready"], params["timeout"])
    changed = state == "restarted" or before != after
    ready = f"; all {len(params['ready'])} readiness checks passed after {seconds:.1f} s" if seconds is not None else ""
    return Outcome(
        changed,
        f"{len(after)} containers of {params['project_dir']} are {state}{ready}",
        numbers={"containers": len(after), **({} if seconds is None else {"ready_seconds": seconds})},
        evidence={"containers": statuses(after)},
        values={"containers": statuses(after), "ready_seconds": seconds},
        diff={"before": lines(before), "after": lines(after)},
    )


def differs(state: str, stack: Stack, services: dict[str, Service]) -> bool:
    """Something would have to be started or stopped."""
    if state == "ready":
        return False
    if state == "stopped":
        return len(not_running(list(services.values()))) < len(services)
    return len(services) < stack.defined() or bool(not_running(list(services.values())))


def statuses(services: dict[str, Service]) -> dict[str, str]:
    """Each container's state."""
    return {name: service.status for name, service in sorted(services.items())}


def lines(services: dict[str, Service]) -> str:
    """The states as text, for diff mode."""
    return "".join(f"{name} {service.id[:12]}: {service.status}\n" for name, service in sorted(services.items()))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "project_dir": {"type": "path", "required": True},
            "file": {"type": "str", "default": "compose.yml"},
            "state": {"type": "str", "choices": ["started", "stopped", "restarted", "ready"], "default": "started"},
            "ready": {"type": "dict", "default": {}},
            "missing_ok": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if not (HAS_REQUESTS or module.check_mode):
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, f"stack {module.params['state']}", lambda: drive(module))


if __name__ == "__main__":
    main()
