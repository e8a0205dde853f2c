# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-core on the host itself, as the lock file pins it: for a person who works on the WSL2 host."""

from __future__ import annotations

import shutil
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROGRAMS = ("ansible-doc", "ansible-galaxy", "ansible-inventory", "ansible-playbook")
PACKAGES = "usr/local/lib/python3.11/dist-packages"
PROGRAM = """\
#!/usr/bin/python3
import sys

from {module} import {function}

sys.exit({function}())
"""


def with_requirements(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """A distribution and everything that it requires, added to what was found before."""
    here = distribution(name)
    if here.name not in found:
        found[here.name] = here
        for requirement in map(Requirement, here.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                with_requirements(requirement.name, found)
    return found


def ansible_versions() -> dict[str, str]:
    """The version of ansible-core and of everything that it requires."""
    return {name: each.version for name, each in with_requirements("ansible-core", {}).items()}


def install_ansible(rootfs: Path) -> None:
    """Copy the files of ansible-core and of what it requires; the host's Python has the same ABI as ours."""
    for each in with_requirements("ansible-core", {}).values():
        for file in each.files or ():
            if not {"..", "__pycache__"} & set(file.parts):
                target = rootfs / PACKAGES / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    for entry in distribution("ansible-core").entry_points:
        if entry.name in PROGRAMS:
            program = rootfs / "usr/local/bin" / entry.name
            program.write_text(PROGRAM.format(module=entry.module, function=entry.attr))
            program.chmod(0o755)
