# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats that everything shares: what docs/formats shows is what the code reads and writes, field by field."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils import grafana_files, run_record, sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.generations import Generations
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_kinds import KINDS
from ansible_collections.flatnet.ops.plugins.module_utils.lease import Lease, Leases
from ansible_collections.flatnet.ops.plugins.module_utils.set_lifecycle import Lifecycle
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area, Manifest, Opening, Probe, Source
from ansible_collections.flatnet.ops.plugins.module_utils.times import iso, set_id
from ansible_collections.flatnet.ops.plugins.module_utils.tree import Item
from ansible_collections.flatnet.ops.plugins.plugin_utils import acceptance, gateway_transaction
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance_checks import CHECKS
from ansible_collections.flatnet.ops.plugins.plugin_utils.report import verdict
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Step, read_record

pytestmark = pytest.mark.unit

DOCS = Path(__file__).resolve().parents[2] / "docs"
FORMATS = DOCS / "formats"
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERDICTS = ("WAITING", "RUNNING", "TAKE_UP", "DONE", "UNDONE", "STRANDED", "REFUSED", "STRANGER")
PARTS = ("grafana", "site", "gateway", "runbook", "fleet")


def page(name: str) -> str:
    """One page of the formats."""
    return (FORMATS / f"{name}.md").read_text("utf-8")


def example(name: str, of: str, language: str = "json") -> str:
    """An example of a page, by what its fence calls it."""
    (text,) = [text for *fence, text in FENCE.findall(page(name)) if fence == [language, of]]
    return str(text)


def shown(name: str, of: str = "") -> Any:
    """An example in JSON."""
    return json.loads(example(name, of))


def table(name: str, of: str) -> list[str]:
    """The names in the first column of a page's table."""
    rows = re.search(rf"^\| {of} \|.*\n\|[-|]+\n((?:\|.*\n)+)", page(name), re.MULTILINE)
    assert rows, f"{name}.md has no table of {of}"
    return [field for row in rows[1].splitlines() for field in re.findall(r"`(\w+)`", row.split("|")[1])]


def names(record: type) -> set[str]:
    """The fields of a dataclass."""
    return {field.name for field in fields(record)}


def act() -> str:
    """What carries out the transactions of the gateway."""
    return gateway_transaction.ACT.read_text("utf-8")


def said(variable: str) -> list[str]:
    """The words that a variable of it holds."""
    found = re.search(rf"^\${variable} = (.*)$", act(), re.MULTILINE)
    assert found
    return re.findall(r"'(\w+)'", found[1])


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        ("backup-set", "manifest", names(Manifest)),
        ("backup-set", "source", names(Source)),
        ("backup-set", "item", names(Item)),
        ("lease", "lease", names(Lease) | {"expires_at"}),
        ("run-record", "field", names(run_record.Step) | {"format", "time", "run"}),
        (
            "gateway-transaction",
            "plan",
            set(json.loads(gateway_transaction.stop(gateway_transaction.Gateway()).dump())),
        ),
        ("gateway-transaction", "step", set(said("Known"))),
        ("gateway-transaction", "event", set(re.findall(r"Add-Entry(?:IfPossible)? \$run '(\w+)'", act()))),
        (
            "gateway-transaction",
            "verdict",
            {value for name, value in vars(gateway_transaction).items() if name in VERDICTS},
        ),
        ("benchmarks", "row", set(shown("benchmarks", "benchmarks.json")["rows"][0])),
        ("faults", "row", set(shown("faults", "faults.json")["rows"][0])),
        ("report", "verdict", {verdict.GOOD, verdict.WARNING, verdict.FAILED}),
        ("report", "id", {question["id"] for question in shown("report")["questions"]}),
    ],
)
def test_a_table_names_every_field_once(name: str, of: str, expected: set[str]) -> None:
    assert sorted(table(name, of)) == sorted(expected)


@pytest.mark.parametrize("name", ["before-restore", "generations"])
def test_what_differs_there_are_fields_of_a_set(name: str) -> None:
    assert set(table(name, "field")) <= names(Manifest) | names(Source)


@pytest.mark.parametrize(
    ("name", "of", "record"),
    [
        ("backup-set", "manifest.json", Manifest),
        ("backup-set", "opening", Opening),
        ("before-restore", "source", Source),
    ],
)
def test_an_example_has_every_field(name: str, of: str, record: type) -> None:
    assert set(shown(name, of)) == names(record)


def test_a_plan_is_written_as_it_is_shown() -> None:
    plan = gateway_transaction.rollout(gateway_transaction.Gateway(), "20261129T001122Z-rollout-3f9a01bc", "g")
    written, printed = json.loads(plan.dump()), shown("gateway-transaction", "plan.json")

    assert {**written, "steps": written["steps"][:2]} == printed


