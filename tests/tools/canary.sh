#!/bin/sh
# Run a program with a planted fault:  canary.sh <program> <exit status, or "any" but 0> <text>
# Passes when the program ends with that status and its output contains the text.
set -u
output=$("$1" 2>&1)
status=$?
echo "$output"
echo "exit status $status"
if [ "$2" = any ]; then
    [ $status -ne 0 ] || { echo "the fault was not reported"; exit 1; }
elif [ $status -ne "$2" ]; then
    echo "the fault was not reported by exit status $2"
    exit 1
fi
case $output in
*"$3"*) exit 0 ;;
esac
echo "the report does not contain: $3"
exit 1
