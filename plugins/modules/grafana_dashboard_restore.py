#!/usr/bin/python
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a Grafana hold what files say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_dashboard_restore
short_description: Make a Grafana hold what files say, all of it or a part
version_added: 1.0.0
description:
  - Puts the objects that M(flatnet.ops.grafana_dashboard_backup) has written as files onto the same or another server, in the order
    in which they need one another. An object that is already as its file says is not written.
  - Everything is compared and decided before the first write. An object that the server then refuses does not keep the others from
    being restored; the task fails at the end, says what was done and what was not, and running it again does the rest.
  - When all is written, everything chosen is read back and compared with the files. A difference fails the task.
  - Nothing is deleted, but for what is part of an object, such as a rule of a group, a member of a team, or an entry of the
    permissions.
  - An object that is chosen brings along the folders that it is in and the library panels that it shows, where the server has none.
author:
  - flatnet.ops contributors (@flatnet)
extends_documentation_fragment:
  - flatnet.ops.grafana
  - flatnet.ops.recorded
options:
  src:
    description:
      - The directory of the files, the O(flatnet.ops.grafana_dashboard_backup#module:dest) of a backup, or the directory C(grafana)
        of a set.
    type: path
    required: true
  accept_edited:
    description:
      - Restore files that somebody has changed since the backup. They are refused otherwise.
    type: bool
    default: false
  folders:
    description:
      - Restore the folders of these uids or titles with everything in them, on whatever level. V(General) is where dashboards are
        that are in no folder. Together with O(objects), what either of them names; with O(kinds), what is of these kinds as well.
    type: list
    elements: str
  objects:
    description:
      - Restore the objects of these uids, or of whatever else C(index.json) calls their C(key), with their permissions.
    type: list
    elements: str
  existing:
    description:
      - What becomes of an object that the server has with another content, which somebody may have made since the backup. What a
        server has made itself, as the permissions of a new folder, counts as nothing. So does what is only added to.
      - V(refuse) restores nothing and names these objects. On a new server there are none; on one in use, look at them with
        C(--check --diff), then decide.
      - V(update) replaces them. An object that is changed while this runs is not replaced, but refused by the server, where the server
        counts its changes; it does for dashboards, folders, library panels and data sources.
      - V(keep) leaves them as they are, and restores the others.
    type: str
    choices: [refuse, update, keep]
    default: refuse
  secrets:
    description:
      - What no backup holds, by kind, key and field, as the file C(secrets_needed.json) lists it. Kinds are V(data_sources),
        V(contact_points) and V(users). Keep it in Ansible Vault.
      - An object that the server has keeps the secrets that are not given. Those that are given are sent if the object is made or changed.
    type: dict
    default: {}
  missing_secrets:
    description:
      - What becomes of an object that needs a secret which neither O(secrets) nor the server has.
      - V(refuse) restores nothing and names them. V(leave_out) restores the others, without what needs these objects.
    type: str
    choices: [refuse, leave_out]
    default: refuse
  missing_users:
    description:
      - What becomes of users whom the server does not know and who cannot be made, and of those whom teams and permissions name.
        Making a user takes a password in O(secrets), and the name and password of an administrator of the whole server.
      - V(refuse) restores nothing and names them. V(leave_out) restores teams and permissions without them.
    type: str
    choices: [refuse, leave_out]
    default: refuse
  provisioned:
    description:
      - What becomes of objects that were made by files of the server's own. V(skip) compares them and says how they are; they come back
        with those files. V(restore) treats them as all others.
      - What such files make on the server that is restored to cannot be changed by either.
    type: str
    choices: [skip, restore]
    default: skip
attributes:
  check_mode:
    description:
      - Compares everything and says what would be made and changed. What O(existing=refuse) refuses does not fail here, and counts as
        changed, so that C(--diff) can show it.
    support: full
  diff_mode:
    description: Shows the objects that are made by name, and of those that would be replaced the server's content before, and the file's after.
    support: full
  idempotent:
    description: The second time everything is as the files say, and nothing is sent.
    support: full
seealso:
  - module: flatnet.ops.grafana_dashboard_backup
"""

EXAMPLES = r"""
- name: Restore everything onto a new server
  flatnet.ops.grafana_dashboard_restore:
    user: admin
    password: "{{ vault_grafana_password }}"
    src: /srv/grafana-content
    secrets: "{{ vault_grafana_secrets }}"

- name: Put one dashboard back as it was
  flatnet.ops.grafana_dashboard_restore:
    token: "{{ vault_grafana_token }}"
    src: /srv/grafana-content
    objects: [overview-ops]
    existing: update

- name: Put back what was deleted from a folder, and leave alone what was changed
  flatnet.ops.grafana_dashboard_restore:
    token: "{{ vault_grafana_token }}"
    src: /srv/grafana-content
    folders: [Gateway]
    existing: keep
"""

RETURN = r"""
objects:
  description: How many objects of each kind were made, were changed, were as they should be, were kept as the server had them, were left out.
  returned: success
  type: dict
  sample: {"dashboards": {"created": 3, "updated": 1, "unchanged": 201, "kept": 0, "left_out": 0}}
seconds:
  description: The time that each kind took, comparing, writing and reading back.
  returned: success
  type: dict
  sample: {"dashboards": 3.1, "folders": 0.2}
replaced:
  description: The objects that the server had with another content and that were replaced, or would be, with the places that differ.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "dashboards", "key": "gw", "title": "Gateway traffic", "reason": "", "differs": ["dashboard.panels[0].title"]}]
