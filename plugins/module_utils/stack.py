# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The monitoring stack over podman-compose, up only when each of its services says that it is ready."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import NotReady, ServerError, UsageError
from ansible_collections.flatnet.ops.plugins.module_utils.transport import Transport

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """One container of the stack as it is now."""

    name: str
    id: str
    status: str


class Stack:
    """One compose project on this host."""

    def __init__(self, effects: Effects, transport: Transport, project_dir: Path, file: str) -> None:
        """
        :param project_dir: the folder of the compose file; its name is the project's name
        :param file: the compose file's name in it
        """
        self._effects = effects
        self._transport = transport
        self._directory = project_dir
        self._compose = ["podman-compose", "--file", str(project_dir / file), "--project-name", project_dir.name]
        if not (project_dir / file).is_file():
            raise UsageError(
                f"the compose file {project_dir / file} was expected on this host, and is not there: say project_dir and"
                " file as they are"
            )

    def services(self) -> dict[str, Service]:
        """The project's containers that exist, by name."""
        label = f"label=io.podman.compose.project={self._directory.name}"
        found = json.loads(run(["podman", "ps", "--all", "--filter", label, "--format", "json"]).stdout or "[]")
        services = [Service(one["Names"][0], one["Id"], one["State"]) for one in found]
        return {service.name: service for service in services}

    def defined(self) -> int:
        """How many services the compose file defines."""
        return len(run([*self._compose, "config", "--services"]).stdout.split())

    def up(self) -> None:
        """Create what is missing, and start everything."""
        self._effects.run([*self._compose, "up", "--detach"])

    def stop(self) -> None:
        """Stop every container; they and their volumes stay."""
        self._effects.run([*self._compose, "stop"])

    def wait(self, ready: Mapping[str, str], seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
        """Wait until each service answers status 200.

        :param ready: by service, the URL that says so
        :return: seconds until the last one did
        :raises NotReady: one did not in time; its last answer is named
        """
        began = clock()
        for name, url in ready.items():
            while True:
                words = self._ask(url)
                if not words:
                    break
                if clock() - began > seconds:
                    raise NotReady(
                        f"{name} was expected to be ready at {url} within {seconds:g} s, and {words}: read"
                        f" 'podman logs --tail 50 {name}' on this host"
                    )
                time.sleep(POLL_SECONDS)
        return clock() - began

    def _ask(self, url: str) -> str:
        """What keeps a service from being ready; empty when it is."""
        try:
            answer = self._transport.request("GET", url)
        except ServerError as error:
            return f"the last try failed ({error})"
        return "" if answer.status == 200 else f"it answered status {answer.status} '{answer.text.strip()[:80]}'"


def not_running(services: Sequence[Service]) -> list[str]:
    """The containers that exist and do not run."""
    return sorted(service.name for service in services if service.status != "running")
