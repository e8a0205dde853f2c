#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the requirements have an operator type for Grafana's dashboards, with a search that lists more than 1,000; prints when it began and ended.
#   by-hand-grafana.sh export URL DIRECTORY    one file for each dashboard
#   by-hand-grafana.sh import URL DIRECTORY    each file back, into a server that has none
set -euo pipefail
kind=$1 url=$2 directory=$3
mkdir -p "$directory"
began=$EPOCHREALTIME
case $kind in
    export)
        for uid in $(curl -s --fail "$url/api/search?type=dash-db&limit=5000" | jq -r '.[].uid'); do
            curl -s --fail "$url/api/dashboards/uid/$uid" >"$directory/$uid.json"
        done
        ;;
    import)
        for file in "$directory"/*.json; do
            jq '{dashboard: (.dashboard | .id = null), overwrite: true}' "$file" |
                curl -s -X POST -H "Content-Type: application/json" -d @- "$url/api/dashboards/db" >/dev/null
        done
        ;;
esac
echo "$began $EPOCHREALTIME"