kept:
  description: The objects that the server has with another content and that were left as they are.
  returned: success
  type: list
  elements: dict
would_overwrite:
  description: The objects for which a run that is not a check would fail with O(existing=refuse).
  returned: success or failed with V(WouldOverwrite)
  type: list
  elements: dict
left_out:
  description: The objects that were not restored for want of a secret, a user, or another object, with the reason.
  returned: success
  type: list
  elements: dict
without:
  description: The teams and permissions that were restored without somebody whom the server does not know, and whom.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "folder_permissions", "key": "ops", "title": "Operations", "without": ["users 'hanako'"]}]
provisioned:
  description: The objects that files of a server's own make, and how the server's are.
  returned: success
  type: list
  elements: dict
locked:
  description: The objects that an old server has locked, so that they can no more be edited in its pages, although it was asked not to.
  returned: success
  type: list
  elements: dict
secrets_used:
  description: The names of the secrets that were used.
  returned: success
  type: list
  elements: str
  sample: [data_sources/prom/basicAuthPassword]
missing:
  description: The objects that cannot be restored, and what they need.
  returned: failed with V(SecretsNeeded) or V(UsersMissing)
  type: list
  elements: dict
done:
  description: The objects that were written before the task failed.
  returned: failed after the first write
  type: list
  elements: dict
refused:
  description: The objects that the server did not accept, with the reason.
  returned: failed after the first write
  type: list
  elements: dict
not_tried:
  description: The objects that were not written, with the reason.
  returned: failed after the first write
  type: list
  elements: dict
differs:
  description: The objects that are not as they were written, with the places that differ.
  returned: failed after the first write
  type: list
  elements: dict
error:
  description: The name of what went wrong.
  returned: failed
  type: str
  sample: RestoreIncomplete
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_connection import GRAFANA_OPTIONS, chosen, connected
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_files import Tree
from ansible_collections.flatnet.ops.plugins.module_utils.grafana_restore import (
    GrafanaRestore,
    Policy,
    Progress,
    Step,
    Verdict,
    counts,
    of,
    select,
    words,
)
from ansible_collections.flatnet.ops.plugins.module_utils.recorded import Outcome, carry_out
from ansible_collections.flatnet.ops.plugins.module_utils.run_record import RECORDED_OPTIONS
from ansible_collections.flatnet.ops.plugins.module_utils.transport import HAS_REQUESTS


