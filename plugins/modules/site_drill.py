#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prove beside the running site that a set can be restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: site_drill
short_description: Prove beside the running site that a set can be restored
version_added: 1.0.0
description:
  - Restores a set into a throwaway copy of the site on the same host, asks the copy what the site is asked, and removes it.
  - The containers of the site are not paused, stopped or changed. What the copy consists of is removed on every way out, also if
    this module is killed.
  - The copy's containers run the images of the site's own on copies of the set's data, in networks that are joined to nothing of
    the host. They reach neither the host nor anybody else; a restored Alertmanager notifies nobody.
  - Each container keeps the addresses and names that it has on the site. What it mounts is replaced by what the set holds of it.
    Other mounts are left out; a container that writes to such a mount is not started, and named.
  - The restored gateway configuration is run by this host's nginx in the same networks, and each location of each server is
    asked. Good is every answer with a status below 500. A location that leads to a program or to files on Windows is named and
    not asked, and so is a location with a regular expression.
  - Prometheus, Loki and Alertmanager are asked the questions that the set holds, and Loki for lines. Where the set holds source
    C(grafana), the restored Grafana is asked for all its objects, and for the data of its dashboards' panels. A different answer
    fails the module after everything is removed.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.grafana_login
  - flatnet.ops.recorded
options:
  run:
    description:
      - The run that the copy belongs to.
    required: true
  id:
    description:
      - The set, or V(latest).
    type: str
    default: latest
  urls:
    description:
      - Where an application answers on the site, as seen from the host.
    type: dict
    default: {}
    suboptions:
      prometheus:
        description: Prometheus.
        type: str
        default: http://127.0.0.1:9090
      loki:
        description: Loki.
        type: str
        default: http://127.0.0.1:3100
      alertmanager:
        description: Alertmanager.
        type: str
        default: http://127.0.0.1:9093
      grafana:
        description: Grafana.
        type: str
        default: http://127.0.0.1:3000
  skip:
    description:
      - Containers of the site that are not copied, as those that do nothing without other machines.
    type: list
    elements: str
    default: []
  ready_seconds:
    description:
      - How long an application, and then the gateway's routes, may take to answer.
    type: int
    default: 120
  limit_seconds:
    description:
      - After this time the copy is removed although the module has not ended.
    type: int
    default: 7200
  timeout:
    description:
      - Seconds to wait for one answer of an application.
    type: float
    default: 60
attributes:
  check_mode:
    description: Says which sources would be restored, and whether there is room for them; makes nothing.
    support: full
  diff_mode:
    description: Nothing of the host is different afterwards.
    support: none
  idempotent:
    description: Each run restores anew.
    support: none
requirements:
  - Podman 4 or later, iproute2, iptables and systemd on the host
  - nginx with its Lua module on the host, if the set holds a gateway configuration
  - requests on the host
seealso:
  - module: flatnet.ops.backup_set_info
  - module: flatnet.ops.backup_probe_info
"""

EXAMPLES = r"""
- name: Prove that the newest set can be restored
  flatnet.ops.site_drill:
    run: 20261124T021500Z-drill-77b2
    id: latest
    grafana:
      token: "{{ vault_grafana_token }}"
"""

RETURN = r"""
id:
  description: The set.
  returned: success
  type: str
  sample: 20261124T021500Z
containers:
  description: The containers that were started on restored data.
  returned: when the copy was made
  type: list
  elements: str
  sample: [flatnet-prometheus, flatnet-loki]
left_out:
  description: The containers that were not started, each with the reason.
  returned: when the copy was made
  type: dict
  sample: {"app-mail": "left out by the operator"}
answers:
  description:
    - By C(gateway), C(dashboards) and C(logs), the answer V(yes), V(no), or V(absent) where the set holds nothing to ask about,
      with words, seconds and numbers.
  returned: when the copy was made
  type: dict