def test_every_source_and_probe_of_the_example_has_every_field() -> None:
    sources = shown("backup-set", "manifest.json")["sources"].values()

    assert all(set(source) == names(Source) for source in sources)
    assert [set(probe) for source in sources for probe in source["probes"]] == [names(Probe)]


def test_a_manifest_is_read_and_written_as_it_is_shown() -> None:
    text = example("backup-set", "manifest.json")
    manifest = sets.load_manifest(text.encode())

    assert json.loads(sets.dump(manifest)) == json.loads(text)
    assert manifest.id == set_id(manifest.started)
    assert all(sets.check_source_name(name) == source.name for name, source in manifest.sources.items())
    assert run_record.check_run(manifest.run)


def test_another_format_of_a_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="its format is 2"):
        sets.load_manifest(json.dumps({**shown("backup-set", "manifest.json"), "format": 2}).encode())


def test_a_listing_is_read_and_written_as_it_is_shown() -> None:
    text = example("backup-set", "listing").encode()
    listing = tree.load(text.splitlines())

    assert tree.dump(listing) == text
    shown_keys = {key for line in text.splitlines() for key in json.loads(line)}
    assert shown_keys == names(Item)
    assert list(listing) == sorted(listing, key=tree.raw)
    assert {item.type for item in listing.values()} <= set(tree.TYPES.values())


def test_the_types_of_a_listing_are_those_that_are_named() -> None:
    row = next(line for line in page("backup-set").splitlines() if line.startswith("| `type` |"))

    assert set(re.findall(r"`([\w-]+)`", row)) - {"type"} == set(tree.TYPES.values())


def test_sums_are_read_and_written_as_they_are_shown() -> None:
    text = example("backup-set", "SHA256SUMS", "text").encode()
    sums = sets.load_sums(text)

    assert b"".join(sets.sum_line(path, digest) for path, digest in sums.items()) == text


def test_an_opening_is_read_and_written_as_it_is_shown(tmp_path: Path) -> None:
    text = example("backup-set", "opening")
    (tmp_path / sets.OPENING).write_text(text, "utf-8")

    assert json.loads(sets.dump(sets.load_opening(tmp_path))) == json.loads(text)


def test_a_source_of_before_restore_is_read_and_written_as_it_is_shown(tmp_path: Path) -> None:
    stored = shown("before-restore", "source")
    path = tmp_path / sets.SOURCES / f"{stored['name']}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(stored), "utf-8")

    assert json.loads(sets.dump(sets.load_sources(tmp_path)[stored["name"]])) == stored


def test_damage_is_read_and_written_as_it_is_shown(tmp_path: Path) -> None:
    damage = shown("backup-set", ".damaged.json")
    run = shown("backup-set", "opening")["run"]
    (tmp_path / sets.DAMAGE).write_text(json.dumps(damage), "utf-8")
    for name in damage:
        (tmp_path / name).mkdir()
        assert Area(tmp_path).damaged(name) == set(damage[name])
    (tmp_path / sets.DAMAGE).unlink()

    assert Lifecycle(Area(tmp_path), Effects()).note_damage(run, "verify", damage)
    assert json.loads((tmp_path / sets.DAMAGE).read_bytes()) == damage


def test_a_lease_is_read_and_written_as_it_is_shown(tmp_path: Path) -> None:
    text = example("lease", ".lease.json")
    stored = json.loads(text)
    path = tmp_path / ".lease.json"
    path.write_text(text, "utf-8")
    leases = Leases(tmp_path, Effects(), lambda: stored["expires"] - stored["seconds"])

    assert leases.current() == Lease(**{name: stored[name] for name in names(Lease)})
    assert stored["expires_at"] == iso(stored["expires"])
    path.write_text(json.dumps({**stored, "host": os.uname().nodename}), "utf-8")
    with leases.claimed(stored["run"], stored["purpose"], stored["seconds"]):
        written = json.loads(path.read_bytes())
    assert written.keys() == stored.keys()
    assert {**written, "host": stored["host"], "boot_id": stored["boot_id"]} == stored


def test_a_run_record_is_read_and_written_as_it_is_shown(tmp_path: Path) -> None:
    stored = shown("run-record")
    (step,) = read_record(json.dumps(stored), stored["run"])
    written = run_record.Step(**{name: stored[name] for name in names(run_record.Step)})
    run_record.RunRecord(tmp_path, stored["run"]).append(written)

    assert {"format": 1, "run": stored["run"], **step.dump()} == stored
    assert {**json.loads((tmp_path / f"{stored['run']}.jsonl").read_bytes()), "time": stored["time"]} == stored


