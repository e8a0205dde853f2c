# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page: everything is said in both languages, and nothing that a host says becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.flatnet.ops.plugins.module_utils.throwaway_gateway import OUTCOMES
from ansible_collections.flatnet.ops.plugins.plugin_utils.acceptance import FAILED, NOT_TRIED, VERIFIED
from ansible_collections.flatnet.ops.plugins.plugin_utils.report import labels
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Report
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.render import render
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import judge

from tests.report import runs

pytestmark = pytest.mark.unit

REPORTS = {
    "drill": judge(runs.DRILL, [runs.drill()], ["wsl2"]),
    "drill beside": judge(runs.DRILL, [runs.drill(steps=(runs.verified(), runs.beside()))], ["wsl2"]),
    "drill of two": judge(runs.DRILL, [runs.drill(), runs.drill("wsl3", steps=(), failure="lost")], ["wsl2", "wsl3"]),
    "backup": judge(runs.BACKUP, [runs.backup(off_host_copy=True)], ["wsl1"]),
    "acceptance": judge(runs.ACCEPTANCE, [runs.drill("gateway1", steps=(runs.accepted(),))], ["gateway1"]),
    "nobody": judge(runs.BACKUP, [], ["wsl1"]),
    "check mode": judge(runs.BACKUP, [runs.backup(steps=(), check_mode=True)], ["wsl1"]),
    "hostile": judge(runs.BACKUP, [runs.hostile(), runs.hostile("wsl<2>")], ["<wsl3>"]),
}


class Page(HTMLParser):
    """What a browser would make of the page."""

    VOID = frozenset({"meta", "input", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.balanced = True
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        self.links.update(value or "" for name, value in attrs if name in ("src", "href", "srcset", "action"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close it again."""
        self.balanced &= bool(self.open) and self.open.pop() == tag


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("language", ["ja", "en"])
def test_page_is_one_sound_file(report: Report, language: str) -> None:
    html = render(report, language)
    page = Page(html)

    assert page.balanced
    assert page.open == []
    assert page.links == {"report.json"}
    assert not page.tags & {"script", "b", "i", "u", "link", "img", "iframe"}
    assert not re.search(r"url\(|@import", html)
    assert f'id="lang-{language}" aria-label="{"日本語" if language == "ja" else "English"}" checked' in html


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_word_is_there_in_both_languages(report: Report) -> None:
    html = render(report, "ja")

    assert html.count('class="ja"') == html.count('class="en"')
    japanese = re.findall(r'<span class="ja" lang="ja">([^<]*)</span>', html)
    english = re.findall(r'<span class="en" lang="en">([^<]*)</span>', html)
    assert all(japanese)
    assert not [text for text in english if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text)]


def test_messages_are_text() -> None:
    html = render(REPORTS["hostile"], "en")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html


def test_verdict_and_answers_come_first() -> None:
    html = render(REPORTS["drill"], "en")

    places = [
        html.index(words)
        for words in ("Success, with a warning", "Could it be restored?", "22.5 s", "NO OFF-HOST COPY")
    ]
    assert places == sorted(places)
    assert places[-1] < html.index("Verify the whole set")


def test_the_page_of_a_drill_ends_with_a_record_to_sign() -> None:
    html = render(REPORTS["drill beside"], "en")
    record = html[html.index('<section class="sign">') : html.index("</main>")]

    assert "2026-11-24 02:15:01" in record
    assert "20261124T014502Z" in record
    assert "wsl2" in record
    assert "20.0 s" in record
    assert all(question.en in record for question in labels.QUESTIONS.values())
    assert record.count(labels.WORDS["name"].en) == record.count(labels.WORDS["signature"].en) == 2
    assert 'class="sign"' not in render(REPORTS["backup"], "en")


def test_every_route_is_shown_with_what_became_of_it() -> None:
    html = render(REPORTS["drill beside"], "en")

    assert set(labels.OUTCOMES) == set(OUTCOMES)
    for words in (
        "172.28.112.10:3000 -&gt; flatnet-grafana",
        "127.0.0.1:8500 is on Windows itself",
        "conf.d/gateway.conf:14",
    ):
        assert f">{words}<" in html


def test_every_check_is_shown_with_what_was_expected_and_found() -> None:
    html = render(REPORTS["acceptance"], "en")

    assert set(labels.CHECKED) == {VERIFIED, FAILED, NOT_TRIED}
    for words in (
        "C:\\ProgramData\\flatnet and the scripts in it are open to administrators and the system alone",
        "C:\\ProgramData\\flatnet is open to S-1-1-0",
        "not tried",
        "unheard_of",
    ):
        assert f">{words}<" in html


def test_every_recorded_step_has_a_title() -> None:
    for step in (*runs.drill_steps(), *runs.backup().steps, runs.beside(), runs.accepted()):
        title = labels.step_title(step)
        assert step.module not in title.en
        assert title.ja != title.en


def test_every_recorded_number_has_a_label() -> None:
    names = {
        name
        for step in (*runs.drill_steps(), *runs.backup().steps, runs.beside(), runs.accepted())
        for name in step.numbers
    }
    counted = {f"routes_{outcome}" for outcome in OUTCOMES}

    assert names | counted | {"lines", "seconds"} <= set(labels.NUMBERS)


@pytest.mark.parametrize(
    ("name", "value", "shown", "exact"),
    [
        ("bytes", 1023, "1,023 B", ""),
        ("bytes", 1024, "1.0 KiB", "1,024 B"),
        ("linked_bytes", 1610612736, "1.5 GiB", "1,610,612,736 B"),
        ("bytes", 5e15, "4547.5 TiB", "5,000,000,000,000,000 B"),
        ("pause_seconds", 0.118, "0.12 s", ""),
        ("ready_seconds", 725.1, "12 min 5 s (725.1 s)", ""),
        ("files", 1234567, "1,234,567", ""),
        ("some_share", 0.25, "0.25", ""),
    ],
)
def test_numbers_have_units(name: str, value: float, shown: str, exact: str) -> None:
    number = labels.number(name, value)

    assert (number.value.en, number.exact) == (shown, exact)


@pytest.mark.parametrize(
    ("status", "evidence", "numbers", "title"),
    [
        ("good", {}, {"files": 1, "bytes": 1, "verified": 1}, "Copy volume a beside its target, and compare"),
        ("good", {"containers": []}, {}, "Swap volume a in"),
        ("good", {}, {}, "Confirm volume a"),
        ("warning", {}, {}, "Put volume a back as it was"),
        ("failed", {}, {}, "Restore volume a"),
    ],
)
def test_phases_of_a_restore(status: str, evidence: dict[str, object], numbers: dict[str, float], title: str) -> None:
    step = runs.step(1, "tree_restore", "volumes/a", "", status=status, evidence=evidence, numbers=numbers)

    assert labels.step_title(step).en == title
