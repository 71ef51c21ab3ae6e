#!/bin/bash
# Trains a pair of networks such as comes with the program (apps/networks/fashion_mnist.h5): an autoencoder of
# Fashion-MNIST images and a denoiser of its latents. Goes on where it was stopped.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
build release deeppcr
prepare_mpi 2

runs=$root/runs/networks
deeppcr=$root/build/release/bin/deeppcr
mkdir -p "$runs"
say "Autoencoder"
run_mpi 2 "$deeppcr" train --model autoencoder --data fashion-mnist --width 32 --epochs 12 \
  --checkpoint "$runs/autoencoder.h5" --restart auto
say "Denoiser"
run_mpi 2 "$deeppcr" train --model denoiser --autoencoder "$runs/autoencoder.h5" --data fashion-mnist --epochs 15 \
  --checkpoint "$runs/denoiser.h5" --restart auto
"$python" "$root/apps/networks/pack.py" "$runs/autoencoder.h5" "$runs/denoiser.h5" -o "$runs/fashion_mnist.h5"
say "Packed: $runs/fashion_mnist.h5"