def test_the_steps_of_a_report_are_those_of_a_run_record() -> None:
    steps = [step for host in shown("report")["hosts"] for step in host["steps"]]

    assert steps
    assert [Step.load(step).dump() for step in steps] == steps


def test_a_generation_is_named_by_its_time_and_a_digest_of_everything_but_times(tmp_path: Path) -> None:
    conf, root = tmp_path / "conf", tmp_path / "flatnet"
    (conf / "conf.d").mkdir(parents=True)
    root.mkdir()
    content = b"events {}\n"
    (conf / "nginx.conf").write_bytes(content)
    (conf / "conf.d" / "notes.conf").symlink_to("../nginx.conf")
    generations = Generations(root, "gateway", Effects(), lambda: 1795486200.0)
    owner = f"{os.getuid()}:{os.getgid()}"
    for path, mode in ((conf, 0o755), (conf / "conf.d", 0o700), (conf / "nginx.conf", 0o644)):
        path.chmod(mode)
    taken = generations.take("20261124T021000Z-generation-3f9a", {"gateway": conf}, "timer", "tokyo", "wsl1")
    lines = [
        f"gateway/. 0755 {owner} directory",
        f"gateway/conf.d 0700 {owner} directory",
        f"gateway/conf.d/notes.conf 0777 {owner} -> ../nginx.conf",
        f"gateway/nginx.conf 0644 {owner} {hashlib.sha256(content).hexdigest()}",
    ]
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert taken.id == f"{set_id(1795486200.0)}-{digest[:12]}"
    assert generations.area.manifest(taken.id).purpose == "timer"


def results(name: str) -> list[Any]:
    """The example of a page, and the file in docs once it has been written."""
    written = DOCS / f"{name}.json"
    files = [json.loads(written.read_bytes())] if written.exists() else []
    return [shown(name, f"{name}.json"), *files]


@pytest.mark.parametrize("benchmarks", results("benchmarks"))
def test_benchmarks_hold_what_they_say(benchmarks: dict[str, Any]) -> None:
    assert benchmarks.keys() == {"machine", "rows"}
    for row in benchmarks["rows"]:
        assert sorted(row) == sorted(table("benchmarks", "row"))
        assert row["id"].startswith(tuple(f"{part}-" for part in PARTS))
        ours, peer, ratio = row["ours"], row["peer"], row["ratio"]
        assert (ratio is None) == (not peer)
        if peer:
            # All three are rounded to thousandths.
            assert (ours - 0.0005) / (peer + 0.0005) - 0.0005 <= ratio <= (ours + 0.0005) / (peer - 0.0005) + 0.0005
            assert row["holds"] is (ratio <= row["target"])
        else:
            assert row["holds"] is (ours <= row["target"] * (1 if peer is None else peer))


@pytest.mark.parametrize("faults", results("faults"))
def test_faults_say_what_was_seen(faults: dict[str, Any]) -> None:
    assert faults.keys() == {"rows"}
    for row in faults["rows"]:
        assert sorted(row) == sorted(table("faults", "row"))
        assert row["id"].startswith(tuple(f"{part}-" for part in PARTS))
        assert row["exit"] is None or isinstance(row["exit"], int)
        assert all(isinstance(row[field], str) and row[field] for field in ("injected", "message", "state"))
        assert isinstance(row["holds"], bool)


@pytest.mark.parametrize("name", ["benchmarks", "faults"])
def test_no_row_is_there_twice(name: str) -> None:
    for result in results(name):
        ids = [row["id"] for row in result["rows"]]
        assert sorted(ids) == sorted(set(ids))


def test_the_index_of_a_grafana_is_what_the_code_reads_and_writes(tmp_path: Path) -> None:
    index = tmp_path / grafana_files.INDEX
    index.write_bytes(example("grafana", "index.json").encode())
    entries = grafana_files.load_index(index)

    assert grafana_files.dump_index(entries).decode() == example("grafana", "index.json")
    assert set(table("grafana", "object")) == names(grafana_files.Entry)


def test_every_kind_of_grafanas_objects_has_its_directory_in_the_table() -> None:
    directories = {kind.directory for kind in KINDS if kind.directory}

    assert {name for name in directories if f"`{name}/" in page("grafana")} == directories


def test_the_acceptance_of_a_windows_host_is_what_the_code_writes() -> None:
    stored = shown("windows-acceptance", "acceptance.json")
    result = acceptance.Result(**{**stored, "checks": [acceptance.Verdict(**check) for check in stored["checks"]]})

    assert result.dump() == stored
    assert set(table("windows-acceptance", "file")) == names(acceptance.Result)
    assert set(table("windows-acceptance", "check")) == names(acceptance.Verdict)
    assert result.format == acceptance.FORMAT
    expected = {check.id: check.expected.en for check in CHECKS}
    assert all(check.expected == expected[check.id] for check in result.checks)
