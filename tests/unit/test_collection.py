# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ties the collection's parts together: option groups, documentation, and the variables of roles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flatnet.ops.plugins.module_utils.version import VERSION
from packaging.specifiers import SpecifierSet

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = sorted((ROOT / "plugins" / "action").glob("*.py"))
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
ACTION_GROUPS = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text("utf-8"))["action_groups"]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text("utf-8"))


def described(plugin: Path, part: str) -> Any:
    """A part of the documentation of a module or fragment, as YAML."""
    for statement in ast.walk(ast.parse(plugin.read_text("utf-8"))):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == part:
            return yaml.safe_load(ast.literal_eval(statement.value))
    return None


def options(module: Path) -> set[str]:
    """The options that a module documents, those of its fragments included."""
    return set(documented_options(module))


def documented_options(module: Path) -> dict[str, dict[str, Any]]:
    """The options that a module documents with what it says of them, those of its fragments included."""
    documented = described(module, "DOCUMENTATION")
    fragments = [name.rpartition(".")[2] for name in documented.get("extends_documentation_fragment", [])]
    inherited = [described(ROOT / "plugins" / "doc_fragments" / f"{name}.py", "DOCUMENTATION") for name in fragments]
    return {name: option for part in (documented, *inherited) for name, option in part.get("options", {}).items()}


def without_words(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What documentation and an argument spec both say of options."""
    kept = ("type", "elements", "choices", "default", "required")
    bare = {}
    for name, option in options.items():
        inner = option.get("suboptions", option.get("options"))
        nested = {"options": without_words(inner)} if inner else {}
        bare[name] = {**{key: option[key] for key in kept if key in option}, **nested}
    return bare


def entry_points(role: Path) -> dict[str, dict[str, Any]]:
    """The options of each entry point of a role."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text("utf-8"))["argument_specs"]
    return {name: spec.get("options", {}) for name, spec in specs.items()}


def variables(role: Path, kind: str) -> dict[str, Any]:
    """What a role's defaults or vars set."""
    path = role / kind / "main.yml"
    return yaml.safe_load(path.read_text("utf-8")) or {} if path.exists() else {}


def tasks(examples: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks of examples, those in blocks included."""
    for task in examples:
        nested = [inner for part in ("block", "rescue", "always", "tasks") for inner in task.get(part, [])]
        yield from tasks(nested) if nested else [task]


def test_there_is_a_collection() -> None:
    assert MODULES
    assert ROLES
    assert ACTION_GROUPS


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_module_is_documented(module: Path) -> None:
    assert {"check_mode", "diff_mode", "idempotent"} <= described(module, "DOCUMENTATION")["attributes"].keys()
    assert described(module, "RETURN")
    assert any(f"flatnet.ops.{module.stem}" in task for task in tasks(described(module, "EXAMPLES")))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_examples_give_documented_options(module: Path) -> None:
    known = {f"flatnet.ops.{each.stem}": options(each) for each in MODULES}

    for task in tasks(described(module, "EXAMPLES")):
        for name in known.keys() & task.keys():
            assert (task[name] or {}).keys() <= known[name], name


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.stem)
def test_action_takes_the_options_that_are_documented(action: Path) -> None:
    loaded = import_module(f"ansible_collections.flatnet.ops.plugins.action.{action.stem}")
    taken = loaded.ARGUMENTS if hasattr(loaded, "ARGUMENTS") else loaded.ActionModule.all_arguments()

    assert without_words(taken) == without_words(documented_options(ROOT / "plugins" / "modules" / action.name))


def test_hosts_know_the_version_of_the_archive() -> None:
    assert GALAXY["version"] == VERSION


def test_pinned_collections_are_those_that_are_declared() -> None:
    requirements = yaml.safe_load((ROOT / "requirements.yml").read_text("utf-8"))["collections"]
    pins = {pin["name"]: pin["version"] for pin in requirements}

    assert pins.keys() == GALAXY["dependencies"].keys()
    assert not [name for name, pin in pins.items() if pin not in SpecifierSet(GALAXY["dependencies"][name])]


def test_every_group_of_options_is_a_fragment_and_an_action_group() -> None:
    fragments = {path.stem for path in (ROOT / "plugins" / "doc_fragments").glob("*.py")} - {"__init__"}

    assert ACTION_GROUPS.keys() == fragments


@pytest.mark.parametrize("group", ACTION_GROUPS)
def test_action_group_holds_the_modules_with_its_fragment(group: str) -> None:
    with_fragment = {
        module.stem
        for module in MODULES
        if f"flatnet.ops.{group}" in described(module, "DOCUMENTATION").get("extends_documentation_fragment", [])
    }

    assert set(ACTION_GROUPS[group]) == with_fragment


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_declares_the_defaults_that_it_has(role: Path) -> None:
    declared = {
        name: option["default"]
        for options in entry_points(role).values()
        for name, option in options.items()
        if "default" in option
    }

    assert declared == variables(role, "defaults")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_variables_carry_the_name_of_their_role(role: Path) -> None:
    names = {*variables(role, "defaults"), *variables(role, "vars")}.union(*entry_points(role).values())

    assert not [name for name in names if not name.removeprefix("_").startswith(f"{role.name}_")]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.stem)
def test_tags_cannot_leave_out_the_work_of_a_playbook(playbook: Path) -> None:
    plays = [play for play in yaml.safe_load(playbook.read_text("utf-8")) if "tasks" in play]

    assert plays
    for play in plays:
        for task in play["tasks"]:
            assert "always" in (*play.get("tags", []), *task.get("tags", [])), task["name"]
