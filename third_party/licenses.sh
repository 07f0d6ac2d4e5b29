#!/usr/bin/env bash
# Writes third_party/LICENSES.txt: the licence of everything that is linked into bin/cloister.
. "$(dirname "$0")/lib.sh"
cd "$here/.."

section() { printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..78})" "$1"; }

src="$cache/llama.cpp-$LLAMA_CPP_COMMIT"
{
    echo "Cloister is under the Apache License 2.0; see LICENSE. Its binary holds the works below, each under its own licence."
    section "llama.cpp $LLAMA_CPP_VERSION (with ggml and llama-common)"
    cat "$src/LICENSE"
    for f in "$src"/licenses/LICENSE-*; do
        case $f in *jsonhpp | *httplib | *nlohmann*) section "$(basename "$f" | sed s/LICENSE-//), inside llama-common"; cat "$f" ;; esac
    done
    {
        go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/cloister
        # Packed copies of its vocabularies are in appliance/estimate/encodings.
        go mod download github.com/pkoukk/tiktoken-go-loader
        go list -m -f '{{.Path}} {{.Version}} {{.Dir}}' github.com/pkoukk/tiktoken-go-loader
    } | sort -u |
        while read -r path version dir; do
            section "$path $version"
            files=$(find "$dir" -maxdepth 1 -iname 'licen[sc]e*' -o -maxdepth 1 -iname 'copying*' | sort)
            [ -n "$files" ] || die "$path has no licence file"
            # shellcheck disable=SC2086
            cat $files
        done
    section "Go standard library $(go env GOVERSION)"
    cat "$(go env GOROOT)/LICENSE"
    # The file is static, so the C and C++ libraries of the machine that builds it are inside.
    section "GNU C Library, linked statically; Cloister's sources and make build relink it with another one"
    cat /usr/share/doc/libc6/copyright /usr/share/common-licenses/LGPL-2.1
    section "libstdc++ and libgcc, linked statically under the GCC Runtime Library Exception"
    cat "/usr/share/doc/gcc-$(gcc -dumpversion)-base/copyright"
    section "CUTLASS $(sed 's/.*==\([^ ]*\) .*/\1/' <<<"$CUTLASS_WHEEL"), in bin/cloister-cuda only"
    cat "$(dirname "$(third_party/cutlass.sh)")/LICENSE.txt"
    # Attachment A of these terms lists libcudart_static.a among what may be passed on.
    section "NVIDIA CUDA runtime $CUDA_VERSION, linked statically in bin/cloister-cuda only"
    cat "$(CUDA_HOME='' third_party/cuda.sh)"/licences/nvidia_cuda_runtime-*.txt
} | sed 's/\r$//' >"$here/LICENSES.txt"
