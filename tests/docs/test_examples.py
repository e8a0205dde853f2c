# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of every module run as they are printed, one module after the other, on one host."""

from __future__ import annotations

import ast
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Host, Lab
from tests.lab.image.data import GRAFANA_PASSWORD
from tests.lab.machine import wait_until
from tests.lab.play import run
from tests.lab.standins.grafana.client import Client, basic

pytestmark = pytest.mark.docs

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
# A set is opened before it is filled, and complete before somebody looks at it.
FILL = (
    "backup_source_info",
    "containers_backup",
    "generation",
    "grafana_dashboard_backup",
    "prometheus_snapshot",
    "tree_backup",
)
LOOK = (
    "backup_set_info",
    "backup_probe_info",
    "generation_info",
    "loki_query_info",
    "network_probe",
    "podman_stack",
    "tree_restore",
    "containers_restore",
    "grafana_dashboard_restore",
    "site_drill",
    "schedule_info",
    "timers",
    "report",
    "backup_tree_info",
    "run_note",
)
# On a gateway; its tasks come first.
GATEWAY = (
    "gateway_tasks",
    "gateway",
    "gateway_config",
    "gateway_config_info",
    "gateway_info",
    "gateway_logs_info",
    "gateway_firewall",
)
# Only a real Windows host can pass; tests/gateway/test_acceptance.py runs it where it has to fail.
NOT_HERE = ("gateway_acceptance",)


def examples(module: str) -> list[dict[str, Any]]:
    """The tasks that a module shows."""
    for statement in ast.parse((MODULES / f"{module}.py").read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "EXAMPLES":
            shown: list[dict[str, Any]] = yaml.safe_load(ast.literal_eval(statement.value))
            return shown
    raise AssertionError(f"{module} shows no examples")


def has_scraped(host: Host) -> bool:
    """Prometheus has answers that are half a minute old, as the saved ones are."""
    asked = {"query": "sum(increase(prometheus_http_requests_total[1d]))", "time": str(time.time() - 35)}
    return bool(host.get("prometheus", "/api/v1/query", **asked)["data"]["result"])


def vault(host: Host) -> dict[str, object]:
    """What the examples take from the operator's vault."""
    client = Client(host.url("grafana"), basic("admin", GRAFANA_PASSWORD))
    account = client.send("POST", "/api/serviceaccounts", {"name": "examples", "role": "Admin"})
    made = client.send("POST", f"/api/serviceaccounts/{account['id']}/tokens", {"name": "examples"})
    client.close()
    return {"grafana_token": made["key"], "grafana_password": GRAFANA_PASSWORD, "grafana_secrets": {}}


def test_every_module_is_shown() -> None:
    assert {path.stem for path in MODULES.glob("*.py")} == {"backup_set", *FILL, *LOOK, *GATEWAY, *NOT_HERE}


def test_examples_run_as_they_are_printed(tmp_path: Path) -> None:
    opening, *closing = examples("backup_set")
    filling = [task for module in FILL for task in examples(module)]
    looking = [task for module in LOOK for task in examples(module)]
    tasks = [opening, *filling, *closing, *looking]
    book = tmp_path / "examples.yml"

    with Lab(f"examples-{os.getpid()}") as lab:
        host = lab.new_host("wsl1", admin_api=True)
        host.run(["mkdir", "-m", "700", "/backup/flatnet", "/var/lib/flatnet-ops"])
        secrets = {f"vault_{name}": value for name, value in vault(host).items()}
        play = {"hosts": "wsl", "gather_facts": False, "vars": secrets, "tasks": tasks}
        book.write_text(yaml.safe_dump([play], sort_keys=False), "utf-8")
        wait_until("An answer half a minute old", lambda: has_scraped(host), 90)
        ended = run(lab, str(book), tmp_path)

    assert ended.code == 0, ended.output


@pytest.mark.gateway
def test_examples_of_the_gateway_run_as_they_are_printed(tmp_path: Path) -> None:
    tasks = [task for module in GATEWAY for task in examples(module)]
    book = tmp_path / "examples.yml"
    book.write_text(
        yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}], sort_keys=False), "utf-8"
    )

    with Lab(f"shown-{os.getpid()}") as lab:
        live = lab.new_gateway("gateway1").drive / "openresty" / "conf"
        shutil.copytree(live, tmp_path / "files" / "conf")
        ended = run(lab, str(book), tmp_path)

    assert ended.code == 0, ended.output
