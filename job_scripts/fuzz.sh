#!/bin/bash
# Gives our own parsers inputs that libFuzzer finds, under the address and undefined-behaviour sanitizers.
#
#   job_scripts/fuzz.sh [RUNS [TARGET..]]   so many inputs for each target: config, idx, picture, recordings,
#                                           safetensors, sampler, weights
#
# What is found lies in build/fuzz/found; each find becomes a test.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$clang_packages"
runs=${1:-1000000}
targets=("${@:2}")
((${#targets[@]})) || targets=(config idx picture recordings safetensors sampler weights)
folder=$root/build/fuzz
for target in "${targets[@]}"; do
  CC=clang CXX=clang++ build sanitize "guided_$target" "$folder" -DDEEPPCR_FUZZER=ON -DDEEPPCR_NATIVE=OFF
  CC=clang CXX=clang++ build sanitize "fuzz_$target" "$folder"
done
mkdir -p "$folder/found"
prepare_mpi 1
for target in "${targets[@]}"; do
  say "$target: $runs inputs"
  "$folder/bin/fuzz_$target" --seeds "$folder/seeds_$target"
  ASAN_OPTIONS=detect_leaks=0 "$folder/bin/guided_$target" -runs="$runs" -seed=1 -max_len=4096 -print_final_stats=1 \
    -artifact_prefix="$folder/found/$target-" "$folder/seeds_$target" 2>&1 | grep -E 'ERROR|SUMMARY|not so|stat::|Done' >&2
done
