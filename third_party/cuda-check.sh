#!/usr/bin/env bash
# cuda-check.sh FILE: fails unless FILE needs nothing but the C library, and says its size and the oldest glibc it runs on.
. "$(dirname "$0")/lib.sh"

needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for lib in $needed; do
    case $lib in
        libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-x86-64.so.2) ;;
        *) die "$1 needs $lib, which a bare machine may lack" ;;
    esac
done
glibc=$(readelf -W --version-info "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
[ "$(printf '%s\nGLIBC_2.34\n' "$glibc" | sort -V | tail -1)" = GLIBC_2.34 ] || die "$1 needs $glibc; glibc.c has what keeps it at GLIBC_2.34"
echo "$1: $(du -m "$1" | cut -f1) MB, needs $(echo $needed) ($glibc)"
