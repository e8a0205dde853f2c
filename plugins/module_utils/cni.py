# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CNI plugins: programs that say their version when they are asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible_collections.flatnet.ops.plugins.module_utils.effects import run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import CommandFailed

ANSWER_SECONDS = 5
_QUESTION = b'{"cniVersion": "0.4.0"}'


def versions(directory: Path) -> dict[str, str]:
    """What each plugin of a directory says of its version, by its file's name."""
    plugins = sorted(path for path in directory.iterdir() if path.is_file() and os.access(path, os.X_OK))
    return {path.name: version(path) for path in plugins}


def version(plugin: Path) -> str:
    """A plugin's own version where it tells one, else the newest version of the protocol that it speaks.

    Source: the VERSION command of the CNI specification; plugins may add fields of their own to its answer.
    """
    ask = ["timeout", "--kill-after=1", str(ANSWER_SECONDS), "env", "CNI_COMMAND=VERSION", str(plugin)]
    try:
        answer = json.loads(run(ask, _QUESTION).stdout)
        own = [str(value) for name, value in answer.items() if name.endswith("Version") and name != "cniVersion"]
        return own[0] if own else f"CNI {answer['supportedVersions'][-1]}"
    except (CommandFailed, ValueError, AttributeError, LookupError):
        return "unknown"
