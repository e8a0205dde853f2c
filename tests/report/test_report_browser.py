# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report in a browser: it fits a phone, loads nothing, and shows one language at a time."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Report
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.render import render
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.verdict import judge

from tests.report import runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"),
)
REPORTS = {
    "drill": judge(runs.DRILL, [runs.drill()], ["wsl2"]),
    "drill beside": judge(runs.DRILL, [runs.drill(steps=(runs.verified(), runs.beside()))], ["wsl2"]),
    "backup": judge(runs.BACKUP, [runs.backup(), runs.backup("wsl3", failure="it broke")], ["wsl1", "wsl2"]),
    "hostile": judge(runs.BACKUP, [runs.hostile()], ["w" * 100]),
}
# A window has a minimum width; an iframe can be as narrow as a phone.
PROBE = """<!doctype html><body><iframe id="page" src="report.html" width="{width}" height="700"></iframe><script>
addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument;
  page.querySelectorAll("details").forEach((one) => one.open = true);
  const shown = (language) => [...page.querySelectorAll("." + language)].filter((one) => one.offsetParent).length;
  const before = [shown("ja"), shown("en")];
  page.getElementById("lang-en").click();
  const after = [shown("ja"), shown("en")];
  const reach = Math.max(...[...page.querySelectorAll("main *, footer *")].map((one) => one.getBoundingClientRect().right));
  document.body.dataset.found = [page.documentElement.scrollWidth, Math.ceil(reach), before, after].join(" ");
}});
</script>"""

pytestmark = [
    pytest.mark.report,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-noto-cjk"),
]


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_page_fits_and_switches_language(report: Report, width: int, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(report, "ja"), "utf-8")
    (tmp_path / "probe.html").write_text(PROBE.format(width=width), "utf-8")

    found = re.search(r'data-found="(\d+) (\d+) (\d+),(\d+) (\d+),(\d+)"', dump_dom(tmp_path / "probe.html", tmp_path))

    assert found, "the probing page did not come to its end"
    scroll_width, reach, ja_before, en_before, ja_after, en_after = map(int, found.groups())
    assert scroll_width <= width
    assert reach <= width
    assert (en_before, ja_after) == (0, 0)
    assert ja_before == en_after > 20


def dump_dom(page: Path, directory: Path) -> str:
    """The page after its scripts have run."""
    argv = [
        str(CHROMIUM),
        *OPTIONS,
        f"--user-data-dir={directory / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ]
    return subprocess.run([*argv, page.as_uri()], capture_output=True, text=True, check=True, timeout=120).stdout
