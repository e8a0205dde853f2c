# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host can run its own backups."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.schedule import find_means

from tests.unit.plugins.module_utils.conftest import AddProgram

pytestmark = pytest.mark.unit

HELD = '{"/srv/a/ansible_collections": {"flatnet.ops": {"version": "1.0.0"}}, "/srv/b": {"flatnet.ops": {}}}'


def test_host_with_everything(tmp_path: Path, add_program: AddProgram) -> None:
    programs = add_program("ansible-playbook", "").parent
    add_program("ansible-galaxy", f"echo '{HELD}'")

    means = find_means(tmp_path)

    assert means.missing == ()
    assert means.programs == programs
    assert means.collection == Path("/srv/a/ansible_collections/flatnet/ops")


def test_host_without_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    means = find_means(tmp_path)

    assert means.missing == ("ansible-playbook is not installed",)
    assert means.programs is means.collection is None


@pytest.mark.parametrize("listed", ["echo {}", "exit 5", """echo '{"/srv": {"ansible.posix": {}}}'"""])
def test_host_without_the_collection_and_an_inventory(listed: str, tmp_path: Path, add_program: AddProgram) -> None:
    add_program("ansible-playbook", "")
    add_program("ansible-galaxy", listed)

    means = find_means(tmp_path / "inventory")

    assert means.missing == (
        "the collection flatnet.ops is not installed",
        f"there is no inventory {tmp_path / 'inventory'}",
    )
