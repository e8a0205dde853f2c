# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs to make reports of: what the modules record, with times that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport, Step

DRILL = "20261124T021500Z-drill-3f9a"
BACKUP = "20261124T021500Z-backup-3f9a"
ACCEPTANCE = "20261124T021500Z-windows_acceptance-3f9a"
BEGIN = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def step(
    after: float,
    module: str,
    name: str,
    message: str,
    *,
    status: str = "good",
    changed: bool = False,
    seconds: float = 1.0,
    numbers: Mapping[str, float] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Step:
    """A step that ended so many seconds after the begin."""
    time = BEGIN + timedelta(seconds=after)
    return Step(time, module, name, status, changed, message, seconds, numbers or {}, evidence or {})


def verified(damaged: int = 0) -> Step:
    """The set was read."""
    return step(
        4,
        "backup_set_info",
        "verify",
        "set /backup/flatnet/20261124T014502Z is whole: 1,234 files, 315,621,376 bytes, every sum and attribute as saved",
        status="failed" if damaged else "good",
        seconds=2.1,
        numbers={"files": 1234, "bytes": 315621376, "damaged": damaged},
        evidence={"path": "/backup/flatnet/20261124T014502Z"},
    )


def staged(source: str, after: float, files: int = 100, verified: int | None = None) -> Step:
    """A source was copied and compared."""
    return step(
        after,
        "tree_restore",
        source,
        f"{source} of set 20261124T014502Z is staged: {files} files, 157,810,688 bytes, all as they were saved",
        changed=True,
        seconds=2.5,
        numbers={"files": files, "bytes": 157810688, "verified": files if verified is None else verified},
    )


def swapped(source: str, after: float) -> Step:
    """A source was put in place."""
    return step(
        after,
        "tree_restore",
        source,
        f"{source} of set 20261124T014502Z is in place at /var/lib/containers/storage/volumes/{DIGEST}/_data; app restarted; the"
        f" tree before it waits in /var/lib/containers/storage/volumes/{DIGEST}/.flatnet-ops-20261124T021500Z-drill-3f9a.old",
        changed=True,
        seconds=1.2,
        evidence={"containers": ["app"]},
    )


def ready(after: float = 20) -> Step:
    """The stack came up."""
    return step(
        after,
        "podman_stack",
        "stack ready",
        "3 containers of /opt/flatnet/monitoring are ready; all 2 readiness checks passed after 2.4 s",
        seconds=2.6,
        numbers={"containers": 3, "ready_seconds": 2.412},
        evidence={"containers": {"flatnet-alertmanager": "running", "flatnet-prometheus": "running"}},
    )


def answered(after: float = 27.5, different: int = 0) -> Step:
    """The application was asked."""
    probes = [
        {"question": "count(up)", "at": 1795486500.0, "expected": "3", "answer": "3"},
        {
            "question": 'sum(count_over_time({__name__=~".+"}[81d]))',
            "at": 1795486500.0,
            "expected": "1574640",
            "answer": "1574640",
        },
    ]
    return step(
        after,
        "backup_probe_info",
        "prometheus",
        "http://127.0.0.1:9090 gives the same answers as before to all 2 questions of set 20261124T014502Z",
        seconds=0.31,
        numbers={"asked": 2, "same": 2 - different, "different": different, "samples": 1574640},
        evidence={"probes": probes},
    )


def confirmed(source: str, after: float) -> Step:
    """What was there before is kept."""
    return step(
        after,
        "tree_restore",
        source,
        f"{source} is confirmed; what was there before is kept in /backup/flatnet/before-restore/.20261124T021503Z.partial",
        changed=True,
        seconds=0.4,
    )


SOURCES = ("prometheus", "volumes/app_notes_data")


def drill_steps() -> tuple[Step, ...]:
    """A drill that proves everything: the first copy begins 5 s after the begin, the last answer comes at 27.5 s."""
    return (
        step(1, "backup_set", "set opened", "set 20261124T021503Z is open", changed=True, seconds=0.05),
        verified(),
        *(staged(source, 7.5 + 4 * index) for index, source in enumerate(SOURCES)),
        *(swapped(source, 14 + 2 * index) for index, source in enumerate(SOURCES)),
        ready(),
        answered(),
        *(confirmed(source, 28 + index) for index, source in enumerate(SOURCES)),
        step(
            30,
            "backup_set",
            "set committed",
            "set /backup/flatnet/before-restore/20261124T021503Z is complete",
            changed=True,
        ),
        step(31, "backup_set", "set aborted", "this run has no open set", seconds=0.02),
    )


def drill(host: str = "wsl2", **given: Any) -> HostReport:
    """A host that was drilled."""
    return HostReport(**{"host": host, "site": "tokyo", "steps": drill_steps(), **given})


def beside(
    numbers: Mapping[str, float] | None = None, answers: Mapping[str, str] | None = None, **evidence: Any
) -> Step:
    """A set was restored beside the site, and the copy asked: the last answer came 20 s after the begin."""
    given = {"gateway": "yes", "dashboards": "absent", "logs": "yes", **(answers or {})}
    found: dict[str, dict[str, Any]] = {
        "gateway": {"routes_good": 2, "routes_failed": 0, "routes_windows": 1, "seconds": 1.5},
        "dashboards": {"seconds": 0.0},
        "logs": {"asked": 4, "same": 4, "lines": 5, "seconds": 0.25},
    }
    routes = [
        {
            "route": "http://grafana.flatnet.example/",
            "where": "conf.d/grafana.conf:5",
            "outcome": "good",
            "words": "302 Found",
            "upstream": "172.28.112.10:3000 -> flatnet-grafana",
        },
        {
            "route": "http://gateway.flatnet.example/reports/",
            "where": "conf.d/gateway.conf:14",
            "outcome": "windows",
            "words": "127.0.0.1:8500 is on Windows itself",
            "upstream": "",
        },
    ]
    return step(
        26,
        "site_drill",
        "site",
        "set 20261124T014502Z was restored beside the site, with 6 containers, in 20.0 s, and removed again",
        changed=True,
        seconds=21,
        numbers={
            "files": 200,
            "bytes": 315621376,
            "verified": 200,
            "containers": 6,
            "asked": 11,
            "same": 11,
            "different": 0,
            "restore_seconds": 20.0,
            **(numbers or {}),
        },
        evidence={
            "id": "20261124T014502Z",
            "sources": ["gateway", "prometheus", "loki", "volumes/app_notes_data"],
            "containers": ["flatnet-prometheus", "flatnet-loki"],
            "left_out": {"app-mail": "left out by the operator"},
            "not_running": {},
            "silent": {},
            "answers": {name: {"answer": given[name], "words": f"about {name}", **found[name]} for name in given},
            "routes": routes,
            "probes": [
                {
                    "source": "loki",
                    "question": "count",
                    "at": 1795486500.0,
                    "expected": "9",
                    "answer": "9",
                    "same": True,
                }
            ],
            **evidence,
        },
    )


def backup(host: str = "wsl1", **given: Any) -> HostReport:
    """A host that was backed up."""
    steps = (
        step(0.3, "backup_set", "set opened", "set 20261124T021500Z is open", changed=True, seconds=0.05),
        step(
            6,
            "prometheus_snapshot",
            "prometheus",
            "Prometheus is saved: 1,574,640 samples in 7 blocks",
            changed=True,
            seconds=5.2,
            numbers={"files": 29, "bytes": 2841002, "linked_bytes": 2102374, "samples": 1574640, "probes": 2},
            evidence={
                "probes": [{"question": "count(up)", "at": 1795486500.0, "answer": "3"}],
                "software": {"prometheus": "2.42.0"},
            },
        ),
        step(
            9,
            "tree_backup",
            "volumes/app_notes_data",
            "volume app_notes_data is saved: 1,205 files, 312,780,374 bytes; app-notes paused for 0.12 s",
            changed=True,
            seconds=3,
            numbers={"files": 1205, "bytes": 312780374, "linked_bytes": 0, "pause_seconds": 0.118},
            evidence={"consistency": "paused", "changed_while_copied": []},
        ),
        step(10, "backup_set", "set committed", "set /backup/flatnet/20261124T021500Z is complete", changed=True),
    )
    return HostReport(**{"host": host, "site": "tokyo", "steps": steps, **given})


def accepted() -> Step:
    """A Windows host has shown what it is."""
    checks = [
        {"id": "lua", "verdict": "verified", "found": "nginx version: openresty/1.27.1.1, with Lua"},
        {"id": "closed", "verdict": "failed", "found": "C:\\ProgramData\\flatnet is open to S-1-1-0"},
        {"id": "unheard_of", "verdict": "not_tried", "found": "check mode changes nothing"},
    ]
    return step(
        9,
        "gateway_acceptance",
        "acceptance",
        "1 of 3 checks are verified; closed has failed; not tried: unheard_of",
        status="failed",
        changed=True,
        numbers={"checks_verified": 1, "checks_failed": 1, "checks_not_tried": 1},
        evidence={"checks": checks},
    )


def hostile(host: str = "wsl1") -> HostReport:
    """A host whose messages try to be markup, and do not fit on a phone."""
    long = "x" * 300
    return HostReport(
        host=host,
        site="<b>site</b>",
        steps=(
            step(1, "tree_backup", f"volumes/{long}", "<script>alert(1)</script>", status="failed", seconds=812.5),
            step(
                2,
                "unheard_of",
                "<i>step</i>",
                f"/var/lib/{long}",
                evidence={"<u>key</u>": [long], "path": "日本 語/改\n行"},
            ),
            step(
                3,
                "backup_set_info",
                "list",
                "a",
                status="warning",
                numbers={"odd_number": 0.5, "bytes": 1023, "linked_bytes": 5e12},
            ),
        ),
        failure=f"Save a volume: <script>alert(2)</script> {long}",
    )
