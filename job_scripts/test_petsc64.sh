#!/bin/bash
# Builds against PETSc with 64-bit indices, runs the tests and one chain of more than 2^31 numbers.
#   ELEMENTS  numbers in the trajectory, L * B * n   (default: just above 2^31)
#   ARRAYS    arrays of that size that a solve holds at its peak, for the estimate of memory (default 10)
# With too little memory the large run is left out, and the last line says so.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

steps=4096 width=16
elements=${ELEMENTS:-$((2 ** 31 + steps * width))}
arrays=${ARRAYS:-10}
batch=$((elements / (steps * width)))

need "$program_packages$data_packages$petsc64_packages"
build release all "$root/build/petsc64" -DDEEPPCR_PETSC64=ON
run_tests "$root/build/petsc64" "$@"

needed=$((arrays * 8 * steps * batch * width / 1024 ** 3))
available=$(awk '/MemAvailable/ { print int($2 / 1024 ^ 2) }' /proc/meminfo)
say "Large run: L = $steps, B = $batch, n = $width: about $needed GiB of memory, $available GiB are there"
if ((needed > available)); then
  say "Left out for lack of memory"
  exit 0
fi
prepare_mpi 2
mpirun -n 2 "$root/build/petsc64/bin/deeppcr" solve --model resnet --steps "$steps" --width "$width" \
  --batch "$batch" --data random --linear hybrid
