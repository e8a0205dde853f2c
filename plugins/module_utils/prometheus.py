# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus' HTTP API as the workflows need it."""

from __future__ import annotations

from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.errors import AdminApiOff, AgentMode, ServerError
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Answer, Transport

NO_DATA = "no data"


class Prometheus:
    """One Prometheus server."""

    def __init__(self, url: str, transport: Transport, effects: Effects) -> None:
        """:param url: its address, with a path prefix where it has one: ``http://127.0.0.1:9090``"""
        self.url = url.rstrip("/")
        self._transport = transport
        self._effects = effects

    def version(self) -> str:
        """The server's version."""
        return str(self._get("/api/v1/status/buildinfo")["version"])

    def flags(self) -> dict[str, str]:
        """The flags it was started with."""
        return {str(name): str(value) for name, value in self._get("/api/v1/status/flags").items()}

    def snapshot(self) -> str:
        """Take a snapshot of the database, head included.

        :return: its name
        :raises AdminApiOff: the server does not allow it
        :raises AgentMode: the server has no database
        """
        answer = self._effects.http(self._transport, "POST", f"{self.url}/api/v1/admin/tsdb/snapshot")
        return str(self._data(answer)["name"])

    def query(self, question: str, at: float) -> str:
        """Ask for one number at one instant.

        :param question: PromQL that yields at most one sample
        :param at: seconds since the epoch
        :return: the value as the server writes it; ``no data`` where there is none
        """
        return one_number(self.url, question, self._get("/api/v1/query", {"query": question, "time": f"{at:.3f}"}))

    def _get(self, path: str, params: dict[str, str] | None = None) -> Any:
        return self._data(self._transport.request("GET", self.url + path, params))

    def _data(self, answer: Answer) -> Any:
        body = answer.json()
        if not isinstance(body, dict) or "status" not in body:
            raise ServerError(
                f"{answer.method} {answer.url} was expected to answer as Prometheus does, and answered status"
                f" {answer.status} with '{answer.text[:80]}': check the address"
            )
        if body["status"] == "success":
            return body["data"]
        words = f"{body.get('errorType')}: {body.get('error')}"
        where = f"{answer.method} {answer.url} answered status {answer.status} ({words})"
        if "admin APIs disabled" in words:
            raise AdminApiOff(
                f"{where}: its admin API is off; start Prometheus with --web.enable-admin-api"
                " (playbook flatnet.ops.setup adds it)"
            )
        if answer.status == 422 and "agent" in words.lower():
            raise AgentMode(f"{where}: it runs as an agent and keeps no database; save the server that it writes to")
        raise ServerError(f"{where}, expected success: read the server's log, then run again")


def one_number(url: str, question: str, result: Any) -> str:
    """The one number in the data of an answer, as the server writes it; ``no data`` where there is none. Loki answers alike.

    :raises ServerError: there is more
    """
    samples = result["result"]
    if result["resultType"] == "scalar":
        return str(samples[1])
    if result["resultType"] != "vector" or len(samples) > 1:
        raise ServerError(
            f"the query '{question}' was expected to give {url} one number, and gave a {result['resultType']}"
            f" of {len(samples)}: aggregate it, as in sum({question})"
        )
    return str(samples[0]["value"][1]) if samples else NO_DATA