routes:
  description: The routes of the gateway, each with what became of it.
  returned: when the copy was made
  type: list
  elements: dict
  contains:
    route:
      description: What a visitor asks for.
      type: str
    where:
      description: File and line of the configuration.
      type: str
    outcome:
      description: V(good), V(failed), V(windows), V(elsewhere) or V(not_asked).
      type: str
    words:
      description: The answer, or why there is none.
      type: str
    upstream:
      description: Where the gateway sends it, and which container that is.
      type: str
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: ProbeDiffers
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.applications import URLS
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady, ProbeDiffers
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import GRAFANA_LOGIN, URL, transport
from ansible_collections.flatnet.ops.plugins.module_utils.lease import Leases
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area
from ansible_collections.flatnet.ops.plugins.module_utils.site_drill import (
    GRAFANA,
    Drilled,
    GrafanaAsker,
    Limits,
    SiteDrill,
)
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport
from ansible_collections.flatnet.ops.plugins.module_utils.undo import undo_leftovers


def drill(module: AnsibleModule) -> Outcome:
    """Hold the backup directory, so that nobody changes the set, and drill."""
    params = module.params
    effects = Effects()
    area = Area(Path(params["root"]))
    name = area.find(params["id"])
    login = params["grafana"]
    asker = GrafanaAsker(transport(login, params["timeout"]), login)
    work = SiteDrill(effects, Podman(), RequestsTransport(params["timeout"]), asker, params["run"])
    if module.check_mode:
        words = f"set {name} would be restored beside the site: {', '.join(work.sources(area, name))}"
        return Outcome(True, words, values={"id": name})
    limits = Limits(params["ready_seconds"], params["limit_seconds"])
    with Leases(area.root, effects).visited(params["run"], "drill", list):
        undo_leftovers(effects)
        drilled = work.carry_out(area, name, params["urls"], params["skip"], limits)
    return outcome(name, drilled)


def outcome(name: str, drilled: Drilled) -> Outcome:
    """What a drill has shown, for the record and the result."""
    asked = [one for _source, one in drilled.asked if one.same is not None]
    answers = {
        kind: {"answer": one.answer, "words": one.words, "seconds": round(one.seconds, 3), **one.numbers}
        for kind, one in (("gateway", drilled.gateway), ("dashboards", drilled.dashboards), ("logs", drilled.logs))
    }
    values: dict[str, Any] = {
        "id": name,
        "containers": list(drilled.containers),
        "left_out": dict(drilled.left_out),
        "answers": answers,
        "routes": [asdict(visit) for visit in drilled.gateway.visits],
    }
    problems, warnings = drilled.problems, drilled.warnings
    done = (
        f"set {name} was restored beside the site, with {len(drilled.containers)} containers, in {drilled.seconds:.1f} s, and"
        " removed again"
    )
    error = ProbeDiffers if drilled.different else NotReady
    failure = {"failed": True, "error": error.__name__} if problems else {}
    return Outcome(
        True,
        "; ".join([f"{done}, but it is not as it was" if problems else done, *(problems or warnings)]),
        status="failed" if problems else "warning" if warnings else "good",
        numbers={
            "files": drilled.files,
            "bytes": drilled.bytes,
            "verified": drilled.files,
            "containers": len(drilled.containers),
            "asked": len(asked),
            "same": sum(one.same is True for one in asked),
            "different": len(drilled.different),
            "restore_seconds": round(drilled.seconds, 3),
        },
        evidence={
            **values,
            "sources": list(drilled.sources),
            "not_running": dict(drilled.not_running),
            "silent": dict(drilled.silent),
            "probes": [{"source": source, **asdict(one)} for source, one in drilled.asked],
        },
        values={**values, **failure},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "id": {"type": "str", "default": "latest"},
            "urls": {
                "type": "dict",
                "default": {},
                "options": {kind: {"type": "str", "default": url} for kind, url in {**URLS, GRAFANA: URL}.items()},
            },
            "skip": {"type": "list", "elements": "str", "default": []},
            "ready_seconds": {"type": "int", "default": 120},
            "limit_seconds": {"type": "int", "default": 7200},
            "timeout": {"type": "float", "default": 60},
            "grafana": GRAFANA_LOGIN,
        },
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, "site", lambda: drill(module))


if __name__ == "__main__":
    main()
