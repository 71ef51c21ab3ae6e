#!/bin/bash
# From a fresh machine to a trained residual network of 1024 layers on Fashion-MNIST: trains on all cores by the method that the
# cost formulas pick, scores the checkpoint, draws the trace. Asks nothing. Called again after a stop it goes on; words are
# passed on to deeppcr train.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
build release deeppcr
ranks=${DEEPPCR_RANKS:-$(nproc)}
prepare_mpi "$ranks"

runs=$root/runs/fashion-mnist
deeppcr=$root/build/release/bin/deeppcr
mkdir -p "$runs"

say "Training on $ranks ranks"
run_mpi "$ranks" "$deeppcr" train --model resnet --steps 1024 --width 16 --data fashion-mnist --batch 32 --epochs 4 \
  --trace "$runs/run.h5" --checkpoint "$runs/checkpoint.h5" --restart auto "$@"
say "The score of the checkpoint"
mpirun -n "$ranks" "$deeppcr" evaluate --restart "$runs/checkpoint.h5"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"
