# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module over SSH against one host: foretold, carried out, repeated, refused, and the host's state read independently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.test_examples import GATEWAY, NOT_HERE
from tests.lab import Lab
from tests.lab.play import run

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[2]
TARGETS = Path(__file__).parent / "targets"
PLAY = TARGETS / "play.yml"
# What acts on a Windows host is tried by tests/gateway.
MODULES = sorted({path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - {*GATEWAY, *NOT_HERE})


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(f"targets-{os.getpid()}") as lab:
        lab.new_host("wsl1")
        yield lab


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a YAML document, which its tasks are among."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from mappings(item)


def test_there_are_modules() -> None:
    assert MODULES


@pytest.mark.parametrize("module", MODULES)
def test_target_foretells_what_its_module_does(module: str) -> None:
    files = (TARGETS / module / "tasks").glob("*.yml")
    tasks = [task for path in files for task in mappings(yaml.safe_load(path.read_text("utf-8")))]

    assert any(f"flatnet.ops.{module}" in task and task.get("check_mode") for task in tasks)


@pytest.mark.parametrize("target", MODULES)
def test_target(target: str, lab: Lab, tmp_path: Path) -> None:
    ended = run(lab, str(PLAY), tmp_path, target=target)

    assert ended.code == 0, ended.output
