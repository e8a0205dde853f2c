# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: check and diff mode, what it returns, and what it says when it fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.site import SECRETS, WRITING, a_dashboard, a_panel, files, fill, save, servers
from tests.lab.standins.grafana.control import Fault
from tests.lab.standins.grafana.server import Running

pytestmark = pytest.mark.grafana
ROOT = Path(__file__).parents[2]


def output(module: str, server: Running, given: Mapping[str, Any], *options: str) -> str:
    """Run a module on this machine; what the operator sees."""
    login = {"url": server.url, "user": "admin", "password": server.password}
    name = f"flatnet.ops.grafana_dashboard_{module}"
    argv = ["ansible", "localhost", "-m", name, "-a", json.dumps({**login, **given}), *options]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


def returned(text: str) -> dict[str, Any]:
    """What a module has returned, failed or not."""
    return dict(json.loads(text.partition(" => ")[2]))


def shown(server: Running, tree: Path, *options: str) -> str:
    """Restore files; what the operator sees."""
    return output("restore", server, {"src": str(tree), "secrets": SECRETS}, *options)


def run(server: Running, tree: Path, *options: str) -> dict[str, Any]:
    """Restore files; what the module returns."""
    return returned(shown(server, tree, *options))


def backup(server: Running, dest: Path, *options: str, **given: Any) -> dict[str, Any]:
    """Write files; what the module returns."""
    return returned(output("backup", server, {"dest": str(dest), **given}, *options))


@pytest.fixture
def old_and_new(tmp_path: Path) -> Iterator[tuple[Running, Running, Path]]:
    """A Grafana with content, a new one, and the files of the first."""
    with servers(tmp_path, "old", "new") as (old, new):
        fill(old.client())
        save(old, tmp_path / "tree")
        yield old, new, tmp_path / "tree"


def test_check_mode_says_what_a_run_then_does_once(old_and_new: tuple[Running, Running, Path]) -> None:
    _old, new, tree = old_and_new
    checked = run(new, tree, "--check")
    assert checked["changed"]
    assert new.control.count(WRITING) == 0
    done = run(new, tree)
    assert done["objects"] == checked["objects"]
    assert done["secrets_used"] == [
        "contact_points/hook/password",
        "data_sources/prom/basicAuthPassword",
        "users/hanako/password",
    ]
    assert {one["kind"] for one in done["locked"]} == {
        "contact_points",
        "mute_timings",
        "policies",
        "rules",
        "templates",
    }
    again = run(new, tree)
    assert not again["changed"]
    assert again["objects"]["dashboards"]["unchanged"] == done["objects"]["dashboards"]["created"]


def test_check_and_diff_show_what_would_be_lost_and_a_run_refuses_it(
    old_and_new: tuple[Running, Running, Path],
) -> None:
    old, _new, tree = old_and_new
    newer = a_dashboard("gw2", "Gateway", "odd", [a_panel("newer")])
    newer["dashboard"]["version"] = 1
    old.client().send("POST", "/api/dashboards/db", newer)
    lines = [line.split() for line in shown(old, tree, "--check", "--diff").splitlines()]
    assert ["-", '"title":', '"newer",'] in lines
    assert ["+", '"title":', '"up",'] in lines
    refused = run(old, tree)
    assert refused["error"] == "WouldOverwrite"
    assert [one["key"] for one in refused["would_overwrite"]] == ["gw2"]
    assert run(old, tree, "--check")["would_overwrite"] == refused["would_overwrite"]


def test_failed_run_returns_what_was_done_and_what_was_not(old_and_new: tuple[Running, Running, Path]) -> None:
    _old, new, tree = old_and_new
    new.client().send("POST", "/api/folders", {"uid": "other", "title": "Spare"})
    failed = run(new, tree)
    assert failed["error"] == "RestoreIncomplete"
    assert [one["key"] for one in failed["refused"]] == ["spare"]
    assert failed["done"]
    assert failed["not_tried"]


