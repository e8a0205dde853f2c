# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception family of flatnet.ops.

Every message is one sentence that says what was expected, what came, from where, and what the operator can do.
The class name is the error's stable name: modules return it as RV(error).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class OpsError(Exception):
    """Something an operator has to know; only a module's outermost layer turns it into a failure.

    ``values`` are returned by the module beside the sentence.
    """

    def __init__(self, message: str, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.values = dict(values or {})


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


class SchemaDiffers(OpsError):
    """Loki runs with another schema than its data was written with."""


class NoAnswer(ServerError):
    """A server did not answer, or not in time."""


class AnswerCut(ServerError):
    """A server's answer ended before its end."""


class CertificateRefused(ServerError):
    """A server's certificate does not prove that it is the right one."""


class Redirected(ServerError):
    """A server sent the request elsewhere."""


class GatewayError(ServerError):
    """A proxy answered instead of the server."""


class NotGrafana(ServerError):
    """Something else than Grafana's API answered."""


class UnknownForm(ServerError):
    """A server of the right kind gave an answer of another form than is known."""


class CredentialsRefused(ServerError):
    """A server does not accept the credentials."""


class RightMissing(ServerError):
    """The credentials are good, and may not do this."""


class TooManyRequests(ServerError):
    """A server wants fewer requests, and went on to say so."""


class WrongOrganization(ServerError):
    """The credentials do not reach the organization that is meant."""


class ReadingIncomplete(ServerError):
    """A server lists something that cannot be read."""


class RequestRefused(ServerError):
    """A server did not accept what it was sent."""


class RestoreIncomplete(ServerError):
    """A server did not accept everything that was to be restored."""


class ContentDiffers(ServerError):
    """A server took what was restored, and has something else now."""


class WouldOverwrite(OpsError):
    """A server has something else where the files would go, and nobody has said that it may be replaced."""


class SecretsNeeded(OpsError):
    """Something cannot be restored without secrets that were not given."""


class UsersMissing(OpsError):
    """Users or teams are missing on a server that objects of it are to name."""


class NotReady(OpsError):
    """A service did not become ready in time."""
