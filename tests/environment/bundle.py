# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bundle.py REQUIREMENTS LOCK DIRECTORY`: take the pinned collections out of the PyPI package `ansible`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml


def download(lock: Path, directory: Path) -> Path:
    """Get the wheel that the lock file names, with the sum that it names."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "download", "--no-deps", "--require-hashes", "-r", lock, "-d", directory], check=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


def unpack(wheel: zipfile.ZipFile, collection: str, version: str, directory: Path) -> None:
    """Unpack one collection, if it has the version that is asked for."""
    prefix = f"ansible_collections/{collection.replace('.', '/')}/"
    manifest = json.loads(wheel.read(f"{prefix}MANIFEST.json"))
    bundled = manifest["collection_info"]["version"]
    if bundled != version:
        sys.exit(
            f"{collection} {version} was expected in {wheel.filename}, which has {bundled}: make the two pins agree"
        )
    wheel.extractall(directory, [name for name in wheel.namelist() if name.startswith(prefix)])


def main() -> None:
    """Unpack each collection."""
    requirements, lock, directory = (Path(argument) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(download(lock, Path(scratch))) as wheel:
        for wanted in yaml.safe_load(requirements.read_text(encoding="utf-8"))["collections"]:
            unpack(wheel, wanted["name"], wanted["version"], directory)


if __name__ == "__main__":
    main()