def run(module: AnsibleModule) -> Outcome:
    """Restore what is chosen."""
    params = module.params
    tree = Tree(Path(params["src"]), params["accept_edited"])
    selection = select(tree, [kind.name for kind in chosen(params)], params["folders"], params["objects"])
    policy = Policy(
        existing=params["existing"],
        missing_secrets=params["missing_secrets"],
        missing_users=params["missing_users"],
        provisioned=params["provisioned"],
    )
    server = connected(params, Effects())
    restore = GrafanaRestore(server, tree, policy, params["secrets"], params["workers"], diff=module._diff)
    steps = restore.plan(selection)
    restore.check(steps, overwriting=not module.check_mode)
    progress = Progress() if module.check_mode else restore.apply(steps)
    seconds = {kind: round(seconds, 3) for kind, seconds in restore.seconds.items()}
    return outcome(steps, progress, module.check_mode, seconds, server.url)


def values(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Objects as the task returns them."""
    return [step.value for step in steps]


def outcome(steps: Sequence[Step], progress: Progress, check: bool, seconds: dict[str, float], url: str) -> Outcome:
    """What was done, in words and numbers."""
    created, updated = of(steps, Verdict.CREATE), of(steps, Verdict.UPDATE)
    kept, left_out, same = of(steps, Verdict.KEEP), of(steps, Verdict.LEAVE_OUT), of(steps, Verdict.SAME)
    overwriting, without = of(steps, Verdict.WOULD_OVERWRITE), [step for step in steps if step.left_out]
    locked = [step for step in steps if step.entry.id in progress.locked]
    remarks = [
        f"{len(found)} {about}: {words(found)}"
        for about, found in (
            ("would be refused, for the server has something else", overwriting),
            ("are kept as the server has them", kept),
            ("are left out", left_out),
            ("name somebody whom the server does not know, and are restored without them", without),
            ("were locked by the server all the same, and can no more be edited in its pages", locked),
        )
        if found
    ]
    would = "would be " if check else ""
    message = f"of {url}, {len(created)} objects {would or 'are '}created, {len(updated)} {would}updated, {len(same)} as they should be"
    shown = [step for step in steps if step.before or step.after]
    return Outcome(
        # Of what has not changed, Ansible shows no difference.
        bool(created or updated or overwriting),
        "; ".join([message, *remarks]),
        status="warning" if overwriting or left_out or without else "good",
        numbers={"objects": len(steps), "created": len(created), "updated": len(updated), "unchanged": len(same)},
        evidence={"objects": counts(steps)},
        values={
            "objects": counts(steps),
            "seconds": seconds,
            "replaced": values(step for step in updated if step.differs),
            "kept": values(kept),
            "would_overwrite": values(overwriting),
            "left_out": values(left_out),
            "without": [{**step.name, "without": list(step.left_out)} for step in without],
            "provisioned": values(of(steps, Verdict.PROVISIONED)),
            "locked": [step.name for step in locked],
            "secrets_used": sorted({name for step in steps for name in step.secrets}),
        },
        diff={"before": "".join(step.before for step in shown), "after": "".join(step.after for step in shown)},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **RECORDED_OPTIONS,
            **GRAFANA_OPTIONS,
            "src": {"type": "path", "required": True},
            "accept_edited": {"type": "bool", "default": False},
            "folders": {"type": "list", "elements": "str"},
            "objects": {"type": "list", "elements": "str"},
            "existing": {"type": "str", "choices": ["refuse", "update", "keep"], "default": "refuse"},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "missing_secrets": {"type": "str", "choices": ["refuse", "leave_out"], "default": "refuse"},
            "missing_users": {"type": "str", "choices": ["refuse", "leave_out"], "default": "refuse"},
            "provisioned": {"type": "str", "choices": ["skip", "restore"], "default": "skip"},
        },
        supports_check_mode=True,
    )
    if not HAS_REQUESTS:
        module.fail_json(msg=missing_required_lib("requests"))
    carry_out(module, "grafana", lambda: run(module))


if __name__ == "__main__":
    main()
