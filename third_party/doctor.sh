#!/usr/bin/env bash
# Checks the tools that a build needs and says what to install.
set -u
missing=0

# need TOOL LEAST VERSION-COMMAND PACKAGE
need() {
    local have
    if ! command -v "$1" >/dev/null 2>&1; then
        printf '%-8s missing; install it: %s\n' "$1" "$4"
        missing=1
        return
    fi
    have=$(eval "$3" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+|[0-9]+' | head -1)
    if [ "$(printf '%s\n%s\n' "$2" "$have" | sort -V | head -1)" != "$2" ]; then
        printf '%-8s %s is too old, %s or newer is needed: %s\n' "$1" "$have" "$2" "$4"
        missing=1
        return
    fi
    printf '%-8s %s\n' "$1" "$have"
}

need go      1.26 'go env GOVERSION'   'golang from go.dev, or your distribution'
need gcc     12   'gcc -dumpfullversion' 'apt-get install gcc'
need g++     12   'g++ -dumpfullversion' 'apt-get install g++'
need cmake   3.14 'cmake --version'    'apt-get install cmake'
need ninja   1.10 'ninja --version'    'apt-get install ninja-build'
need make    4    'make --version'     'apt-get install make'
need git     2.30 'git --version'      'apt-get install git'
need python3 3.9  'python3 --version'  'apt-get install python3 python3-pip python3-venv'
need node    18   'node --version'     'apt-get install nodejs'
need npm     8    'npm --version'      'apt-get install npm'
need openssl 1.1  'openssl version'    'apt-get install openssl'
python3 -m pip --version >/dev/null 2>&1 || { echo "python3  has no pip; install it: apt-get install python3-pip"; missing=1; }
python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "python3  has no venv; install it: apt-get install python3-venv"; missing=1; }
command -v flock >/dev/null 2>&1 || { echo "flock    missing; install it: apt-get install util-linux"; missing=1; }
grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo || { echo "cpu      has no AVX2 and FMA, which the binary needs"; missing=1; }
exit $missing
