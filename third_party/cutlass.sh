#!/usr/bin/env bash
# Fetches CUTLASS's headers into the cache, once, and prints the folder to include.
# CUTLASS_DIR=/path uses a checkout of your own.
. "$(dirname "$0")/lib.sh"

if [ -n "${CUTLASS_DIR:-}" ]; then
    [ -f "$CUTLASS_DIR/include/cutlass/cutlass.h" ] || die "CUTLASS_DIR=$CUTLASS_DIR holds no include/cutlass/cutlass.h"
    echo "$CUTLASS_DIR/include"
    exit
fi

locked cutlass
read -r package sum <<<"$CUTLASS_WHEEL"
out="$cache/cutlass-${package#*==}-${sum:0:12}"
if [ ! -f "$out/done" ]; then
    tmp=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    echo "fetching $package" >&2
    wheel "$package" "$sum" "$tmp/wheel"
    mkdir "$tmp/out"
    mv "$tmp/wheel/cutlass_library/source/include" "$tmp/out/include"
    cp "$tmp/wheel/cutlass_library/source/LICENSE.txt" "$tmp/out/" 2>/dev/null || cp "$tmp"/wheel/*.dist-info/licenses/LICENSE* "$tmp/out/LICENSE.txt"
    touch "$tmp/out/done"
    rm -rf "$out" && mv "$tmp/out" "$out"
fi
echo "$out/include"
