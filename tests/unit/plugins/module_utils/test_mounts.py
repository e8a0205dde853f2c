# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What saves each mount: by a rule, by itself, by another source, on purpose not, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.errors import UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.mounts import (
    DIRECTORY,
    FILE,
    MISSING,
    OTHER,
    Decision,
    Exclusion,
    Place,
    Rule,
    SavedElsewhere,
    SavedTree,
    Wishes,
    decide,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import Container, Mount

pytestmark = pytest.mark.unit

VOLUMES = Path("/var/lib/containers/storage/volumes")
ROOTS = (Path("/srv"), Path("/opt"), Path("/home"))


def files_of(volume: str) -> Path:
    """Where the files of a volume lie."""
    return VOLUMES / volume / "_data"


def container(name: str, *mounts: str) -> Container:
    """A container that mounts volumes and paths, each of them as itself or, after a colon, at a place inside."""
    found = []
    for mount in mounts:
        source, _colon, inside = mount.partition(":")
        volume = None if source.startswith(("/", "./")) else source
        found.append(Mount(files_of(source) if volume else Path(source), Path(inside or "/in"), volume))
    return Container(name, "running", tuple(found), "image")


@dataclass
class Host:
    """What is on the host: paths that are not directories, links, and volumes that no container mounts."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()

    def look(self, path: Path) -> Place:
        """Follow a path."""
        assert path.is_absolute()
        leads = Path(self.links.get(str(path), path))
        return Place(leads, self.kinds.get(str(leads), DIRECTORY))

    def decide(self, *containers: Container, **wishes: Any) -> Decision:
        """Decide about these containers, the bind roots being as usual."""
        wanted = Wishes(**{"bind_roots": ROOTS, **wishes})
        return decide(containers, wanted, self.look, lambda name: files_of(name) if name in self.volumes else None)


def saved(decision: Decision) -> dict[str, str]:
    """The sources, with what they are about."""
    return {tree.source: str(tree.rule.target) for tree in decision.trees}


def outcome(decision: Decision) -> dict[str, dict[str, str]]:
    """The mounts that are no sources, with the words about them."""
    parts = {"covered": decision.covered, "excluded": decision.excluded, "uncovered": decision.uncovered}
    return {name: {one.mount: one.words for one in judged} for name, judged in parts.items() if judged}


def test_no_containers_use_nothing() -> None:
    assert Host().decide() == Decision((), (), (), (), ())


def test_volumes_and_directories_below_a_root_are_saved_without_a_rule() -> None:
    anonymous = "ab" * 32

    decision = Host().decide(
        container("web", "/srv/app/uploads", "notes"), container("db", "notes", anonymous), container("idle")
    )

    assert decision.trees == (
        SavedTree(f"volumes/{anonymous}", Rule(anonymous), files_of(anonymous), ("db",)),
        SavedTree("volumes/notes", Rule("notes"), files_of("notes"), ("db", "web")),
        SavedTree("volumes/srv.app.uploads", Rule(Path("/srv/app/uploads")), Path("/srv/app/uploads"), ("web",)),
    )
    assert outcome(decision) == {}
    assert {(tree.rule.consistency, tree.rule.max_pause, tree.rule.before) for tree in decision.trees} == {
        ("paused", 60, None)
    }


@pytest.mark.parametrize(
    ("mount", "kind", "why"),
    [
        ("/etc/app", DIRECTORY, "is not below a bind root (/srv, /opt, /home)"),
        ("/srv", DIRECTORY, "is not below a bind root (/srv, /opt, /home)"),
        ("/srvs/app", DIRECTORY, "is not below a bind root (/srv, /opt, /home)"),
        ("/", DIRECTORY, "is not below a bind root (/srv, /opt, /home)"),
        ("/srv/app.conf", FILE, "is a single file, which only a rule for a directory around it covers"),
        ("/etc/app.conf", FILE, "is a single file, which only a rule for a directory around it covers"),
        ("/srv/gone", MISSING, "does not exist"),
        ("/etc/gone", MISSING, "does not exist"),
        ("/srv/an app", DIRECTORY, "makes no name of a source, so that it needs a rule with a source_name"),
        ("/srv/東京", DIRECTORY, "makes no name of a source, so that it needs a rule with a source_name"),
    ],
)
def test_what_is_not_saved_by_itself_is_named_with_the_reason(mount: str, kind: str, why: str) -> None:
    decision = Host({mount: kind}).decide(container("web", mount), container("db", mount))

    assert saved(decision) == {}
    assert outcome(decision) == {"uncovered": {mount: why}}
    assert decision.uncovered[0].containers == ("db", "web")


def test_a_newline_in_a_path_is_shown_on_one_line() -> None:
    assert list(outcome(Host().decide(container("web", "/srv/a\nb")))["uncovered"]) == ["/srv/a\\nb"]


def test_without_bind_roots_each_directory_needs_a_rule() -> None:
    decision = Host().decide(container("web", "/srv/app"), bind_roots=())

    assert outcome(decision) == {"uncovered": {"/srv/app": "is not below a bind root (there is none)"}}


@pytest.mark.parametrize("mount", ["gone", "plugin"])
def test_a_volume_without_files_is_named(mount: str) -> None:
    hidden = Container("web", "exited", (Mount(Path(), Path("/in"), "plugin"),), "image")
    host = Host({str(files_of("gone")): MISSING})

    decision = host.decide(hidden if mount == "plugin" else container("web", "gone"))

    assert saved(decision) == {}
    assert outcome(decision) == {"uncovered": {mount: "does not exist"}}


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        ("/srv/app/socket", OTHER),
        ("/dev/shm", DIRECTORY),
        ("/proc", DIRECTORY),
        ("/run/podman", DIRECTORY),
        ("/run/gone.sock", MISSING),
        ("/sys/fs/cgroup", DIRECTORY),
        ("/etc/hostname", FILE),
        ("/etc/hosts", FILE),
        ("/etc/localtime", FILE),
        ("/etc/resolv.conf", FILE),
        ("/etc/timezone", FILE),
        ("/var/run/app", DIRECTORY),
        ("./localhost/image", DIRECTORY),
    ],
)
def test_what_is_no_data_is_not_mentioned(mount: str, kind: str) -> None:
    links = {"/var/run/app": "/run/app", "/etc/localtime": "/usr/share/zoneinfo/Asia/Tokyo"}

    assert Host({mount: kind}, links).decide(container("web", mount)) == Decision((), (), (), (), ())


def test_what_only_resembles_a_system_path_is_data() -> None:
    decision = Host().decide(container("web", "/running/app", "/etc/hosts.d", "/development"))

    assert list(outcome(decision)["uncovered"]) == ["/development", "/etc/hosts.d", "/running/app"]


def test_the_outer_directory_covers_what_lies_in_it() -> None:
    host = Host({"/srv/app/conf.yml": FILE})

    decision = host.decide(
        container("a", "/srv/app/data/deep"),
        container("b", "/srv/app", "/srv/app/conf.yml"),
        container("c", "/srv/app2"),
    )

    assert saved(decision) == {"volumes/srv.app": "/srv/app", "volumes/srv.app2": "/srv/app2"}
    assert decision.trees[0].containers == ("a", "b")
    assert outcome(decision) == {
        "covered": {"/srv/app/data/deep": "volumes/srv.app", "/srv/app/conf.yml": "volumes/srv.app"}
    }


def test_an_outer_directory_that_is_not_saved_covers_nothing() -> None:
    decision = Host().decide(container("exporter", "/"), container("web", "/srv/app"))

    assert saved(decision) == {"volumes/srv.app": "/srv/app"}
    assert list(outcome(decision)["uncovered"]) == ["/"]
    assert decision.trees[0].containers == ("exporter", "web")


def test_links_are_followed_before_paths_are_compared() -> None:
    host = Host(
        links={
            "/srv/link": "/srv/app",
            "/opt/out": "/mnt/disk",
            "/home": "/data/home",
            "/opt/stack": "/usr/stack",
            "/srv/cache": "/var/cache",
            "/srv/db": "/mnt/db",
        }
    )

    decision = host.decide(
        container("a", "/srv/link", "/usr/stack/conf"),
        container("b", "/srv/app", "/var/cache"),
        container("c", "/opt/out", "/data/home/me", "/mnt/db"),
        rules=(Rule(Path("/srv/db")),),
        exclusions=(Exclusion(Path("/srv/cache"), "a cache"),),
        elsewhere=(SavedElsewhere("stack", Path("/opt/stack")),),
    )

    assert {tree.source: str(tree.place) for tree in decision.trees} == {
        "volumes/data.home.me": "/data/home/me",
        "volumes/srv.app": "/srv/app",
        "volumes/srv.db": "/mnt/db",
    }
    assert decision.trees[1].containers == ("a", "b")
    assert outcome(decision) == {
        "covered": {"/usr/stack/conf": "stack"},
        "excluded": {"/var/cache": "a cache"},
        "uncovered": {"/opt/out": "is not below a bind root (/srv, /opt, /home)"},
    }


def test_the_files_of_a_volume_are_saved_under_its_name() -> None:
    decision = Host().decide(
        container("a", str(files_of("notes"))),
        container("b", "notes", str(files_of("notes") / "x")),
        bind_roots=(VOLUMES,),
    )

    assert saved(decision) == {"volumes/notes": "notes"}
    assert decision.trees[0].containers == ("a", "b")
    assert outcome(decision) == {"covered": {str(files_of("notes") / "x"): "volumes/notes"}}


def test_rules_say_how_to_save() -> None:
    dump = {"container": "db", "command": ["dump"]}
    rules = (
        Rule("notes", consistency="stopped", max_pause=5),
        Rule(Path("/etc/app"), before=dump, after=dump, command_timeout=9),
        Rule(Path("/mnt/an app\n"), source_name="odd", consistency="hot"),
    )

    decision = Host({"/etc/app/conf.yml": FILE}).decide(
        container("db", "notes", "/etc/app/conf.yml", "/mnt/an app\n"), rules=rules
    )

    assert decision.trees == (
        SavedTree("volumes/etc.app", rules[1], Path("/etc/app"), ("db",)),
        SavedTree("volumes/notes", rules[0], files_of("notes"), ("db",)),
        SavedTree("volumes/odd", rules[2], Path("/mnt/an app\n"), ("db",)),
    )
    assert outcome(decision) == {"covered": {"/etc/app/conf.yml": "volumes/etc.app"}}


def test_a_rule_saves_what_no_container_mounts() -> None:
    decision = Host(volumes=("spare",)).decide(rules=(Rule("spare"), Rule(Path("/srv/spare"))))

    assert saved(decision) == {"volumes/spare": "spare", "volumes/srv.spare": "/srv/spare"}
    assert [tree.containers for tree in decision.trees] == [(), ()]


def test_a_rule_within_a_saved_directory_stays_a_source() -> None:
    decision = Host().decide(
        container("a", "/srv/app", "/srv/app/db/wal"), rules=(Rule(Path("/srv/app/db"), consistency="stopped"),)
    )

    assert saved(decision) == {"volumes/srv.app": "/srv/app", "volumes/srv.app.db": "/srv/app/db"}
    assert outcome(decision) == {"covered": {"/srv/app/db/wal": "volumes/srv.app.db"}}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("unheard_of"), r"^volume 'unheard_of' was expected on this host.* no container uses it"),
        (Rule(Path("/srv/gone")), r"^directory '/srv/gone' was expected on this host.* no container uses it"),
        (Rule(Path("/srv/file")), r"^directory '/srv/file' was expected to be one, .*name the directory that holds it"),
        (Rule(Path("/srv/socket")), r"^directory '/srv/socket' was expected to be one"),
        (Rule(Path("/")), r"^'/' was expected to be an absolute path below '/'"),
        (Rule(Path("srv/app")), r"^'srv/app' was expected to be an absolute path below '/'"),
        (Rule(Path("/srv/an app")), r"^source 'volumes/srv.an app' was expected to be named like"),
        (Rule(Path("/srv/app"), source_name="../app"), r"^source 'volumes/../app' was expected to be named like"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_by_name(rule: Rule, words: str) -> None:
    host = Host({"/srv/gone": MISSING, "/srv/file": FILE, "/srv/socket": OTHER})

    with pytest.raises(UsageError, match=words):
        host.decide(container("web", "/srv/app", "notes"), rules=(rule,))


@pytest.mark.parametrize("rule", [Rule("notes"), Rule(Path("/srv/gone"))])
def test_a_rule_about_what_a_container_misses_leaves_it_uncovered(rule: Rule) -> None:
    host = Host({str(files_of("notes")): MISSING, "/srv/gone": MISSING, "/srv/gone/deep": MISSING})

    decision = host.decide(container("web", "notes", "/srv/gone/deep"), rules=(rule,))

    assert saved(decision) == {}
    assert outcome(decision) == {"uncovered": {"notes": "does not exist", "/srv/gone/deep": "does not exist"}}


@pytest.mark.parametrize(
    ("containers", "rules", "words"),
    [
        (
            [container("a", "/srv/a/b", "/srv/a.b")],
            (),
            r"volumes/srv\.a\.b .*is directory '/srv/a.b' as well as directory",
        ),
        ([container("a", "srv.app", "/srv/app")], (), r"is directory '/srv/app' as well as volume 'srv.app'"),
        (
            [container("a", "app")],
            (Rule(Path("/srv/x"), source_name="app"),),
            r"is directory '/srv/x' as well as volume 'app'",
        ),
        ([container("a", "app")], (Rule("app"), Rule("app")), r"is volume 'app' as well as volume 'app'"),
    ],
)
def test_two_sources_of_one_name_are_refused_by_name(
    containers: list[Container], rules: tuple[Rule, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Host().decide(*containers, rules=rules)


def test_what_other_sources_save_is_covered() -> None:
    elsewhere = (
        SavedElsewhere("stack", Path("/opt/flatnet/monitoring")),
        SavedElsewhere("prometheus", Path("/prometheus"), "prometheus"),
        SavedElsewhere("loki", Path("/loki"), "loki"),
    )
    conf = "/opt/flatnet/monitoring/prometheus.yml"

    decision = Host({conf: FILE}).decide(
        container("prometheus", "metrics:/prometheus", f"{conf}:/etc/prometheus.yml"),
        container("web", "metrics", "/opt/flatnet", "logs:/loki"),
        elsewhere=elsewhere,
    )

    assert saved(decision) == {"volumes/logs": "logs", "volumes/opt.flatnet": "/opt/flatnet"}
    assert outcome(decision) == {"covered": {"metrics": "prometheus", conf: "stack"}}
    assert {one.mount: one.containers for one in decision.covered}["metrics"] == ("prometheus", "web")


def test_a_part_that_another_source_saves_does_not_cover_the_volume() -> None:
    elsewhere = (SavedElsewhere("loki", Path("/loki/chunks"), "loki"), SavedElsewhere("loki", Path("/layer"), "loki"))

    decision = Host().decide(container("loki", "logs:/loki"), elsewhere=elsewhere)

    assert saved(decision) == {"volumes/logs": "logs"}


def test_a_mount_within_one_that_another_source_saves_is_not_covered() -> None:
    decision = Host().decide(
        container("p", "metrics:/prometheus", "/mnt/wal:/prometheus/wal"),
        elsewhere=(SavedElsewhere("prometheus", Path("/prometheus"), "p"),),
    )

    assert outcome(decision)["covered"] == {"metrics": "prometheus"}
    assert list(outcome(decision)["uncovered"]) == ["/mnt/wal"]


def test_what_is_missing_within_a_saved_tree_is_named_all_the_same() -> None:
    host = Host({"/srv/app/gone": MISSING, "/opt/stack/gone": MISSING, "/etc/app/gone": MISSING})

    decision = host.decide(
        container("web", "/srv/app", "/srv/app/gone", "/opt/stack/gone", "/etc/app/gone"),
        rules=(Rule(Path("/etc/app")),),
        elsewhere=(SavedElsewhere("stack", Path("/opt/stack")),),
    )

    assert list(outcome(decision)["uncovered"]) == ["/etc/app/gone", "/opt/stack/gone", "/srv/app/gone"]


def test_a_rule_goes_before_another_source() -> None:
    decision = Host().decide(
        container("p", "metrics:/prometheus"),
        rules=(Rule("metrics"),),
        elsewhere=(SavedElsewhere("prometheus", Path("/prometheus"), "p"),),
    )

    assert saved(decision) == {"volumes/metrics": "metrics"}
    assert outcome(decision) == {}


def test_exclusions_keep_out_with_their_reasons() -> None:
    exclusions = (
        Exclusion("scratch", "made anew"),
        Exclusion(Path("/srv/cache"), "a cache"),
        Exclusion(Path("/etc/gone.conf"), "optional"),
        Exclusion(Path("/"), "metrics only"),
    )

    decision = Host({"/etc/gone.conf": MISSING}).decide(
        container("web", "scratch", "/srv/cache", "/srv/cache/deep", "/srv/app", "/etc/gone.conf", "/", "/etc/app"),
        exclusions=exclusions,
    )

    assert saved(decision) == {"volumes/srv.app": "/srv/app"}
    assert outcome(decision) == {
        "excluded": {
            "scratch": "made anew",
            "/srv/cache": "a cache",
            "/srv/cache/deep": "a cache",
            "/etc/gone.conf": "optional",
            "/": "metrics only",
        },
        "uncovered": {"/etc/app": "is not below a bind root (/srv, /opt, /home)"},
    }
    assert decision.idle == ()


def test_an_exclusion_that_keeps_nothing_out_is_told() -> None:
    held = (
        Exclusion("unheard_of", "typo"),
        Exclusion(Path("/srv/unheard_of"), "typo"),
        Exclusion(Path("/srv/app/cache"), "is in a source"),
        Exclusion("notes", "has a rule"),
        Exclusion(Path("/opt/stack/conf"), "is saved elsewhere"),
        Exclusion(Path("/run/app"), "is no data"),
    )
    effective = Exclusion(Path("/srv/tmp"), "a cache")

    decision = Host().decide(
        container("web", "/srv/app", "/srv/app/cache", "notes", "/opt/stack/conf", "/run/app", "/srv/tmp"),
        rules=(Rule("notes"),),
        exclusions=(*held[:2], effective, *held[2:]),
        elsewhere=(SavedElsewhere("stack", Path("/opt/stack")),),
    )

    assert decision.idle == held
    assert outcome(decision) == {
        "covered": {"/srv/app/cache": "volumes/srv.app", "/opt/stack/conf": "stack"},
        "excluded": {"/srv/tmp": "a cache"},
    }