def test_no_secret_is_shown(old_and_new: tuple[Running, Running, Path]) -> None:
    _old, new, tree = old_and_new
    assert "hanako-pass" not in shown(new, tree, "--diff", "-vvv")


def a_change(server: Running) -> None:
    """Let a dashboard come, another one change, and a third go."""
    client = server.client()
    newer = a_dashboard("gw2", "Gateway", "odd", [a_panel("newer")])
    newer["dashboard"]["version"] = 1
    for body in (newer, a_dashboard("fresh", "Fresh", "spare")):
        client.send("POST", "/api/dashboards/db", body)
    client.send("DELETE", "/api/dashboards/uid/d0")


GONE = ["dashboard_permissions/Board 0--d0.json", "dashboards/Spare--spare/Board 0--d0.json"]
COME = ["dashboard_permissions/Fresh--fresh.json", "dashboards/Spare--spare/Fresh--fresh.json"]


def test_backup_returns_what_there_is_what_has_changed_and_what_no_api_gives(
    old_and_new: tuple[Running, Running, Path],
) -> None:
    old, _new, tree = old_and_new
    again = backup(old, tree)
    assert (again["changed"], again["added"], again["changed_files"], again["removed"]) == (False, [], [], [])
    a_change(old)
    before = files(tree)
    checked = backup(old, tree, "--check")
    assert files(tree) == before
    done = backup(old, tree)
    for result in (checked, done):
        assert (result["changed"], result["added"], result["removed"]) == (True, COME, GONE)
        assert len(result["changed_files"]) == 1
        assert result["changed_files"][0].startswith("dashboards/a_b c_d%")
    assert done["objects"] == json.loads((tree / "index.json").read_bytes())["kinds"]
    assert done["seconds"].keys() >= done["objects"].keys()
    assert done["secrets_needed"]["data_sources"]["prom"]["fields"] == ["basicAuthPassword"]
    not_saved = json.loads((tree / "not_saved.json").read_bytes())["not_saved"]
    # Ansible hides the password wherever it stands.
    assert done["not_saved"] == [line.replace(old.password, "********") for line in not_saved]


def test_backup_shows_what_has_come_changed_and_gone(old_and_new: tuple[Running, Running, Path]) -> None:
    old, _new, tree = old_and_new
    a_change(old)
    lines = output("backup", old, {"dest": str(tree)}, "--check", "--diff").splitlines()
    assert {line for line in lines if line.startswith(("+", "-")) and "there" in line} == {
        *(f"+{path}: there" for path in COME),
        *(f"-{path}: there" for path in GONE),
    }
    assert len([line for line in lines if line.startswith("+dashboards/a_b") and line.endswith(": changed")]) == 1


def test_backup_that_is_refused_returns_a_sentence_and_leaves_the_files(
    old_and_new: tuple[Running, Running, Path],
) -> None:
    old, new, tree = old_and_new
    before = files(tree)
    fewer = backup(new, tree)
    assert (fewer["error"], "run again with force=true" in fewer["msg"]) == ("SourceRefused", True)
    in_url = backup(old, tree, url=old.url.replace("//", "//admin:s3cret@"))
    assert (in_url["error"], "s3cret" in in_url["msg"]) == ("UsageError", False)
    assert backup(old, tree, kinds=[])["error"] == "UsageError"
    old.control.faults.append(Fault(path="/api/dashboards/uid/gw2$", status=200, body='{"meta": {}}'))
    broken = backup(old, tree)
    assert broken["error"] == "ReadingIncomplete"
    assert "dashboards 'Gateway' (gw2), 'dashboard' was expected" in broken["msg"]
    assert files(tree) == before


def test_backup_of_some_kinds_leaves_the_others(old_and_new: tuple[Running, Running, Path]) -> None:
    old, _new, tree = old_and_new
    a_change(old)
    done = backup(old, tree, kinds=["dashboards"])
    assert (done["added"], done["removed"]) == (COME[1:], GONE[1:])
    backup(old, tree)
    kept = files(tree)
    save(old, tree.with_name("fresh"))
    assert kept == files(tree.with_name("fresh"))
