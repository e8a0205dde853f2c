#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prove that the site whose WSL2 host this is can be restored, for a person, cron, or the timer that setup installs.
# shellcheck source=scripts/playbook.sh
source "$(dirname "$(realpath "$0")")/playbook.sh"

usage() {
    cat <<'END'
usage: drill.sh [--id SET] [--inventory PATH] [--host NAME]

Restore a set beside the running site, and ask the copy what the site was asked when the set was made.

  --id SET          the set, as in 20261124T021500Z; default: the newest
END
}

parse_options '' '--id' '' "$@"
check_environment
run_playbook drill "$(variables flatnet_drill_id --id)"
conclude
