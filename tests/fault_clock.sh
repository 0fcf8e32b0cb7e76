#!/bin/sh
# fault_clock.sh DIR - run the fault_clock programs of DIR with wall clocks that are wrong or jump
#
# Exit status: 0 good, 1 bad, 77 skipped: faketime is missing, or the build is a sanitizer's.
set -u
dir=${1:?usage: fault_clock.sh DIR}

if ! command -v faketime >/dev/null || ! command -v timeout >/dev/null; then
    echo "fault_clock: faketime or timeout is not installed"
    exit 77
fi
"$dir/fault_clock" plain || exit "$?"

# Where the package keeps its library only its own command knows.
library=$(faketime -f +0 sh -c 'echo "$LD_PRELOAD"') || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# The kit's clock is the monotonic one, and no tool may fake it: that would test the tool.
FAKETIME_DONT_FAKE_MONOTONIC=1
export FAKETIME_DONT_FAKE_MONOTONIC
bad=0

# run NAME COMMAND...: a wait that follows the wall clock hangs, and timeout ends it.
run() {
    name=$1
    shift
    FAULT_CLOCK_REAL=$(date +%s) timeout -k 5 60 "$@" >"$tmp/out" 2>&1
    status=$?
    if [ "$status" -ne 0 ]; then
        cat "$tmp/out"
        echo "FAIL $name: exit status $status"
        bad=1
    else
        echo "ok   $name"
    fi
}

for park in fault_clock fault_clock_portable; do
    for offset in +2d -3d; do
        run "$park, $offset" faketime -f "$offset" "$dir/$park" wrong_clock
    done
    echo "+0" >"$tmp/clock"
    run "$park, jumps" env "LD_PRELOAD=$library" FAKETIME_NO_CACHE=1 \
        "FAKETIME_TIMESTAMP_FILE=$tmp/clock" "FAULT_CLOCK_FILE=$tmp/clock" \
        "$dir/$park" jumping_clock
done
exit "$bad"
