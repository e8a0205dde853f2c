# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a dashboard shown? Its panels' queries, asked as its page asks them: through Grafana, of the data source of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.grafana import Grafana, part
from ansible_collections.flatnet.ops.plugins.module_utils.loki import nanoseconds

PROMETHEUS, LOKI = "prometheus", "loki"
HOUR = 3600
# What a page fills in by the time range that it shows.
_BUILT_IN = {
    "__rate_interval": "5m",
    "__interval": "1m",
    "__interval_ms": "60000",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
    "__auto": "5m",
}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:[.:][^}]*)?\})|\[\[(\w+)(?::\w+)?\]\]")
_EVERYTHING = "$__all"
_BY_RANGE = "$__auto"


@dataclass(frozen=True)
class PanelQuery:
    """A query of a panel; ``source`` is the uid of its data source."""

    source: str
    type: str
    expression: str


@dataclass(frozen=True)
class Panels:
    """The queries of a dashboard, and how many of them only its page can ask."""

    queries: tuple[PanelQuery, ...]
    not_asked: int


class Sources:
    """The data sources and library panels of a server, as dashboards refer to them."""

    def __init__(self, sources: Sequence[Mapping[str, Any]], library: Mapping[str, Mapping[str, Any]]) -> None:
        """:param library: the models of the library panels, by uid"""
        self._by_name = {one[name]: one for one in sources for name in ("name", "uid")}
        self._default = next((one for one in sources if one.get("isDefault")), None)
        self._library = library

    def queries(self, dashboard: Mapping[str, Any]) -> Panels:
        """What the panels of a dashboard ask; those of the form v2 only its page asks."""
        variables = _variables(dashboard)
        found: dict[PanelQuery, None] = {}
        not_asked = sum(map(_queries_v2, (dashboard.get("elements") or {}).values()))
        for panel in self._panels(dashboard):
            for target in panel.get("targets") or ():
                if target.get("hide"):
                    continue
                source = self._source(target.get("datasource") or panel.get("datasource"), variables)
                expression = _filled_in(str(target.get("expr") or ""), variables)
                if source is not None and source["type"] in (PROMETHEUS, LOKI) and expression:
                    found[PanelQuery(source["uid"], source["type"], expression)] = None
                else:
                    not_asked += 1
        return Panels(tuple(found), not_asked)

    def _panels(self, dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for panel in dashboard.get("panels") or ():
            shared = panel.get("libraryPanel")
            yield self._library.get(shared.get("uid", ""), {}) if shared else panel
            yield from self._panels(panel)
        # As dashboards were before Grafana 5, and are until somebody saves them.
        for row in dashboard.get("rows") or ():
            yield from self._panels(row)

    def _source(self, named: Any, variables: Mapping[str, str | None]) -> Mapping[str, Any] | None:
        named = named.get("uid") if isinstance(named, dict) else named
        if not named:
            return self._default
        name = _filled_in(str(named), variables)
        return self._default if name == "default" else self._by_name.get(name or "")


def _queries_v2(element: Mapping[str, Any]) -> int:
    """How many queries an element of a dashboard of the form v2 has."""
    return len(element.get("spec", {}).get("data", {}).get("spec", {}).get("queries", ()))


def has_data(server: Grafana, query: PanelQuery, at: float) -> bool:
    """Whether a query has an answer at an instant.

    :param at: seconds since the epoch
    :raises ServerError: its data source does not answer, or does not understand it
    """
    params = {"query": query.expression}
    if query.type == PROMETHEUS:
        path = "api/v1/query"
        params["time"] = f"{at:.3f}"
    elif query.expression.lstrip().startswith("{"):
        # Lines are not asked for at an instant.
        path = "loki/api/v1/query_range"
        params.update(start=nanoseconds(at - HOUR), end=nanoseconds(at), limit="1")
    else:
        path = "loki/api/v1/query"
        params["time"] = nanoseconds(at)
    with server.understood(f"the query '{query.expression}'"):
        answer = server.get(f"/api/datasources/proxy/uid/{part(query.source)}/{path}", params)
        return bool(answer["data"]["result"])


def _variables(dashboard: Mapping[str, Any]) -> dict[str, str | None]:
    """What the page fills in for each variable at first; None where only the page knows it."""
    values: dict[str, str | None] = dict(_BUILT_IN)
    for one in (dashboard.get("templating") or {}).get("list") or ():
        current = (one.get("current") or {}).get("value")
        chosen = [str(value) for value in (current if isinstance(current, list) else [current]) if value is not None]
        if chosen == [_EVERYTHING]:
            values[one["name"]] = one.get("allValue") or ".*"
        elif len(chosen) > 1:
            values[one["name"]] = f"({'|'.join(map(_literally, chosen))})"
        else:
            values[one["name"]] = next(iter(chosen), None)
        if str(values[one["name"]]).startswith(_BY_RANGE):
            values[one["name"]] = _BUILT_IN["__auto"]
    return values


def _literally(value: str) -> str:
    """A value within an expression in the quotes of a query, where a backslash is written as two."""
    return re.sub(r"([$^*{}\[\]'+?.()|])", r"\\\\\1", value.replace("\\", "\\" * 4))


def _filled_in(text: str, variables: Mapping[str, str | None]) -> str | None:
    """A text with the values of its variables; None if one has none. What is no variable, as ``$1``, stays."""
    missing = []

    def value(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()))
        filled = variables.get(name, None if name.startswith("__") else found[0])
        if filled is None:
            missing.append(name)
        return filled or ""

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled
