#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Save Prometheus' data into the open backup set."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prometheus_snapshot
short_description: Save Prometheus' data into the open backup set
version_added: 1.0.0
description:
  - Takes a snapshot through Prometheus' admin API, the samples still in memory included, copies it into the set that this run
    has opened with M(flatnet.ops.backup_set), and verifies the copy.
  - Blocks that an earlier set has already become hard links to it.
  - Prometheus has no way to delete a snapshot, and a forgotten one fills the disk. So it is removed on every way out; if the
    module is killed, a guard on the host does it at once.
  - Asks the server questions with lasting answers, and keeps question and answer in the set for
    M(flatnet.ops.backup_probe_info). These are the number of series in the middle of up to ten blocks, the scrapes of the last
    hour, and the questions in O(probes).
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
  url:
    description:
      - The address of the server, as seen from the host.
    type: str
    default: http://127.0.0.1:9090
  container:
    description:
      - The container in which the server runs. Its mounts tell where the data directory lies on the host.
    type: str
  data_dir:
    description:
      - The data directory on the host, for a server that runs in no container.
    type: path
  probes:
    description:
      - More questions to ask. Each must have an answer.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description:
          - A PromQL query that gives one number.
        type: str
        required: true
      at:
        description:
          - The instant to ask about, in seconds since the epoch. Half a minute ago where not given.
        type: float
  timeout:
    description:
      - For how many seconds to wait for an answer of the server.
    type: float
    default: 60
attributes:
  check_mode:
    description: Asks the server whether it would allow a snapshot, and finds its data directory; takes none.
    support: full
  diff_mode:
    description: A copy into a new set has no state before it.
    support: none
  idempotent:
    description: Takes a snapshot each time that it is called.
    support: none
requirements:
  - Prometheus with C(--web.enable-admin-api)
  - rsync, systemd, and the Python library requests on the host
seealso:
  - module: flatnet.ops.backup_set
  - module: flatnet.ops.backup_probe_info
"""

EXAMPLES = r"""
- name: Save the Prometheus of the monitoring stack
  flatnet.ops.prometheus_snapshot:
    run: 20261124T021500Z-backup-3f9a
    container: flatnet-prometheus

- name: Save it with a question of our own
  flatnet.ops.prometheus_snapshot:
    run: 20261124T021500Z-backup-3f9a
    container: flatnet-prometheus
    probes:
      - query: sum(increase(prometheus_http_requests_total[1d]))
"""

RETURN = r"""
saved:
  description: What the set holds of Prometheus, as its manifest says it.
  returned: success, outside of check mode
  type: dict
  contains:
    files:
      description: Regular files.
      type: int
    bytes:
      description: Their size.
      type: int
    linked_bytes:
      description: How much of it is shared with earlier sets.
      type: int
    facts:
      description: The number of blocks, and of the samples in them.
      type: dict
      sample: {"blocks": 12, "samples": 1534000}
    probes:
      description: The questions and their answers.
      type: list
      elements: dict
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: AdminApiOff
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Question
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Podman
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus import Prometheus
from ansible_collections.flatnet.ops.plugins.module_utils.prometheus_snapshot import SOURCE, PrometheusSnapshot
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport


def save(module: AnsibleModule) -> Outcome:
    """Take, copy, verify, remove."""
    params = module.params
    effects = Effects()
    snapshot = PrometheusSnapshot(
        effects,
        Prometheus(params["url"], RequestsTransport(params["timeout"]), effects),
        Podman(),
        params["container"],
        Path(params["data_dir"]) if params["data_dir"] else None,
        [Question(probe["query"], probe["at"]) for probe in params["probes"]],
    )
    if module.check_mode:
        return Outcome(True, f"a snapshot of {params['url']} would be taken, in {snapshot.data()}")
    area = Area(Path(params["root"]), params["area"])
    with Lifecycle(area, effects).filling(params["run"]) as filling:
        saved = snapshot.save(filling)
    samples = saved.facts["samples"]
    return Outcome(
        True,
        f"Prometheus is saved: {samples:,} samples in {saved.facts['blocks']} blocks, {saved.bytes:,} bytes, of which"
        f" {saved.linked_bytes:,} are shared with earlier sets; {len(saved.probes)} answers kept to compare",
        status="good" if saved.probes else "warning",
        numbers={
            "files": saved.files,
            "bytes": saved.bytes,
            "linked_bytes": saved.linked_bytes,
            "samples": samples,
            "probes": len(saved.probes),
        },
        evidence={"software": dict(saved.software), "probes": [asdict(probe) for probe in saved.probes]},
        values={"saved": asdict(saved)},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "run": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "url": {"type": "str", "default": "http://127.0.0.1:9090"},
            "container": {"type": "str"},
            "data_dir": {"type": "path"},
            "probes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"query": {"type": "str", "required": True}, "at": {"type": "float"}},
            },
            "timeout": {"type": "float", "default": 60},
        },
        mutually_exclusive=[("container", "data_dir")],
        required_one_of=[("container", "data_dir")],
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, SOURCE, lambda: save(module))


if __name__ == "__main__":
    main()
