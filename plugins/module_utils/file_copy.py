# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy one plain file with all that belongs to it, and sum up what is written."""

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
    """A regular file without holes."""
    return stat.S_ISREG(status.st_mode) and status.st_blocks * 512 >= status.st_size


def copy_file(source: bytes, target: bytes) -> FileCopy | None:
    """Copy content, owner, mode, times, extended attributes and ACLs of a plain file to a name that is free.

    :return: None where it is not plain, has vanished, or something refuses: nothing of it lies at the target then
    :raises OSError: the disk is full
    """
    # A name that became a pipe meanwhile would keep us waiting, and one that became a link would lead elsewhere.
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
        _raise_if_full(error)
        return None
    try:
        digest = _copy_content(origin, copy, status.st_size)
        # The owner first: to give a file away takes its capabilities and its set-user-ID bit.
        os.fchown(copy, status.st_uid, status.st_gid)
        _copy_attributes(origin, copy)
        os.fchmod(copy, stat.S_IMODE(status.st_mode))
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        return FileCopy(tree.change_mark(os.fstat(copy)), digest)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(target)
        _raise_if_full(error)
        return None
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


def _copy_attributes(origin: int, copy: int) -> None:
    # In their order, which an archive of the files shows.
    wanted = [name for name in os.listxattr(origin) if name != tree.HOST_POLICY]
    # A directory's default ACL gives each new file one.
    for name in os.listxattr(copy):
        if name not in (*wanted, tree.HOST_POLICY):
            os.removexattr(copy, name)
    for name in wanted:
        os.setxattr(copy, name, os.getxattr(origin, name))


def _raise_if_full(error: OSError) -> None:
    if error.errno in FULL:
        raise error
