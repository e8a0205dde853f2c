#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Restore the site whose WSL2 host this is, after showing what that replaces.
# shellcheck source=scripts/playbook.sh
source "$(dirname "$(realpath "$0")")/playbook.sh"

usage() {
    cat <<'END'
usage: restore.sh [--id SET] [--source SOURCE]... [--area AREA] [--check] [--yes] [--inventory PATH] [--host NAME]

Restore this site from a set. What would be replaced is shown first, and you are asked.

  --id SET          the set, as in 20261124T021500Z; default: the newest
  --source SOURCE   restore only this, as in prometheus or volumes/app_data; may be repeated
  --area AREA       where the set is: sets, which is the default; before-restore, what earlier restores have replaced;
                    generations/gateway or generations/cni
  --check           show what would be replaced, and change nothing
  --yes             do not ask
END
}

restore() {
    run_playbook restore "$(variables flatnet_restore_id --id flatnet_restore_sources --source flatnet_restore_area --area)" "$@"
}

# What a run in check mode has said, with what is there now and what would be.
tell_replaced() {
    printed | awk '
        /^-([0-9]+ files|nothing)/ { now = substr($0, 2) }
        /^\+[0-9]+ files/ { sub(/, from .*/, ""); would = ": now " now ", then " substr($0, 2) }
        match($0, /"msg": "[^"]* of set [^" ]+ would [^"]+/) { print substr($0, RSTART + 8, RLENGTH - 8) would; would = "" }'
}

parse_options '--check --yes' '--id --area' '--source' "$@"
[[ -t 0 ]] || is_given --check || is_given --yes ||
    refuse "a terminal was expected to ask on: give --yes to restore without asking"
check_environment
if is_given --check || ! is_given --yes; then
    restore --check --diff --verbose
    ended_well || conclude
    mapfile -t replaced < <(tell_replaced)
    ((${#replaced[@]})) || refuse "the set was expected to hold something that can be restored"
    echo "What would be replaced:"
    printf '  %s\n' "${replaced[@]}"
    ! is_given --check || conclude
    # The set that was shown, even if a newer one comes meanwhile.
    give --id "$(sed -E 's/.* of set ([^ ]+) would .*/\1/' <<<"${replaced[0]}")"
    read -r -p "Replace it? Type yes to go on: " answer || answer=
    [[ $answer == yes ]] || refuse "nothing was restored, as you have not said yes"
fi
restore
conclude
