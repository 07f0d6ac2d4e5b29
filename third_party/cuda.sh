#!/usr/bin/env bash
# Fetches the CUDA compiler, its headers and the static runtime into the cache, once (105 MB), and prints
# the folder that holds them, in the shape of a CUDA_HOME: bin/nvcc, include, lib64, nvvm.
# CUDA_HOME=/path uses an installed toolkit in place of it.
. "$(dirname "$0")/lib.sh"

if [ -n "${CUDA_HOME:-}" ]; then
    [ -x "$CUDA_HOME/bin/nvcc" ] || die "CUDA_HOME=$CUDA_HOME holds no bin/nvcc; unset it to use the pinned compiler"
    [ -f "$CUDA_HOME/lib64/libcudart_static.a" ] || die "CUDA_HOME=$CUDA_HOME holds no lib64/libcudart_static.a; unset it to use the pinned one"
    echo "$CUDA_HOME"
    exit
fi

locked cuda
out="$cache/cuda-$CUDA_VERSION-$(printf '%s' "$CUDA_WHEELS" | sha256sum | cut -c1-12)"
if [ ! -f "$out/done" ]; then
    command -v gcc >/dev/null || die "nvcc needs gcc and g++; install them: apt-get install g++"
    tmp=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    while read -r package sum; do
        echo "fetching $package" >&2
        wheel "$package" "$sum" "$tmp/wheels"
    done <<<"$CUDA_WHEELS"
    home="$tmp/wheels/nvidia/cu13"
    chmod +x "$home"/bin/* "$home"/nvvm/bin/*
    ln -s lib "$home/lib64" # where nvcc.profile looks
    ln -s libcudart.so.13 "$home/lib/libcudart.so" # CMake looks for it, and nothing links it
    mkdir -p "$home/licences"
    for d in "$tmp"/wheels/*.dist-info; do cp "$d"/licenses/* "$home/licences/$(basename "$d" .dist-info).txt"; done
    touch "$home/done"
    rm -rf "$out" && mv "$home" "$out"
    echo "CUDA $CUDA_VERSION: $(du -sm "$out" | cut -f1) MB" >&2
fi
echo "$out"
