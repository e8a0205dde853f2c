# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict of a host and of a run: failed before warning before good."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ansible_collections.flatnet.ops.plugins.plugin_utils.report.model import HostReport, Report, operation_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.report.questions import ask, unproved

GOOD = "good"
WARNING = "warning"
FAILED = "failed"
NO_OFF_HOST_COPY = "NO OFF-HOST COPY"
CHECK_MODE = "check mode: nothing was changed"


def judge(run: str, hosts: Collection[HostReport], expected: Collection[str]) -> Report:
    """The report of a run.

    :param hosts: those that have reported
    :param expected: those that had to
    """
    known = tuple(sorted(hosts, key=lambda host: host.host))
    missing = tuple(sorted(set(expected) - {host.host for host in known}))
    reasons = {host.host: reason_of(run, host) for host in known}
    warnings = warnings_of(run, known)
    verdicts = {host.host: verdict_of(run, host) for host in known}
    problems = [f"{host}: {reason}" for host, reason in reasons.items() if reason]
    problems.extend(f"{host} has not reported" for host in missing)
    if problems or not known:
        verdict, message = FAILED, "; ".join(problems) or "no host has reported"
    else:
        verdict = WARNING if warnings or WARNING in verdicts.values() else GOOD
        message = success(run, known, warnings)
    return Report(
        run=run,
        verdict=verdict,
        message=message,
        hosts=known,
        verdicts=verdicts,
        missing_hosts=missing,
        warnings=warnings,
        questions=ask(known, missing) if is_proof(run) and CHECK_MODE not in warnings else (),
    )


def is_proof(run: str) -> bool:
    """The run has questions to answer."""
    return operation_of(run) == "drill"


def verdict_of(run: str, host: HostReport) -> str:
    """The verdict of one host."""
    if reason_of(run, host):
        return FAILED
    return WARNING if any(step.status == WARNING for step in host.steps) else GOOD


def reason_of(run: str, host: HostReport) -> str:
    """Why a host failed, with the name of the step; empty where it did not."""
    broken = [step for step in host.steps if step.status not in (GOOD, WARNING)]
    if host.failure:
        named = [f"{step.step}: " for step in broken if step.message in host.failure]
        return "".join(named[:1]) + host.failure
    if broken:
        return f"{broken[0].step}: {broken[0].message}"
    if host.check_mode:
        return ""
    if not host.steps:
        return "nothing was recorded"
    open_questions = unproved(ask((host,))) if is_proof(run) else []
    answers = ", ".join(f"{one.id} ({one.answer})" for one in open_questions)
    return f"the drill was expected to answer its questions, and did not prove: {answers}" if answers else ""


def fails(report: Report, host: HostReport, expected: Collection[str]) -> bool:
    """This host's own task must fail: other hosts that failed do so by themselves, those that are silent cannot."""
    silent = set(expected) & set(report.missing_hosts)
    return bool(reason_of(report.run, host) or silent)


def warnings_of(run: str, hosts: Sequence[HostReport]) -> tuple[str, ...]:
    """What a reader must know although nothing failed."""
    found = [CHECK_MODE] if any(host.check_mode for host in hosts) else []
    if operation_of(run) in ("backup", "drill") and not all(host.off_host_copy for host in hosts):
        found.append(NO_OFF_HOST_COPY)
    return tuple(found)


def success(run: str, hosts: Sequence[HostReport], warnings: Sequence[str]) -> str:
    """One sentence for a run that did not fail."""
    noted = [*warnings, *(step.message for host in hosts for step in host.steps if step.status == WARNING)]
    steps = sum(len(host.steps) for host in hosts)
    names = ", ".join(host.host for host in hosts)
    checked = CHECK_MODE in warnings
    done = f"{operation_of(run)} is {'checked' if checked else 'done'} on {names}" + (
        "" if checked else f" in {steps} steps"
    )
    return f"{done}, with a warning: {'; '.join(noted)}" if noted else done
