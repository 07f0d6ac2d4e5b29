#!/usr/bin/env bash
# Runs every fuzzer of the module for a while: fuzz.sh 30s
set -euo pipefail
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
    grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | while read -r f; do
        echo "== $dir $f"
        go test "$dir" -run '^$' -fuzz "^$f\$" -fuzztime "$1"
    done
done
