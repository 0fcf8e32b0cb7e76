#!/bin/sh
# run.sh - check the Promela models of this folder with spin, and that it finds the planted bugs
#
# The models are a second opinion on algorithms of cthreads.h, from a tool that shares nothing with
# the simulator. Each must verify as it stands, and must fail with each of its planted bugs: a model
# that cannot fail says nothing.
#
# Exit status: 0 good, 1 bad, 77 skipped: spin is missing. $CC is the compiler, or else cc.
#
# SPDX-License-Identifier: MIT-0 OR Unlicense
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}

if ! command -v spin >/dev/null || ! command -v "${cc%% *}" >/dev/null; then
    echo "models: spin or the compiler is not installed"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
cd "$tmp"

fail() {
    echo "models: $1"
    cat out
    exit 1
}

# search NAME BUG LEVEL: the output of the search goes to the file out.
search() {
    spin -a -DBUG="$2" "$here/$1.pml" >out 2>&1 || fail "spin cannot read $1.pml"
    # Safety only: assertions and invalid end states. MEMLIM is in megabytes.
    $cc "-O$3" -w -DSAFETY -DNOFAIR -DMEMLIM=1500 -o pan pan.c >out 2>&1 || fail "no checker for $1"
    ./pan -m20000 -w22 >out 2>&1 || true
    grep -q 'errors: [0-9]' out || fail "$1 with bug $2: the search broke off"
    if grep -q 'max search depth too small\|error:\|reached -DMEMLIM' out; then
        fail "$1 with bug $2: the search met a limit"
    fi
}

models=0
found=0
for name in mutex rwlock cond waiters select; do
    start=$(date +%s)
    # Bugs are quick to find, so what counts for them is how long the compiler takes.
    search "$name" 0 1
    if ! grep -q 'errors: 0$' out || grep -q 'Search not completed' out; then
        fail "$name does not verify"
    fi
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
    bugs=$(sed -n 's/^     \([1-9]\)  .*/\1/p' "$here/$name.pml") # as its head lists them
    n=0
    for bug in $bugs; do
        search "$name" "$bug" 0
        if grep -q 'errors: 0$' out; then
            fail "$name: bug $bug was not found"
        fi
        n=$((n + 1))
    done
    if [ "$n" -lt 2 ]; then
        fail "$name has only $n planted bugs"
    fi
    echo "$name: $states states, $n planted bugs found, $(($(date +%s) - start)) s"
    models=$((models + 1))
    found=$((found + n))
done
echo "$models models, $found planted bugs found"
