#!/usr/bin/env bash
# Builds llama-server of the pinned source with the CUDA backend of cuda-native.sh, to compare with on a card, and
# prints its path. Nothing of it goes into Cloister. About 8 minutes on 2 cores, once.
. "$(dirname "$0")/lib.sh"

src=$(CLOISTER_NO_LINK=1 "$here/llama.sh" --source)
native=$(CLOISTER_NO_LINK=1 "$here/llama.sh")
cuda=$(CLOISTER_NO_LINK=1 "$here/cuda-native.sh")
locked llama-server
out="$cache/llama-server-$(printf '%s\n' "$src" "$native" "$cuda" "$NATIVE_FLAGS" | sha256sum | cut -c1-16)"
if [ ! -f "$out/llama-server" ]; then
    echo "building llama-server (about 8 minutes on 2 cores, once)" >&2
    mkdir -p "$out"
    build="$cache/llama-server-build" # its objects do not depend on the CUDA backend
    # The backend is registered as in a build of its own; the archives come behind everything that cmake links.
    # shellcheck disable=SC2086
    cmake -G Ninja -S "$src" -B "$build" $NATIVE_FLAGS -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DGGML_STATIC=OFF -DCMAKE_CXX_FLAGS=-DGGML_USE_CUDA \
        -DCMAKE_CXX_STANDARD_LIBRARIES="-L$cuda/lib -L$native/lib -Wl,--start-group -lggml-cuda -lcublas-cloister -lcuda-build -lcudart_static -lggml-base -Wl,--end-group -ldl -lrt -lpthread" \
        -DCMAKE_EXE_LINKER_FLAGS="-static-libstdc++ -static-libgcc" >"$out/log" 2>&1 || { tail -20 "$out/log" >&2; die "cmake failed; see above"; }
    rm -f "$build/bin/llama-server"
    cmake --build "$build" --target llama-server -- -j "${JOBS:-$(nproc)}" >>"$out/log" 2>&1 || { tail -30 "$out/log" >&2; die "llama-server did not build; see above"; }
    strip -o "$out/llama-server.tmp" "$build/bin/llama-server"
    mv "$out/llama-server.tmp" "$out/llama-server"
fi
echo "$out/llama-server"
