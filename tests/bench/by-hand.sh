#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What an operator would type instead of our playbooks; prints when it began and ended.
#   by-hand.sh plain|sums TARGET [PREVIOUS]   a site's backup; with "sums" the copy can be verified afterwards, as our sets can
#   by-hand.sh restic REPOSITORY              the same by restic
#   by-hand.sh verify SET                     what our verification reads
#   by-hand.sh restore SET SOURCE TARGET      one source of a set, verified, then copied
set -euo pipefail
kind=$1 target=$2
volumes=/var/lib/containers/storage/volumes
others=(/mnt/c/openresty/conf /etc/cni/net.d /opt/cni/bin /opt/flatnet/monitoring /srv)
export RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=/backup/hand/cache

with_snapshot() {
    local answer name snapshots=$volumes/prometheus_data/_data/snapshots
    answer=$(curl --silent --fail -X POST http://127.0.0.1:9090/api/v1/admin/tsdb/snapshot)
    name=${answer##*\"name\":\"} name=${name%%\"*}
    "$1" "$snapshots/$name" "$volumes"/{loki,alertmanager,app_notes,app_files}_data/_data "${others[@]}"
    rm -r "${snapshots:?}/$name"
}

copy() {
    local source number=0
    for source in "$@"; do
        number=$((number + 1))
        rsync -a ${previous:+"--link-dest=$previous/$number"} "$source/" "$target/$number/"
    done
}

restic_backup() {
    restic --quiet --repo "$target" backup "$@"
}

sums() {
    find "$1" -type f -print0 | sort --zero-terminated | xargs --null sha256sum
}

if [ "$kind" = restic ]; then
    restic --quiet --repo "$target" init
fi
began=$EPOCHREALTIME
case $kind in
    plain | sums)
        previous=${3-}
        mkdir -p "$target"
        with_snapshot copy
        if [ "$kind" = sums ]; then
            cd "$target"
            sums . >"$target.SHA256SUMS"
        fi
        sync
        ;;
    restic)
        with_snapshot restic_backup
        sync
        ;;
    verify)
        cd "$target"
        sha256sum --quiet --strict -c SHA256SUMS
        ;;
    restore)
        cd "$target"
        grep "  $3/" SHA256SUMS | sha256sum --quiet --strict -c -
        cp -a "$3" "$4"
        ;;
esac
echo "$began $EPOCHREALTIME"
