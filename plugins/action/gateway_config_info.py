# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the configuration of a gateway on Windows."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.flatnet.ops.plugins.module_utils.handed_tree import MOST_BYTES, HandedFile, HandedTree
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_action import GatewayAction, Site

# Windows counts its times in hundreds of nanoseconds, from the year 1601.
EPOCH = 116444736000000000


class ActionModule(GatewayAction):
    """The action."""

    step: ClassVar[str] = "configuration read"

    def act(self, site: Site, _options: Mapping[str, Any]) -> Outcome:
        """Read it in one round trip, and hand it on as one text."""
        folder = site.gateway.live
        answer = site.windows.run("read_tree", Folder=folder, MostBytes=MOST_BYTES)
        files = tuple(
            HandedFile(file["path"], (file["modified"] - EPOCH) * 100, base64.b64decode(file["content"]))
            for file in answer["files"]
        )
        tree = HandedTree(f"{folder} on {site.windows.host}", files, tuple(answer["directories"]))
        counts = {"files": len(files), "bytes": tree.bytes}
        said = f"{folder} is read: {len(files):,} files, {tree.bytes:,} bytes"
        return Outcome(False, said, numbers=counts, values={"tree": tree.pack(), **counts})
