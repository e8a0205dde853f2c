# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever changes a host or its sets is killed at every effect that it has: nothing is lost, and the next run goes on."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import Host, Lab

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections/flatnet/ops/plugins/module_utils"
DRIVER = "/opt/seam"


@dataclass(frozen=True)
class Trial:
    """What killing one stage at each of its effects has shown, as the driver reports it."""

    stage: str
    stopped: int
    recoveries: int
    seconds: float
    violations: list[str]
    log: list[list[str]]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab(f"seam-{os.getpid()}") as lab:
        host = lab.new_host("wsl1", seed="empty", admin_api=True)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(ROOT / "plugins" / "module_utils", COLLECTION)
            tar.add(ROOT / "tests" / "seam" / "driver", "tests/seam/driver")
        host.run(["mkdir", DRIVER])
        host.run(["tar", "-C", DRIVER, "-x"], input=archive.getvalue())
        yield host


def trials(host: Host, *arguments: str) -> list[Trial]:
    """Let the driver try an operation on the host."""
    done = host.run(["env", "-C", DRIVER, "python3", "-m", "tests.seam.driver", *arguments], check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [Trial(**json.loads(line)) for line in done.stdout.splitlines()]


def named_too_early(log: list[list[str]]) -> list[str]:
    """What was not durable when a set got its name; nothing if all was."""
    effects = [kind for kind, _target in log]
    named = next(number for number, (kind, target) in enumerate(log) if kind == "rename" and ".partial -> " in target)
    manifest = next(number for number, (_kind, target) in enumerate(log) if target.endswith(".manifest.json.new"))
    missing = [] if "syncfs" in effects[:manifest] else ["the data"]
    for own in (".manifest.json.new", ".SHA256SUMS.new"):
        if not [target for kind, target in log[:named] if kind == "fsync" and target.endswith(own)]:
            missing.append(own)
    if effects[named - 1] != "fsync-directory":
        missing.append("the names in the set")
    if effects[named + 1] != "fsync-directory":
        missing.append("the set's own name")
    return missing


@pytest.mark.parametrize(
    "operation",
    [
        ["backup"],
        ["site", "--only", "configuration", "containers", "grafana"],
        ["generation"],
        ["restore"],
        ["configuration", "--only", "swap"],
        ["grafana", "--only", "objects"],
        ["undo", "--only", "undo", "abort"],
        ["prune"],
        ["probe"],
    ],
    ids=lambda words: words[0],
)
def test_a_run_may_be_killed_anywhere(host: Host, operation: list[str]) -> None:
    found = trials(host, *operation)

    assert not [violation for trial in found for violation in trial.violations]
    for trial in found:
        assert trial.stopped == len(trial.log) > 0, f"{trial.stage} was not killed at each of its effects"
        assert trial.recoveries > 0, f"no run has followed a killed {trial.stage}"
        print(
            f"{operation[0]} {trial.stage}: killed {trial.stopped} times, {trial.recoveries} ways on, {trial.seconds} s"
        )
    for trial in found:
        if trial.stage in ("commit", "generation"):
            assert not named_too_early(trial.log)


@pytest.mark.parametrize(
    ("sabotage", "operation"),
    [
        ("unguarded", ["backup", "--only", "paused"]),
        ("unguarded", ["restore", "--only", "swap"]),
        ("forgetful", ["backup", "--only", "paused"]),
        ("forgetful", ["prune"]),
        ("unguarded", ["probe"]),
        ("untidy", ["generation"]),
        ("anew", ["grafana", "--only", "objects"]),
    ],
)
def test_the_driver_notices_code_that_breaks_a_promise(host: Host, sabotage: str, operation: list[str]) -> None:
    assert trials(host, *operation, "--sabotage", sabotage)[-1].violations


def test_a_set_without_syncs_is_noticed(host: Host) -> None:
    (commit,) = trials(host, "backup", "--only", "commit", "--sabotage", "unsynced")

    assert named_too_early(commit.log) == ["the data"]
