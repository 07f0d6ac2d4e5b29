#!/usr/bin/env bash
# Tests and measures on a machine with a card, from what `make cuda-carry` packed: no Go and no network are needed.
# In the checkout's root, or wherever bin/cuda-carry.tar.xz lies below:
#   third_party/cuda-run.sh PART...     without a part: all of them
#     check     the card, the driver, cloister doctor
#     tests     the kernels against the CPU, the trainer, llama.cpp's backend, the engine
#     products  our cuBLAS against a loop in double, and its rates
#     train     tokens/s and memory beside Transformers + PEFT: CLOISTER_SHAPES="smollm2-135m llama-1.7b llama-8b"
#     serve     tokens/s with 1 and 32 clients, beside llama-server if it was packed: CLOISTER_SERVED, as above
# Each part writes its commands and all that they print to $OUT/PART.txt (bin/cuda-results without OUT), and the lines
# that count to $OUT/summary.txt. Without a card it says so, and runs what runs on the CPU, on small models.
# Exit status: 1 if a test failed, 3 if there is no card.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=${OUT:-$root/bin/cuda-results}
mkdir -p "$out"
kit=$root/bin/cuda-carry
failed=0

unpack() {
    local pack=$root/bin/cuda-carry.tar.xz
    [ -f "$pack" ] || { [ -x "$kit/cloister-cuda" ] && return; echo "bin/cuda-carry.tar.xz is missing: make cuda-carry builds it" >&2; exit 2; }
    [ "$kit/unpacked" -nt "$pack" ] && return
    rm -rf "$kit" && mkdir -p "$kit"
    if command -v xz >/dev/null; then
        xz -dc --memlimit=2GiB "$pack" | tar -xf - -C "$kit"
    else
        python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$pack" "$kit"
    fi || { echo "$pack does not unpack; build it again: make cuda-carry" >&2; exit 2; }
    touch "$kit/unpacked"
}

# try SECONDS COMMAND...: runs it, and keeps the command, what it printed, its status and its time.
try() {
    local limit=$1 rc start=$SECONDS
    shift
    echo "\$ $*"
    timeout "$limit" "$@" 2>&1
    rc=$?
    echo "# status $rc after $((SECONDS - start)) s"
    echo
    return $rc
}

say() { echo "$*" | tee -a "$out/summary.txt"; }

check() {
    try 60 "$kit/cloister-cuda" version --json
    try 60 nvidia-smi
    try 60 "$kit/cloister-cuda" doctor
}

# wanting LOG: the tests that failed for want of the real model, which is too large to travel, one name a line.
wanting() {
    awk '/^=== (RUN|NAME|CONT)/ { at = $3 } /no-model-here\.gguf/ { want[at] } END { for (t in want) print t }' "$1"
}

