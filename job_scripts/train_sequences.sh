#!/bin/bash
# From a fresh machine to a trained recurrent cell, on all cores. The first word says on what; further ones are passed on to
# deeppcr train:
#   rows     Fashion-MNIST, an image row a step (28 steps)
#   pixels   Fashion-MNIST, a pixel a step (784 steps)
# Asks nothing. Called again after a stop it goes on. Scores the checkpoint and draws the trace.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

case ${1:-} in
  rows|pixels) what=$1; shift ;;
  *) echo "train_sequences.sh: say rows or pixels, then options of deeppcr train" >&2; exit 1 ;;
esac

need "$program_packages$data_packages"
build release deeppcr
ranks=${DEEPPCR_RANKS:-$(nproc)}
prepare_mpi "$ranks"

runs=$root/runs/fashion-$what
deeppcr=$root/build/release/bin/deeppcr
mkdir -p "$runs"

case $what in
  rows) words=(--model gru --layers 1 --width 128 --batch 64 --epochs 10) ;;
  pixels) words=(--model gru --layers 1 --width 64 --batch 64 --epochs 10) ;;
esac

say "Training on $ranks ranks"
run_mpi "$ranks" "$deeppcr" train --data fashion-mnist --as "$what" "${words[@]}" \
  --trace "$runs/run.h5" --checkpoint "$runs/checkpoint.h5" --restart auto "$@"
say "The score of the checkpoint"
mpirun -n "$ranks" "$deeppcr" evaluate --restart "$runs/checkpoint.h5" --output "$runs/predictions.h5"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"
