# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tree of configuration changes on a gateway: decided on the controller, of bytes alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import LiveFile, digest_of

# The folder of the generated includes, which are no part of a site's own configuration.
OURS = "flatnet"
FIRST = "nginx.conf"
_IDENTITY = re.compile(rb"^[^#\n]*\binclude\s+[\"']?flatnet/(?:identity\*?|\*)\.conf[\"']?\s*;", re.MULTILINE)
# What Windows makes of a name: these cannot be, or are other files than they seem.
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


class TreeRefused(ValueError):
    """A tree cannot be a gateway's configuration."""


@dataclass(frozen=True)
class Change:
    """What a tree changes: the new content of files by path, and the paths that go."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    contents: Mapping[str, bytes]
    generation: str

    @property
    def anything(self) -> bool:
        """Not all is as it should be."""
        return bool(self.added or self.changed or self.removed)

    @property
    def sentence(self) -> str:
        """How many files, and which."""
        parts = [("added", self.added), ("changed", self.changed), ("removed", self.removed)]
        return "; ".join(f"{len(paths)} {what} ({', '.join(paths)})" for what, paths in parts if paths)


def change(tree: Mapping[str, bytes], live: Mapping[str, LiveFile], purge: bool, exact: bool = False) -> Change:
    """What has to be written for a gateway's configuration to be this tree.

    A file that differs in its line ends alone is the same, and one that is written keeps the line ends that it had: the files of
    nginx's archive for Windows have those of Windows, a repository has not.

    :param tree: the content of each file, by its path with slashes
    :param purge: what lies there and is not in the tree goes
    :param exact: line ends count like everything else, as where the tree was the gateway's own once
    :raises TreeRefused: by name
    """
    check(tree)
    by_folded = {path.casefold(): path for path in live}
    contents: dict[str, bytes] = {}
    added, changed = [], []
    for path, content in sorted(tree.items()):
        there = live.get(by_folded.get(path.casefold(), path))
        if there is None:
            added.append(path)
            contents[path] = content
        elif exact and _sum(content) != there.sha256:
            changed.append(path)
            contents[path] = content
        elif not exact and _sum(_unified(content)) != there.unified:
            changed.append(path)
            contents[path] = (
                _unified(content).replace(b"\n", b"\r\n") if there.windows and _is_text(content) else content
            )
    folded = {path.casefold() for path in tree}
    removed = [path for path in sorted(live) if purge and path.casefold() not in folded]
    after = {path: file.sha256 for path, file in live.items() if path not in removed}
    for path, content in contents.items():
        after[by_folded.get(path.casefold(), path)] = _sum(content)
    return Change(tuple(added), tuple(changed), tuple(removed), contents, digest_of(after))


def check(tree: Mapping[str, bytes]) -> None:
    """Refuse what cannot be a gateway's configuration on Windows.

    :raises TreeRefused: by name
    """
    if FIRST not in tree:
        raise TreeRefused(
            f"a tree with {FIRST} at its top was expected, and it has {', '.join(sorted(tree)) or 'no file'}"
        )
    seen: dict[str, str] = {}
    for path in sorted(tree):
        parts = PurePosixPath(path).parts
        if parts[0].casefold() == OURS:
            raise TreeRefused(
                f"the folder {OURS} of a configuration is this collection's own, and the tree has {path}: remove it"
            )
        bad = [part for part in parts if _FORBIDDEN.search(part)]
        if bad:
            raise TreeRefused(
                f"a name that Windows can have was expected, and {path} has '{bad[0]}': give it another name"
            )
        twin = seen.setdefault(path.casefold(), path)
        if twin != path:
            raise TreeRefused(f"{twin} and {path} are one file on Windows: give one of them another name")
    if not any(_IDENTITY.search(content) for content in tree.values()):
        raise TreeRefused(
            f"the server on the gateway's own port was expected to include the answer by which a rollout is proved, and no file of"
            f" the tree does: put 'include {OURS}/identity*.conf;' into that server"
        )


def _is_text(content: bytes) -> bool:
    return b"\0" not in content


def _unified(content: bytes) -> bytes:
    """Text with the line ends of Unix."""
    return content.replace(b"\r\n", b"\n") if _is_text(content) else content


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
