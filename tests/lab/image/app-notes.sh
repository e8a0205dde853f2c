#!/bin/sh
# Write each number first to `journal`, then to `copy`: a sound copy of /data has copy <= journal <= copy + 1.
set -eu
cd /data
trap 'exit 0' TERM
touch journal copy
n=$(tail -n 1 journal)
n=${n:-0}
if [ "$(tail -n 1 copy)" != "$n" ] && [ "$n" != 0 ]; then
    echo "$n" >> copy
fi
while :; do
    n=$((n + 1))
    echo "$n" >> journal
    echo "$n" >> copy
    echo "last=$n" > state.new
    mv state.new state
    sleep 0.1
done
