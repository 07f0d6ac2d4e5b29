# Shared by the scripts of this folder: pins, the cache folder, and two helpers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pins.sh"
cache=${CLOISTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cloister-build}
mkdir -p "$cache"

die() { echo "$*" >&2; exit 1; }

# locked NAME: at most one build of a thing at a time on this machine.
locked() { exec 9>"$cache/$1.lock"; flock 9; }
