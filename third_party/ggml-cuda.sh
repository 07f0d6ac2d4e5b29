#!/usr/bin/env bash
# Builds llama.cpp's CUDA backend into the cache and prints the folder that holds lib/libggml-cuda.a.
# A second call finds it there; one that was interrupted goes on where it stopped.
#   CUDA_ARCHS="90-real;90-virtual"  the cards, in CMake's words: -real is code for that card, -virtual PTX,
#                                    which the driver compiles at first use on any later card
#   CUBLAS=static                    compile with the header of CUDA_HOME's own cuBLAS
#   JOBS=2                           files at a time
. "$(dirname "$0")/lib.sh"

cuda=$("$here/cuda.sh")
src=$(CLOISTER_NO_LINK=1 "$here/llama.sh" --source)
archs=${CUDA_ARCHS:-$CUDA_ARCHS_ALL}
header="$here/cublas/include"
[ "${CUBLAS:-own}" = own ] || header="$cuda/include"
[ -f "$header/cublas_v2.h" ] || die "$header holds no cublas_v2.h"

locked "ggml-cuda"
# What the header says from its first type on: a comment in it is no reason to build for half an hour.
interface=$(echo '#include <cublas_v2.h>' | gcc -E -P -I"$header" -I"$cuda/include" - | sed -n '/cublasContext/,$p' | sha256sum)
key=$(printf '%s\n' "$src" "$LLAMA_CPP_COMMIT" "$archs" "$CUDA_FLAGS" "$interface" "$("$cuda/bin/nvcc" --version)" "$(gcc -dumpfullversion)" | sha256sum | cut -c1-16)
out="$cache/ggml-cuda-$key"
if [ ! -f "$out/done" ]; then
    echo "building ggml-cuda for $archs (about 25 minutes on 2 idle cores for each architecture, once)" >&2
    mkdir -p "$out/lib"
    build="$out/build"
    # shellcheck disable=SC2086
    cmake -G Ninja -S "$src" -B "$build" -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES="$here/cuda.cmake" $NATIVE_FLAGS $CUDA_FLAGS \
        -DCMAKE_CUDA_COMPILER="$cuda/bin/nvcc" -DCUDAToolkit_ROOT="$cuda" -DCMAKE_CUDA_ARCHITECTURES="$archs" \
        -DCMAKE_CUDA_FLAGS="-I$header" >"$out/log" 2>&1 || { tail -20 "$out/log" >&2; die "cmake failed; see above"; }
    start=$SECONDS
    NINJA_STATUS='[%f/%t] ' cmake --build "$build" --target ggml-cuda -- -j "${JOBS:-$(nproc)}" 2>&1 | tee -a "$out/log" |
        while read -r step _ _ _ name; do
            case $step in \[*) printf '%9s %-70s %3d min %4d MB\n' "$step" "$(basename "${name##* }" .o)" $(((SECONDS - start) / 60)) "$(du -sm "$build" | cut -f1)" >&2 ;; esac
        done || { tail -30 "$out/log" >&2; die "ggml-cuda did not compile; see above"; }
    find "$build" -name libggml-cuda.a -exec cp {} "$out/lib/" \;
    printf '%s\n' "$archs" >"$out/archs"
    touch "$out/done"
    rm -rf "$build"
    echo "libggml-cuda.a: $(du -m "$out/lib/libggml-cuda.a" | cut -f1) MB after $(((SECONDS - start) / 60)) minutes" >&2
fi
echo "$out"
