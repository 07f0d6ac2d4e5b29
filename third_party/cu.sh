#!/usr/bin/env bash
# Compiles our own CUDA files into the cache, prints the folder of the archives: libcublas-cloister.a, of
# third_party/cublas, and libcloister-kernels.a, of lora/internal/native/cuda. Each object is kept under a key of
# all that goes into it, so what did not change costs no time. Files named test*.cu are programs, for test-cuda.
#   CUDA_ARCHS  as in ggml-cuda.sh; without it one card's
# A line "// nvcc: FLAGS" within the first 40 of a file adds flags. "// nvcc-only: 90a" compiles the file for that card
# alone where 90 is asked for; elsewhere for all that is, and then there should be little in it.
. "$(dirname "$0")/lib.sh"
root=$(cd "$here/.." && pwd)

cuda=$("$here/cuda.sh")
cutlass=$("$here/cutlass.sh")
src=$(CLOISTER_NO_LINK=1 "$here/llama.sh" --source)
archs=${CUDA_ARCHS:-$CUDA_ARCHS_ONE}
flags="-O3 -std=c++17 --compress-mode=size -Xcompiler -ffunction-sections,-fdata-sections,-fPIC"
version=$("$cuda/bin/nvcc" --version; gcc -dumpfullversion; echo "$flags $CUTLASS_WHEEL $LLAMA_CPP_COMMIT")
mkdir -p "$cache/cu"

# gencode FILE: nvcc's words for the architectures of a file.
gencode() {
    local arch only n
    only=$(sed -n '1,40s|^// nvcc-only: \([0-9]*[af]\{0,1\}\)$|\1|p' "$1")
    case ";$archs;" in
        *";${only%[af]}-real;"* | *";${only%[af]};"*) echo "-gencode arch=compute_$only,code=sm_$only" && return ;;
    esac
    for arch in ${archs//;/ }; do
        n=${arch%%-*}
        case $arch in
            *-real) echo "-gencode arch=compute_$n,code=sm_$n" ;;
            *-virtual) echo "-gencode arch=compute_$n,code=compute_$n" ;;
            *) echo "-gencode arch=compute_$n,code=[sm_$n,compute_$n]" ;;
        esac
    done
}

# object FILE INCLUDE...: the path of its object, compiled if need be.
object() {
    local file=$1 extra words key out tmp start=$SECONDS
    shift
    extra=$(sed -n '1,40s|^// nvcc: ||p' "$file")
    words=$(gencode "$file" | tr '\n' ' ')
    key=$(printf '%s\n' "$version" "$words" "$extra" "$(headers "$file" | tr '\n' '\0' | xargs -0 cat)" | sha256sum | cut -c1-20)
    out="$cache/cu/$(basename "$file" .cu)-$key.o"
    if [ ! -f "$out" ]; then
        tmp="$out.$BASHPID"
        # shellcheck disable=SC2086
        if ! "$cuda/bin/nvcc" $flags $extra $words "$@" -c "$file" -o "$tmp" >"$tmp.log" 2>&1; then
            cat "$tmp.log" >&2
            rm -f "$tmp" "$tmp.log"
            echo "${file#"$root/"} does not compile; see above" >&2
            return 1
        fi
        cat "$tmp.log" >&2
        rm -f "$tmp.log"
        mv "$tmp" "$out"
        printf '  %-50s %4d s %6d kB\n' "${file#"$root/"}" $((SECONDS - start)) "$(du -k "$out" | cut -f1)" >&2
    fi
    echo "$out"
}

# headers FILE: it, and the files of the checkout that it includes, directly or not, found by their names.
headers() {
    local seen="" new=$1 names
    while [ -n "$new" ]; do
        seen=$(printf '%s\n' "$seen" "$new" | sed '/^$/d' | sort -u)
        names=$(tr '\n' '\0' <<<"$seen" | xargs -0 sed -n 's|^ *# *include ["<]\(.*/\)\{0,1\}\([^/">]*\)[">].*|/\2|p' | sort -u)
        new=$(find "${own[@]}" -type f | sort -u | comm -23 - <(echo "$seen") | awk -v names="$names" \
            'BEGIN { n = split(names, a, "\n"); for (i = 1; i <= n; i++) want[a[i]] } { f = $0; sub(/.*\//, "/", f); if (f in want) print }')
    done
    echo "$seen"
}

# archive NAME DIR INCLUDE...: compiles the files of DIR, some at a time.
archive() {
    local name=$1 dir=$2 file n=0 list
    shift 2
    list=$(mktemp "$cache/cu/list.XXXXXX")
    for file in "$dir"/*.cu; do
        case $file in *'*.cu' | */test*.cu) continue ;; esac
        # At most as many compilers as processors.
        while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n || true; done
        { object "$file" "$@" || echo failed; } >"$list.$n" &
        n=$((n + 1))
    done
    wait
    cat "$list".* >"$list" 2>/dev/null || true
    rm -f "$list".*
    ! grep -q '^failed' "$list" || { rm -f "$list"; die "not every file of ${dir#"$root/"} compiles; see above"; }
    local out; out="$cache/cu/$name-$(sha256sum <"$list" | cut -c1-20)"
    if [ ! -f "$out/$name" ]; then
        mkdir -p "$out"
        # An archive needs at least one member, and there may be no file yet.
        # shellcheck disable=SC2046
        rm -f "$out/tmp.a" && ar rcs "$out/tmp.a" $(sort "$list") && mv "$out/tmp.a" "$out/$name"
    fi
    rm -f "$list"
    ln -sf "$out/$name" "$lib/$name"
}

if [ "${1:-}" = --program ]; then # cu.sh --program FILE OUT: one program, for test-cuda
    own=("$here/cublas")
    obj=$(object "$2" -I"$here/cublas/include" -I"$here/cublas" -isystem "$cutlass")
    lib=$("$0")
    "$cuda/bin/nvcc" -o "$3" "$obj" -L"$lib" -lcublas-cloister -Xlinker --gc-sections -Xcompiler -static-libstdc++,-static-libgcc
    exit
fi

lib="$cache/cu/lib-$(printf '%s\n' "$root" "$archs" | sha256sum | cut -c1-12)"
mkdir -p "$lib"
own=("$here/cublas")
archive libcublas-cloister.a "$here/cublas" -I"$here/cublas/include" -I"$here/cublas" -isystem "$cutlass"
own=("$here/cublas/include" "$root/lora/internal/native")
archive libcloister-kernels.a "$root/lora/internal/native/cuda" -I"$root/lora/internal/native" -I"$here/cublas/include" \
    -DGGML_CUDA_NO_VMM -I"$src/ggml/include" -I"$src/ggml/src" -I"$src/ggml/src/ggml-cuda"
echo "$lib"
