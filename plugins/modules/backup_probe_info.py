#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask an application the questions that a backup set holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_probe_info
short_description: Ask an application the questions that a backup set holds
version_added: 1.0.0
description:
  - When a source is saved, its application is asked questions with lasting answers, which the set keeps. This module asks them
    again, of an application that runs on restored data, and compares.
  - Whom it asks, and how, follows from the source's kind in the set. Prometheus must give the same numbers. Loki must run with
    the schema that its data was written with, and give at least as many lines, for lines that were not flushed when they were
    counted may show later. Alertmanager must know every silence that has not ended, unchanged. Grafana must have the same objects,
    and at least as many of its panels' queries must have data.
  - A question whose answer does not last until now is not asked. These are a silence that has ended, and a count of lines that
    Loki had not flushed when the set was made and that are by now so old that it shows flushed lines only.
  - Fails if one answer is not what it was. Waits for nothing; M(flatnet.ops.podman_stack) waits until an application is ready.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.backup_root
  - flatnet.ops.backup_area
  - flatnet.ops.grafana_login
  - flatnet.ops.recorded
options:
  id:
    description:
      - The set that holds the questions.
    type: str
    default: latest
  source:
    description:
      - The source that they belong to.
    type: str
    default: prometheus
  url:
    description:
      - The address of the application, as seen from the host. Where not given, its own port on V(127.0.0.1), which is 9090 for
        Prometheus, 3100 for Loki, 9093 for Alertmanager and 3000 for Grafana.
    type: str
  timeout:
    description:
      - For how many seconds to wait for an answer.
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
  - module: flatnet.ops.podman_stack
  - module: flatnet.ops.prometheus_snapshot
  - module: flatnet.ops.tree_backup
"""

EXAMPLES = r"""
- name: Does the restored Prometheus say what it said before?
  flatnet.ops.backup_probe_info:
    id: latest
"""

RETURN = r"""
probes:
  description: Every question with both answers.
  returned: success
  type: list
  elements: dict
  contains:
    question:
      description: The query, or which silence.
      type: str
    at:
      description: The instant asked about, or when the silence ends, in seconds since the epoch.
      type: float
    expected:
      description: The answer in the set.
      type: str
    answer:
      description: The answer now; null where it was not asked.
      type: str
    same:
      description: Whether the answer is as good as the one in the set; null where it was not asked.
      type: bool
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: ProbeDiffers
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.applications import Application, application
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NoSuchSet, ProbeDiffers
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import (
    GRAFANA_LOGIN,
    URL,
    connect,
    transport,
)
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_source import GrafanaApplication
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.sets import AREAS, Area
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS, RequestsTransport


def ask(module: AnsibleModule) -> Outcome:
    """Ask again and compare."""
    params = module.params
    area = Area(Path(params["root"]), params["area"])
    name = area.find(params["id"])
    source = area.manifest(name).sources.get(params["source"])
    if source is None or not (source.probes or "schema" in source.facts):
        raise NoSuchSet(
            f"set {area.path(name)} was expected to hold questions for {params['source']}, and holds none: use a set that was"
            " made with them"
        )
    server = questioned(source.kind, params)
    probes = server.ask(source.probes, source.facts)
    asked = [one for one in probes if one.same is not None]
    different = [one for one in asked if not one.same]
    not_asked = len(probes) - len(asked)
    if different:
        first = different[0]
        raise ProbeDiffers(
            f"'{first.question}' at {first.at:.0f} was expected to give {first.expected} as in set {name}, and {server.url}"
            f" answers {first.answer} ({len(different)} of {len(asked)} answers differ): the data is not whole, restore another"
            " set"
        )
    return Outcome(
        False,
        status="good" if asked or "schema" in source.facts else "warning",
        message=f"{server.url} gives the same answers as before to all {len(asked)} questions of set {name}"
        + (f"; {not_asked} more have no lasting answer and were not asked" if not_asked else ""),
        numbers={
            "asked": len(asked),
            "same": len(asked),
            "different": 0,
            **({"not_asked": not_asked} if not_asked else {}),
            **samples(source.facts),
        },
        evidence={"probes": [asdict(one) for one in probes]},
        values={"probes": [asdict(one) for one in probes]},
    )


def questioned(kind: str, params: Mapping[str, Any]) -> Application:
    """The application that a kind of source belongs to."""
    effects = Effects()
    if kind != GrafanaApplication.kind:
        return application(kind, params["url"], RequestsTransport(params["timeout"]), effects)
    login = params["grafana"]
    server = connect(params["url"] or URL, login, transport(login, params["timeout"]), effects)
    return GrafanaApplication(server, login["workers"])


def samples(facts: Mapping[str, Any]) -> dict[str, float]:
    """How many samples the set holds, if it counts any."""
    return {"samples": facts["samples"]} if "samples" in facts else {}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            "root": {"type": "path", "default": "/backup/flatnet"},
            "area": {"type": "str", "choices": list(AREAS), "default": "sets"},
            "id": {"type": "str", "default": "latest"},
            "source": {"type": "str", "default": "prometheus"},
            "url": {"type": "str"},
            "timeout": {"type": "float", "default": 60},
            "grafana": GRAFANA_LOGIN,
        },
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, module.params["source"], lambda: ask(module))


if __name__ == "__main__":
    main()
