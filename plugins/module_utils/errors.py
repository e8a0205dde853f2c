# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception family of flatnet.ops.

Every message is one sentence that says what was expected, what came, from where, and what the operator can do.
The class name is the error's stable name: modules return it as RV(error).
"""

from __future__ import annotations


class OpsError(Exception):
    """Something an operator has to know; only a module's outermost layer turns it into a failure."""


class UsageError(OpsError):
    """The arguments cannot mean anything here."""


class CommandFailed(OpsError):
    """A program on the host ended with an error."""


class LeaseHeld(OpsError):
    """Another run works on the backup directory, or may still do so."""


class Evicted(OpsError):
    """This run's lease passed to another one."""


class ClockBehind(OpsError):
    """The clock is behind the newest set."""


class NoSuchSet(OpsError):
    """No complete set of that name, or none that holds what is asked for."""


class SetDamaged(OpsError):
    """A set's files are not what its manifest says."""


class SourceRefused(OpsError):
    """A source is missing, empty, or has shrunk beyond its limit."""


class DiskFull(OpsError):
    """Not enough room for what is to be written."""


class CopyFailed(OpsError):
    """A copy does not hold what its origin held."""


class QuiesceLost(OpsError):
    """A container did not stay paused or stopped while its data was read."""


class RestorePending(OpsError):
    """An earlier restore was neither confirmed nor undone."""


class ServerError(OpsError):
    """A server gave an answer that cannot be worked with."""


class AdminApiOff(ServerError):
    """Prometheus runs without its admin API."""


class AgentMode(ServerError):
    """Prometheus runs as an agent: it has no database to save."""


class SnapshotMissing(ServerError):
    """A snapshot was taken and cannot be found on the host."""


class ProbeDiffers(OpsError):
    """An application answers a stored question in another way than it did before."""


class NotReady(OpsError):
    """A service did not become ready in time."""