tests() {
    local t name pkg log lacking bad
    export CLOISTER_TEST_MODEL=${CLOISTER_TEST_MODEL:-$root/no-model-here.gguf}
    [ "$card" = no ] || export CLOISTER_TEST_DEVICE=cuda
    for t in "$kit"/tests/*.test; do
        [ -f "$t" ] || { say "tests: none are packed"; failed=1; return; }
        name=$(basename "$t" .test)
        pkg=${name//__//}
        log="$out/test-$name.log"
        set -- # on the CPU these tests are those of make test, so there a few show that the programs run
        [ "$card" = yes ] || set -- -test.run 'Device|Plan|AdamW' -test.skip CUDA
        (cd "$root/$pkg" && try 540 "$t" -test.v -test.timeout 520s "$@") >"$log"
        # Failed tests, without those above a failed subtest, and without those that want the model.
        lacking=$(wanting "$log")
        bad=$(grep -oE '^ *--- FAIL: [^ ]+' "$log" | awk '{ print $3 }' | grep -vxF -e "${lacking:-//}")
        if [ -n "$bad" ] || ! grep -qE '^(PASS|FAIL)$' "$log"; then
            say "FAIL  $pkg: ${bad//$'\n'/ } $(grep -m1 -E '^(panic|fatal error|SIG)|timed out|GGML_ASSERT|CUDA error' "$log")"
            failed=1
        else
            say "ok    $pkg: $(grep -c '^--- PASS' "$log") passed, $(grep -c '^--- SKIP' "$log") skipped, $(grep -c . <<<"$lacking") want the real model"
        fi
        cat "$log" && rm "$log"
    done
    name=$kit/tests/lora__internal__native.test
    [ "$card" = no ] || (cd "$root/lora/internal/native" && try 400 "$name" -test.run - -test.bench CUDA -test.benchtime 20x)
}

products() {
    [ "$card" = yes ] || { say "products: no card"; return; }
    [ -x "$kit/cublas-test" ] || { say "products: not packed"; return; }
    try 300 "$kit/cublas-test" bench | tee "$out/products.log"
    [ "${PIPESTATUS[0]}" = 0 ] && say "ok    products" || { say "FAIL  products: $(grep '^FAIL' "$out/products.log" | head -3 | tr '\n' ' ')"; failed=1; }
    rm -f "$out/products.log"
}

# model SHAPE TYPE [FLAG...]: a model of random weights, made once.
model() {
    local file="$work/$1-$2.gguf"
    [ -f "$file" ] || try 400 "$kit/cloister-cuda" bench make-model --shape "$1" --type "$2" -o "$file" "${@:3}" >&2
    echo "$file"
}

# speed FILE: the tokens per second in a log of ours or of PEFT's.
speed() { grep -oE '[0-9]+ tokens/s|"tokens_per_s": [0-9.]+' "$1" | grep -oE '[0-9.]+' | head -1; }

train() {
    local shape type file small=() device=() ours theirs
    "$kit/cloister-cuda" bench train --help | grep -q -- --device && device=(--device auto)
    if [ "$card" != yes ]; then small=(--layers 2); fi
    for shape in ${CLOISTER_SHAPES:-$([ "$card" = yes ] && echo smollm2-135m llama-1.7b llama-8b || echo smollm2-135m)}; do
        theirs=
        for how in "" --checkpointing "--bits 4"; do
            [ "$card" = yes ] || break
            # shellcheck disable=SC2086
            try 300 python3 third_party/peft_cuda.py --shape "$shape" $how | tee "$out/peft.log"
            say "peft $shape $how: $(grep -oE '"tokens_per_s": [0-9.]+|"max_gpu_gb": [0-9.]+|OutOfMemoryError|not measured: .*' "$out/peft.log" | tr '\n' ' ')"
            [ -n "$theirs" ] || theirs=$(speed "$out/peft.log")
        done
        for type in q4_k q8_0; do
            file=$(model "$shape" "$type" "${small[@]}")
            try 300 "$kit/cloister-cuda" bench train "$file" "${device[@]}" --row 2048 --batch-size 14 --profile | tee "$out/ours.log"
            ours=$(speed "$out/ours.log")
            say "cloister $shape $type: ${ours:-failed} tokens/s; $(grep '^memory' "$out/ours.log") $(awk "BEGIN { if (\"$ours\" && \"$theirs\") printf \"= %.2f x PEFT bf16\", \"$ours\" / \"$theirs\" }")"
            [ -n "$ours" ] || failed=1
        done
    done
    rm -f "$out/peft.log" "$out/ours.log"
}

# load NAME PORT CLIENTS KEY: streams chats, and says the rate. The key, of a server that ends with this, is not printed.
load() {
    echo "\$ chat_load.py --port $2 --clients $3 --requests $((4 * $3)) --model bench"
    timeout 300 python3 "$kit/chat_load.py" --port "$2" --clients "$3" --requests $((4 * $3)) --model bench --key "$4" 2>&1 | tee "$out/load.log"
    say "$1, $3 clients: $(grep '^{' "$out/load.log" || echo failed)"
    grep -q '"failed": 0' "$out/load.log" || failed=1
}

# prompts NAME PORT KEY: eight prompts of some 1,600 tokens at once, a few tokens of answer each; the time to the first
# one is the prompts'. It comes first, while no slot holds a beginning of them.
prompts() {
    echo "\$ chat_load.py --port $2 --clients 8 --requests 8 --max-tokens 4 --system-words 280 --model bench"
    timeout 300 python3 "$kit/chat_load.py" --port "$2" --clients 8 --requests 8 --max-tokens 4 --system-words 280 --model bench --key "$3" 2>&1 | tee "$out/load.log"
    say "$1, 8 prompts: $(grep '^{' "$out/load.log" || echo failed)"
}

# ready PORT PATH: waits until a server answers.
ready() {
    for _ in $(seq 120); do
        python3 -c "import sys, urllib.request as u; u.urlopen('http://127.0.0.1:$1$2', timeout=2)" 2>/dev/null && return
        sleep 1
    done
    echo "the server on port $1 did not answer within two minutes"
    return 1
}

serve() {
    local file clients="1 32" small=() pid key port=18181
    if [ "$card" != yes ]; then small=(--layers 2) clients=1; fi
    file=$(model "${CLOISTER_SERVED:-$([ "$card" = yes ] && echo llama-8b || echo smollm2-135m)}" q4_k "${small[@]}")
    for server in cloister llama-server; do
        if [ "$server" = cloister ]; then
            try 60 "$kit/cloister-cuda" model import "$file" --home "$work/home" --name bench
            key=$("$kit/cloister-cuda" key add --role user --home "$work/home" 2>/dev/null)
            "$kit/cloister-cuda" serve --home "$work/home" --listen 127.0.0.1:$port --parallel 32 --context 2048 >"$out/server.log" 2>&1 &
            pid=$!
        else
            [ -x "$kit/llama-server" ] || { say "llama-server: not packed"; continue; }
            "$kit/llama-server" -m "$file" --port $port -ngl 99 -np 32 -c 65536 -fa on >"$out/server.log" 2>&1 &
            pid=$!
        fi
        ready $port /health
        prompts "$server" $port "${key:-none}"
        for n in $clients; do load "$server" $port "$n" "${key:-none}"; done
        if [ "$server" = cloister ]; then # planned, and what the card says
            try 60 "$kit/cloister-cuda" status --home "$work/home" | tee "$out/load.log"
            say "cloister, planned: $(grep '^bench ' "$out/load.log" | tr -s ' ')"
            [ "$card" = no ] || say "cloister, taken: $(nvidia-smi --query-compute-apps=used_memory --format=csv,noheader | tr '\n' ' ')"
        fi
        kill "$pid" 2>/dev/null
        wait "$pid"
        tail -20 "$out/server.log"
    done
    rm -f "$out/load.log" "$out/server.log"
}

unpack
work=$(mktemp -d "${TMPDIR:-/tmp}/cuda-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
card=no
"$kit/cloister-cuda" doctor | grep -qE '^ok +card ' && card=yes
if [ "$card" = yes ]; then
    say "$(date -u '+%F %T') $("$kit/cloister-cuda" doctor | grep -E ' card ' | tr -s ' ')"
else
    say "$(date -u '+%F %T') no card: $("$kit/cloister-cuda" doctor | grep -E ' cuda ' | tr -s ' ')"
fi
parts=("$@")
[ $# -gt 0 ] || parts=(check tests products train serve)
for part in "${parts[@]}"; do
    case $part in
        check | tests | products | train | serve) "$part" > >(tee "$out/$part.txt") 2>&1; wait $! ;;
        *) echo "cuda-run.sh knows no part $part: check, tests, products, train, serve" >&2; exit 2 ;;
    esac
done
echo "results: $out"
[ $failed = 0 ] || exit 1
[ "$card" = yes ] || exit 3
