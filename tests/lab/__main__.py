# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for a person who explores: `python -m tests.lab up|down|shell|status|disaster`."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab.host import SERVICES, Host
from tests.lab.lab import Lab, lab_names, lock_of, remove_lab, sweep
from tests.lab.machine import LabError, require_programs, step, try_lock
from tests.lab.windows.gateway import PASSWORD
from tests.lab.windows.image import USER
from tests.lab.windows.powershell import missing


def up(lab: Lab) -> None:
    """Make the lab with one full host and, where that can be, its gateway; or say how to reach what is there."""
    if not lab.exists():
        reason = missing()
        if reason:
            print(f"no gateway: {reason}")
        with lab:
            gateway = None if reason else lab.new_gateway("gateway1")
            lab.new_host("wsl1", gateway=gateway)
            if gateway:
                gateway.start_nginx()
    status(lab)


def down(lab: Lab) -> None:
    """Remove the lab and what killed runs left."""
    sweep()
    if not lab.exists():
        print(f"There is no lab {lab.name}.")
        return
    held = try_lock(lock_of(lab.name))
    if held is None:
        raise LabError(f"Another process uses the lab {lab.name!r}: end that process first.")
    with step(f"lab {lab.name}: removal"):
        remove_lab(lab.name)


def shell(lab: Lab) -> None:
    """Open a shell on the first host of the lab."""
    host = first_host(lab)
    command = ["podman", "exec", "--interactive", "--tty", host.name, "bash", "--login"]
    os.execvpe("podman", command, {**os.environ, **lab.podman.environment})


def disaster(lab: Lab) -> None:
    """Destroy the first host of the lab with all its data, and put an empty one in its place."""
    host = first_host(lab)
    host.destroy()
    lab.new_host(host.name, seed="empty", gateway=next(iter(lab.gateways()), None))
    status(lab)


def status(lab: Lab) -> None:
    """Say what exists and how to reach it."""
    others = [name for name in lab_names() if name != lab.name]
    if others:
        print(f"other labs: {', '.join(others)} (--name NAME shows one)")
    if not lab.exists():
        print(f"There is no lab {lab.name}: make lab-up makes it.")
        return
    print(f"lab {lab.name}")
    print(f"  inventory  {lab.inventory}")
    print(f"  /backup    {lab.backup_volume}")
    for host in lab.hosts():
        known = f"-o UserKnownHostsFile={lab.directory / 'known_hosts'}"
        print(f"  host {host.name}")
        print(f"    ssh -i {lab.key} {known} -p {host.port('ssh')} root@127.0.0.1")
        for service in SERVICES:
            print(f"    {service:22} {host.url(service)} {'ready' if host.ready(service) else 'not ready'}")
        for line in host.output("podman", "ps", "--all", "--format", "{{.Names}}\t{{.Status}}").splitlines():
            container, state = line.split("\t")
            print(f"    {container:22} {state}")

    for gateway in lab.gateways():
        print(f"  gateway {gateway.name}")
        print(
            f"    winrm                  {gateway.url('winrm')}/wsman, {USER}, {PASSWORD}, {gateway.authority.certificate}"
        )
        print(
            f"    http                   {gateway.url('http')} {'answers' if gateway.serves() else 'nginx does not run'}"
        )
        print(f"    C:                     {gateway.drive}")


def first_host(lab: Lab) -> Host:
    """The host that a person means."""
    hosts = lab.hosts() if lab.exists() else []
    if not hosts:
        raise LabError(f"The lab {lab.name} has no host: make lab-up makes one.")
    return hosts[0]


def main() -> int:
    """Run one command for a person; a failure is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = {"up": up, "down": down, "shell": shell, "status": status, "disaster": disaster}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--name", default="dev", help="name of the lab (default: dev)")
    arguments = parser.parse_args()
    try:
        require_programs()
        commands[arguments.command](Lab(arguments.name, keep=True))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
