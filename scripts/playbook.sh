# shellcheck shell=bash
# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the scripts share: reading options, running a playbook on this host, and saying how it ended. A script defines usage.
set -euo pipefail

readonly FAILED=1 USAGE=2 HELD=3 REFUSED=4
# Ansible refuses to work in another encoding, and cron sets none.
export LC_ALL=C.UTF-8
declare -A given=([--inventory]=${FLATNET_INVENTORY:-${HOME:-/root}/flatnet})
interrupted=

common_usage() {
    cat <<'END'
  --inventory PATH  the site's inventory; default: $FLATNET_INVENTORY, or ~/flatnet
  --host NAME       which host of the group wsl this one is, where there are several
  --help            show this

Run it as root on the WSL2 host. The whole output of Ansible goes to a file in $FLATNET_LOGS, or /var/log/flatnet-ops.

exit codes: 0 good, warnings included
            1 failed; the old sets are untouched
            2 usage or environment: nothing was done
            3 another run holds the backup directory: nothing was done
            4 a guard refused: SourceRefused, ClockBehind, RestorePending
END
}

refuse() {
    echo "$(basename "$0"): $*; see --help" >&2
    exit "$USAGE"
}

# Read the options; $1 names those without a value, $2 those with one, $3 those that may be repeated.
parse_options() {
    local flags=$1 valued="$2 --inventory --host"
    repeatable=$3
    shift 3
    while (($#)); do
        if [[ $1 == --help ]]; then
            usage
            common_usage
            exit
        elif [[ $1 == --*=* ]]; then
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
        elif [[ " $flags " == *" $1 "* ]]; then
            given[$1]=1
            shift
        elif [[ " $valued $repeatable " == *" $1 "* ]]; then
            [[ -n ${2-} && $2 != *[\"\\]* ]] || refuse "$1 was expected to have a value without quotes, got '${2-}'"
            [[ " $repeatable " == *" $1 "* && -n ${given[$1]-} ]] && given[$1]+=,$2 || given[$1]=$2
            shift 2
        else
            refuse "an option was expected, got '$1'"
        fi
    done
}

is_given() {
    [[ -n ${given[$1]-} ]]
}

# The value of an option; those of a repeated one with commas between.
value() {
    echo "${given[$1]}"
}

give() {
    given[$1]=$2
}

# Find out which host of the inventory this one is.
check_environment() {
    local inventory=${given[--inventory]} name=${given[--host]-} hosts
    ((EUID == 0)) || refuse "containers and volumes are root's: run it as root"
    command -v ansible-playbook >/dev/null || refuse "ansible-playbook was expected on the PATH: install ansible-core"
    [[ -e $inventory ]] || refuse "the site's inventory was expected in $inventory, which is not there: give --inventory"
    mapfile -t hosts < <(ansible-inventory --inventory "$inventory" --graph wsl 2>/dev/null | sed -n 's/.*|--\([^@]\)/\1/p' | sort -u)
    if [[ -n $name ]]; then
        [[ " ${hosts[*]} " == *" $name "* ]] || refuse "$name was expected to be in the group wsl, which has '${hosts[*]}'"
    else
        ((${#hosts[@]} == 1)) || refuse "one host was expected in the group wsl of $inventory, got '${hosts[*]}': give --host"
        given[--host]=${hosts[0]}
    fi
}

# Each variable that has a value, by name: a list where the option is repeatable.
variables() {
    local option values='"ansible_connection": "local", "flatnet_hosts": "'${given[--host]}'"'
    while (($#)); do
        option=$2
        if [[ -n ${given[$option]-} ]]; then
            [[ " $repeatable " == *" $option "* ]] && values+=", \"$1\": [\"${given[$option]//,/\", \"}\"]" ||
                values+=", \"$1\": \"${given[$option]}\""
        fi
        shift 2
    done
    echo "{$values}"
}

# Run a playbook of the collection; $1 is its name, $2 its variables, the others are options of ansible-playbook.
run_playbook() {
    local name=$1 variables=$2 job
    shift 2
    log=${FLATNET_LOGS:-/var/log/flatnet-ops}
    (umask 077 && mkdir -p "$log") || refuse "a directory for the output was expected in $log: set FLATNET_LOGS"
    log=$(mktemp "$log/$(date -u +%Y%m%dT%H%M%SZ)-$name-XXXX.log") || refuse "the output could not be kept: set FLATNET_LOGS"
    echo "$name on ${given[--host]}; the whole output: $log"
    # In a process group of its own, the playbook gets a signal once, however the script got it.
    set -m
    (
        set +m
        trap : INT TERM HUP
        # Unbuffered, each result comes when it is there.
        PYTHONUNBUFFERED=1 ANSIBLE_STDOUT_CALLBACK=ansible.builtin.default ANSIBLE_CALLBACK_RESULT_FORMAT=json \
            ANSIBLE_NOCOLOR=1 ANSIBLE_FORCE_COLOR=0 ansible-playbook "flatnet.ops.$name" --inventory "${given[--inventory]}" \
            --extra-vars "$variables" "$@" </dev/null 2>&1 | show_progress
        exit "${PIPESTATUS[0]}"
    ) &
    job=$!
    set +m
    trap 'interrupted=1; kill -INT -- "-$job"' INT
    trap 'interrupted=1; kill -TERM -- "-$job"' TERM HUP
    status=0
    wait "$job" || status=$?
    while kill -0 "$job" 2>/dev/null; do
        status=0
        wait "$job" || status=$?
    done
    trap - INT TERM HUP
}

# Keep what Ansible prints, and show each step when it has ended, with its seconds.
show_progress() {
    trap '' INT TERM HUP
    local line step='' began=${EPOCHREALTIME/./} now
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            'TASK ['*)
                step=${line#TASK [}
                step=${step%]*}
                step=${step#* : }
                began=${EPOCHREALTIME/./}
                [[ ! -t 1 ]] || printf '\r\033[K          %s ...' "$step"
                continue
                ;;
            'ok: ['* | 'changed: ['* | 'fatal: ['* | 'failed: ['*) ;;
            *) continue ;;
        esac
        now=${EPOCHREALTIME/./}
        [[ ! -t 1 ]] || printf '\r\033[K'
        printf '%5d.%d s  %s' $(((now - began) / 1000000)) $(((now - began) / 100000 % 10)) "$step"
        [[ ! $line =~ \(item=([^\)]*)\) ]] || printf ': %s' "${BASH_REMATCH[1]}"
        [[ $line != fa* ]] || printf ': FAILED'
        printf '\n'
        began=$now
    done
}

ended_well() {
    ((status == 0))
}

# What Ansible has printed.
printed() {
    cat "$log"
}

# Say how the run ended, and end with its code.
conclude() {
    local report error
    report=$(sed -nE 's|.*report: (/[^"]*/)report\.html.*|\1report.json|p' "$log" | tail -n 1)
    error=$(sed -nE '/^(fatal|failed): \[/s/.*"error": "([A-Za-z]+)".*/\1/p' "$log" | head -n 1)
    [[ -z $report ]] || tell_report "$report"
    if [[ -n $interrupted ]]; then
        echo "INTERRUPTED: what was begun is put right by its guards and by the next run; the old sets are untouched"
        exit "$FAILED"
    elif [[ -z $report ]]; then
        grep -E '^(\[ERROR\]|ERROR)' "$log" || tail -n 5 "$log"
        refuse "Ansible could not begin, and nothing was done"
    fi
    ended_well && exit
    [[ -z $error ]] || echo "error: $error"
    ! grep -q 'Validation of arguments failed' "$log" || exit "$USAGE"
    case $error in
        LeaseHeld) exit "$HELD" ;;
        SourceRefused | ClockBehind | RestorePending) exit "$REFUSED" ;;
        *) exit "$FAILED" ;;
    esac
}

tell_report() {
    python3 - "$1" <<'END'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
steps = [step for host in report["hosts"] for step in host["steps"]]
for name in ("verify", "set committed"):
    for path in [step["evidence"]["path"] for step in steps if step["step"] == name and "path" in step["evidence"]]:
        print(f"{'verified' if name == 'verify' else 'set'}: {path}")
print(f"report: {sys.argv[1].removesuffix('json')}html")
print(f"{report['verdict'].upper()}: {report['message']}")
END
}
