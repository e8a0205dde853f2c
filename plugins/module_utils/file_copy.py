# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy one plain file with all that belongs to it, and sum it up on the way: a copy that is to be verified is read once."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.flatnet.ops.plugins.module_utils import tree

BUFFER = 1 << 18
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class FileCopy:
    """A copy that was made: its change mark, and the SHA-256 of what was written."""

    mark: str
    sha256: str


def is_plain(status: os.stat_result) -> bool:
    """A regular file of one name and without holes, of which nothing is lost where it is copied by itself."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_blocks * 512 >= status.st_size


def copy_file(source: bytes, target: bytes) -> FileCopy | None:
    """Copy content, owner, mode, times, extended attributes and ACLs of a plain file to a name that is free.

    :return: None where it is not plain, has vanished, or something refuses: nothing lies at the target then
    :raises OSError: the disk is full
    """
    # What became a pipe meanwhile would keep us waiting, and what became a link would lead elsewhere.
    try:
        origin = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(origin)
        return _copy(origin, status, target) if is_plain(status) else None
    finally:
        os.close(origin)


def _copy(origin: int, status: os.stat_result, target: bytes) -> FileCopy | None:
    try:
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return _given_up(error)
    try:
        digest = _copy_content(origin, copy, status.st_size)
        # The owner first: to give a file away takes its capabilities and its set-user-ID bit.
        os.fchown(copy, status.st_uid, status.st_gid)
        for name in os.listxattr(origin):
            if name != tree.HOST_POLICY:
                os.setxattr(copy, name, os.getxattr(origin, name))
        os.fchmod(copy, stat.S_IMODE(status.st_mode))
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        return FileCopy(tree.change_mark(os.fstat(copy)), digest)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(target)
        return _given_up(error)
    finally:
        os.close(copy)


def _copy_content(origin: int, copy: int, size: int) -> str:
    """Copy as much as there was at the first look: who goes on writing is not followed."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(size, BUFFER)))
    left = size
    while left:
        count = os.readv(origin, [buffer[:left]])
        if not count:
            break
        left -= count
        part = buffer[:count]
        digest.update(part)
        while part:
            part = part[os.write(copy, part) :]
    return digest.hexdigest()


def _given_up(error: OSError) -> None:
    if error.errno in FULL:
        raise error
