# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's HTML: one page without external assets or scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.plugin_utils.report import labels
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import Report, parse_time
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.questions import set_of
from jinja2 import Environment, FileSystemLoader, StrictUndefined

# The evidence that has a table of its own.
TABLES = ("checks", "probes", "routes")


def render(report: Report, language: str) -> str:
    """Render a report.

    :param language: ``ja`` or ``en``, the one shown first; the page holds both
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(labels=labels, instant=instant, parse_time=parse_time, rest_of=rest_of, set_of=set_of)
    return environment.get_template("report.html.j2").render(report=report, language=language)


def instant(seconds: float) -> str:
    """Seconds since the epoch for people."""
    return labels.utc(datetime.fromtimestamp(seconds, timezone.utc))


def rest_of(evidence: Mapping[str, Any]) -> str:
    """The rest of the evidence, as text."""
    rest = {name: value for name, value in evidence.items() if name not in TABLES and value not in (None, "", [], {})}
    return json.dumps(rest, indent=2, ensure_ascii=False, sort_keys=True) if rest else ""
