# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The code blocks of a page: what a reader is told to type, and what the page says comes then.

Kinds of block, named after the fence:

- ``bash`` is typed on the controller, at the root of the repository; ``bash host`` as root on the WSL2 host.
  It ends with 0, or with what ``exit=N`` says. ``not-run="reason"`` is for what no lab can do.
- ``powershell`` is typed on the gateway, as administrator.
- ``console`` is what the block before it prints. In it ``…`` stands for any text, and alone on a line for any lines.
- ``yaml PATH``, ``json`` and ``nginx`` show files, or what to write into one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

BLOCK = re.compile(r"^(?P<box>> )?```(?P<info>[^\n]*)\n(?P<text>.*?)^(?(box)> )```$", re.MULTILINE | re.DOTALL)
KINDS = ("bash", "powershell", "console", "yaml", "json", "nginx")
TYPED = ("bash", "powershell")
ANYTHING = "…"
SECTION_OF_ERRORS = "\n## 8. "
ROW = re.compile(r"^\| (?P<names>`[^|]+) \|(?P<meaning>[^|]+)\|(?P<remedy>[^|]+)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    line: int
    kind: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Step:
    """What a reader types at once, and what has to come of it."""

    page: str
    line: int
    script: str
    on_host: bool
    exit_code: int
    not_run: str
    on_gateway: bool = False
    expected: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order; those in a box lose its margin."""
    content = page.read_text("utf-8")
    for found in BLOCK.finditer(content):
        kind, *words = shlex.split(found["info"]) or [""]
        line = content.count("\n", 0, found.start()) + 1
        if kind not in KINDS:
            raise ValueError(f"{page}:{line}: a block of {', '.join(KINDS)} was expected, and it is called '{kind}'")
        text = re.sub("^> ?", "", found["text"], flags=re.MULTILINE) if found["box"] else found["text"]
        yield Block(line, kind, tuple(words), text)


def steps(page: Path) -> list[Step]:
    """What a page tells its reader to type, each with the output that it promises."""
    found: list[Step] = []
    before = ""
    for block in blocks(page):
        if block.kind in TYPED:
            found.append(_step(page, block))
        elif block.kind == "console":
            if before not in TYPED:
                raise ValueError(f"{page}:{block.line}: output was expected to follow the block that prints it")
            found[-1] = replace(found[-1], expected=block.text)
        before = block.kind
    return found


def errors_explained(page: Path) -> list[str]:
    """The errors that the first table of section 8 explains, each with what to do."""
    section = page.read_text("utf-8").partition(SECTION_OF_ERRORS)[2].partition("\n### ")[0]
    return [
        name for row in ROW.finditer(section) if row["remedy"].strip() for name in re.findall(r"`(\w+)`", row["names"])
    ]


def _step(page: Path, block: Block) -> Step:
    attributes = dict(word.partition("=")[::2] for word in block.words)
    unknown = attributes.keys() - {"host", "exit", "not-run"}
    if unknown:
        raise ValueError(f"{page}:{block.line}: the block has attributes that nobody knows: {', '.join(unknown)}")
    return Step(
        page=page.name,
        line=block.line,
        script=block.text,
        on_host="host" in attributes,
        exit_code=int(attributes.get("exit", 0)),
        not_run=attributes.get("not-run", ""),
        on_gateway=block.kind == "powershell",
    )


def first_unmatched(expected: str, output: str) -> str | None:
    """The first line that a page promises and the output does not have at its place; None if all is as promised."""
    printed = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
    pattern = ""
    for line in expected.splitlines():
        pattern += _pattern(line.rstrip())
        if not re.match(pattern, printed):
            return line
    return None if re.fullmatch(pattern, printed) else "the end of the output"


def _pattern(line: str) -> str:
    if line == ANYTHING:
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.split(ANYTHING)) + r"\n"
