#!/bin/bash
# Trains the denoiser of Fashion-MNIST images that comes with the program, on one core, and exports it with its noise schedule
# and the moments of the images. Goes on where it was stopped.
# DEEPPCR_HOURS (1, in all) and DEEPPCR_SEED (0) say how long and from which random numbers.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$torch_test_packages$data_packages
python3-h5py                 | py-h5py              | py-h5py     | has_module h5py
python3-matplotlib           | py-matplotlib        | matplotlib  | has_module matplotlib
"
export DEEPPCR_UNET=${DEEPPCR_UNET:-$root/runs/fashion-mnist-unet}
unet=$root/job_scripts/fashion_mnist_unet.py

say "Training"
"$python" "$unet" train "$DEEPPCR_UNET" --hours "${DEEPPCR_HOURS:-1}" --seed "${DEEPPCR_SEED:-0}"
"$python" "$root/apps/export_pytorch.py" --denoiser "$unet:make_denoiser" -o "$DEEPPCR_UNET/fashion_mnist_unet.pt"
"$python" "$unet" files "$DEEPPCR_UNET"
say "Samples"
"$python" "$unet" sample "$DEEPPCR_UNET" -o "$DEEPPCR_UNET/samples.png"
say "Exported: $DEEPPCR_UNET/fashion_mnist_unet.pt, samples in $DEEPPCR_UNET/samples.png"
