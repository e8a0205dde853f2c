#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Back up the site whose WSL2 host this is, for a person, cron, or the timer that setup installs.
# shellcheck source=scripts/playbook.sh
source "$(dirname "$(realpath "$0")")/playbook.sh"

kinds='gateway cni stack containers prometheus loki alertmanager grafana volumes'

usage() {
    cat <<END
usage: backup.sh [--source KIND]... [--force SOURCE]... [--check] [--inventory PATH] [--host NAME]

Save this site into a new set, and print the set's path.

  --source KIND     save only this, of $kinds; may be repeated
  --force SOURCE    accept this source, as in volumes/app_data, though it is missing, empty or much smaller; may be repeated
  --check           say what would be done, and change nothing
END
}

parse_options '--check' '' '--source --force' "$@"
options=()
! is_given --check || options+=(--check)
if is_given --source; then
    IFS=, read -ra chosen <<<"$(value --source)"
    for kind in "${chosen[@]}"; do
        [[ " $kinds " == *" $kind "* ]] || refuse "a source was expected to be one of $kinds, got '$kind'"
    done
    options+=(--tags "$(value --source)")
fi
check_environment
run_playbook backup "$(variables flatnet_backup_force --force)" "${options[@]}"
conclude
