#!/bin/bash
# Builds against PETSc with 64-bit indices, runs the tests and one chain of more than 2^31 numbers.
#   ELEMENTS  numbers in the trajectory, L * B * n   (default: just above 2^31)
#   ARRAYS    arrays of that size that a Newton solve holds at its peak, for the estimate of memory (default 12)
# With too little memory for Newton the large run is sequential, which holds one; with too little for that it is left out, and
# the last line says so.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

steps=1025 width=2
elements=${ELEMENTS:-$((2 ** 31 + steps * width))}
arrays=${ARRAYS:-12}
batch=$((elements / (steps * width)))

need "$program_packages$data_packages$petsc64_packages"
build release all "$root/build/petsc64" -DDEEPPCR_PETSC64=ON
run_tests "$root/build/petsc64" "$@"

gib() { echo $(($1 * 8 * steps * batch * width / 1024 ** 3 + 1)); }
available=$(awk '/MemAvailable/ { print int($2 / 1024 ^ 2) }' /proc/meminfo)
say "Large run: L = $steps, B = $batch, n = $width; Newton needs about $(gib "$arrays") GiB, sequential execution $(gib 1), $available are there"
method=newton ranks=2
if (($(gib "$arrays") > available)); then
  method=sequential ranks=1  # one trajectory in all
fi
if (($(gib 1) + 2 > available)); then
  say "Left out for lack of memory"
  exit 0
fi
prepare_mpi "$ranks"
mpirun -n "$ranks" "$root/build/petsc64/bin/deeppcr" solve --model mlp --activation tanh --steps "$steps" \
  --width "$width" --batch "$batch" --data random --nonlinear "$method"
