#!/usr/bin/env bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A site's backup as an operator would type it: by-hand.sh plain|sums TARGET [PREVIOUS]; prints when it began and ended.
# With "sums" the copy can be verified afterwards, as our sets can.
set -euo pipefail
kind=$1 target=$2 previous=${3-}
volumes=/var/lib/containers/storage/volumes

copy() {
    rsync -a ${previous:+"--link-dest=$previous/$2"} "$1/" "$target/$2/"
}

began=$EPOCHREALTIME
mkdir -p "$target"
name=$(curl --silent --fail -X POST http://127.0.0.1:9090/api/v1/admin/tsdb/snapshot | sed 's/.*"name":"\([^"]*\)".*/\1/')
copy "$volumes/prometheus_data/_data/snapshots/$name" prometheus
rm -r "${volumes:?}/prometheus_data/_data/snapshots/$name"
copy "$volumes/app_notes_data/_data" app_notes_data
copy "$volumes/app_files_data/_data" app_files_data
if [ "$kind" = sums ]; then
    cd "$target"
    find . -type f -print0 | sort --zero-terminated | xargs --null sha256sum > "$target.SHA256SUMS"
fi
sync
echo "$began $EPOCHREALTIME"
