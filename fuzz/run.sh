#!/bin/sh
# Fuzzes on stable Rust, guided by coverage: fuzz/run.sh SECONDS [TARGET...]  (nothing named: all, one after the other)
#
# Coverage comes from LLVM's sancov pass, which stable rustc runs when asked; `cargo fuzz run TARGET` (nightly) builds the
# same targets and replays the same inputs. An input that fails is left in fuzz/artifacts/TARGET/.
set -eu
[ $# -ge 1 ] || { echo "usage: fuzz/run.sh SECONDS [TARGET...]" >&2; exit 2; }
seconds=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
[ $# -ge 1 ] || set -- $(cd fuzz_targets && ls | sed 's/\.rs$//')

# A target triple, so that build scripts and macros are built without the pass.
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$here/target}
export CARGO_TARGET_DIR="$target_dir"
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"

# Unoptimised: it runs for a second, and building it would otherwise cost as much as the targets.
cargo build --bin seeds
"$target_dir/debug/seeds" "$here/../fixtures" "$here/corpus"
RUSTFLAGS="--cfg fuzzing $(echo $coverage)" cargo build --release --target "$host" $(printf -- '--bin %s ' "$@")

for name in "$@"; do
    mkdir -p "corpus/$name" "artifacts/$name"
    echo "== $name: $seconds seconds"
    # rss_limit_mb stands behind the limit of 64 MiB on a single allocation; timeout is seconds for one input.
    "$target_dir/$host/release/$name" "corpus/$name" -artifact_prefix="artifacts/$name/" -max_total_time="$seconds" \
        -max_len=16384 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -use_value_profile=1 -verbosity=0
done
