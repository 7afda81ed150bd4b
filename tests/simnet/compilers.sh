#!/bin/sh
# The same seed must give the same trace whatever compiled it: builds the world with gcc and clang at -O0 and -O2 and compares the hashes of a small run.
# Usage: tests/simnet/compilers.sh [work folder]. Exit status 1: hashes differ; 77: a compiler is missing.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
libs=$(pkg-config --cflags --libs libsodium msgpack libcrypto 2>/dev/null || pkg-config --cflags --libs libsodium msgpack-c libcrypto)
first=
for cc in gcc clang; do
    command -v "$cc" >/dev/null || { echo "compilers.sh: $cc is not installed"; exit 77; }
    for level in -O0 -O2; do
        program=$work/simnet-$cc$level
        # shellcheck disable=SC2086
        "$cc" -std=gnu11 $level -w -fno-strict-aliasing -ffp-contract=off -D_GNU_SOURCE -DSHOAL_VERSION='"test"' -I "$root" -o "$program" \
            "$root"/node/base/*.c "$root"/node/channel/*.c "$root"/dht/*.c "$root"/transfer/*.c "$root"/node/*.c "$root"/node/names/*.c "$root"/simnet/engine/*.c \
            "$root/simnet/scenario/config.c" "$root/simnet/report/metrics.c" "$root"/simnet/world/*.c "$root/tests/bench/simnet_bench.c" $libs
        for run in "trace 30 240" "fuzz 10 600 3"; do
            # shellcheck disable=SC2086
            echo "$run: $("$program" $run | sed -n 's/.*hash //p')"
        done >"$program.hash"
        first=${first:-$program.hash}
        echo "$cc $level: $(tr '\n' ' ' <"$program.hash")"
        cmp -s "$first" "$program.hash" || { echo "compilers.sh: $cc $level tells another story than $(basename "$first" .hash)"; exit 1; }
    done
done
