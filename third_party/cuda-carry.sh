#!/usr/bin/env bash
# Packs what cuda-run.sh needs on a machine with a card but without Go into bin/cuda-carry.tar.xz: bin/cloister-cuda,
# the tests of the packages given, compiled, the test of our cuBLAS, chat_load.py, and with LLAMA_SERVER=1 llama-server.
# make cuda-carry calls it with cgo's flags in the environment: cuda-carry.sh LDFLAGS PACKAGE...
. "$(dirname "$0")/lib.sh"
cd "$here/.."
# kB: 64 MiB travel, of which the checkout takes its part.
limit=$((63 * 1024 - $(git ls-files -z --cached --others --exclude-standard | xargs -0 cat 2>/dev/null | wc -c) / 1024))

kit=$(mktemp -d "$cache/carry.XXXXXX")
trap 'rm -rf "$kit"' EXIT
ldflags=$1
shift
mkdir "$kit/tests"
cp bin/cloister-cuda third_party/chat_load.py "$kit/"
for pkg in "$@"; do
    echo "compiling the tests of $pkg" >&2
    go test -c -trimpath -tags netgo,osusergo,cuda -ldflags "$ldflags" -o "$kit/tests/${pkg//\//__}.test" "./$pkg"
done
third_party/cu.sh --program third_party/cublas/test.cu "$kit/cublas-test"
[ "${LLAMA_SERVER:-}" != 1 ] || cp "$(third_party/llama-server.sh)" "$kit/llama-server"
# Every program holds the same backend; a window over all of them lets xz keep it once.
echo "packing $(du -sm "$kit" | cut -f1) MB" >&2
tar -cf - --sort=name --owner=0 --group=0 -C "$kit" . | xz --lzma2=preset=6,dict=512MiB -T1 >bin/cuda-carry.tar.xz.tmp
size=$(du -k bin/cuda-carry.tar.xz.tmp | cut -f1)
[ "$size" -le "$limit" ] || die "bin/cuda-carry.tar.xz would have $((size / 1024)) MB, more than $((limit / 1024)) travel: name fewer packages, such as make cuda-carry carry_tests=lora/internal/native, or leave llama-server out"
mv bin/cuda-carry.tar.xz.tmp bin/cuda-carry.tar.xz
echo "bin/cuda-carry.tar.xz: $((size / 1024)) MB; carry it with the checkout and run third_party/cuda-run.sh there"
