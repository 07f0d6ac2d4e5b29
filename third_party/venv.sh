#!/usr/bin/env bash
# Makes a Python virtual environment with the given packages in the cache, once,
# and prints the path of its interpreter: venv.sh NAME PACKAGE==VERSION...
. "$(dirname "$0")/lib.sh"

name=$1
shift
locked "venv-$name"
dir="$cache/venv-$name-$(printf '%s\n' "$@" | sha256sum | cut -c1-12)"
if [ ! -f "$dir/done" ]; then
    echo "installing $* into a virtual environment" >&2
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$dir/done"
fi
echo "$dir/bin/python"
