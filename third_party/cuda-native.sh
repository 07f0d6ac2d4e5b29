#!/usr/bin/env bash
# Gathers what a build with the tag cuda links, in one folder of the cache, and prints it: DIR/include (the CUDA
# runtime's headers) and DIR/lib: ggml-cuda, our kernels, the matrix products, the static runtime.
#   CUBLAS=static  takes the products of CUDA_HOME's libcublas_static.a in place of our own
# CUDA_ARCHS and JOBS as in ggml-cuda.sh.
. "$(dirname "$0")/lib.sh"

export CUDA_ARCHS=${CUDA_ARCHS:-$CUDA_ARCHS_ALL}
cublas=${CUBLAS:-own}
cuda=$("$here/cuda.sh")
case $cublas in
    own) ;;
    static)
        for f in cublas_static cublasLt_static culibos; do
            [ -f "$cuda/lib64/lib$f.a" ] || die "CUBLAS=static needs $cuda/lib64/lib$f.a; set CUDA_HOME to an installed toolkit, or leave CUBLAS out"
        done ;;
    *) die "CUBLAS=$cublas: it may be own or static" ;;
esac
own=$("$here/cu.sh")
ggml=$("$here/ggml-cuda.sh")

toolkit=$("$cuda/bin/nvcc" --version | sed -n 's/.* V\([0-9.]*\)$/\1/p')
case $cublas in
    own) products="cloister, over CUTLASS $(sed 's/.*==\([^ ]*\) .*/\1/' <<<"$CUTLASS_WHEEL")" ;;
    static) products="NVIDIA, of CUDA $toolkit" ;;
esac
# What the file says of itself: cl_cuda_get in llama/internal/capi.
facts=$(printf 'const char cloister_cuda_archs[] = "%s";\nconst char cloister_cuda_toolkit[] = "%s";\nconst char cloister_cuda_cublas[] = "%s";\n' \
    "$(cat "$ggml/archs")" "$toolkit" "$products")

locked cuda-native
key=$(printf '%s\n' "$facts" "$(cat "$here/glibc.c")" "$cuda" "$ggml" "$(readlink -f "$own"/*.a)" | sha256sum | cut -c1-16)
out="$cache/cuda-native-$key"
if [ ! -f "$out/done" ]; then
    mkdir -p "$out/lib"
    ln -sfn "$cuda/include" "$out/include"
    ln -sf "$ggml/lib/libggml-cuda.a" "$cuda/lib64/libcudart_static.a" "$(readlink -f "$own/libcloister-kernels.a")" "$out/lib/"
    if [ "$cublas" = own ]; then
        ln -sf "$(readlink -f "$own/libcublas-cloister.a")" "$out/lib/"
    else # a script for the linker, under the same name
        printf 'GROUP(%s %s %s)\n' "$cuda"/lib64/lib{cublas_static,cublasLt_static,culibos}.a >"$out/lib/libcublas-cloister.a"
    fi
    # One object, so that who links the facts gets the functions as well.
    { cat "$here/glibc.c"; printf '%s\n' "$facts"; } | gcc -O2 -fPIC -Wall -Werror -x c -c -o "$out/lib/facts.o" -
    ar rcs "$out/lib/libcuda-build.a" "$out/lib/facts.o"
    # The packages' flags say -lstdc++; found here first, it is the static one.
    ln -sf "$(gcc -print-file-name=libstdc++.a)" "$out/lib/"
    touch "$out/done"
fi
[ -n "${CLOISTER_NO_LINK:-}" ] || ln -sfn "$out" "$here/cuda"
du -Lk "$out"/lib/*.a | while read -r kb file; do printf '  %-30s %6d kB\n' "$(basename "$file")" "$kb" >&2; done
echo "$out"
