#!/bin/bash
# Exports a convolutional residual network for Fashion-MNIST, stem, blocks and head, with weights at random: stem.pt, resnet.pt and
# head.pt in runs/fashion-mnist-resnet (or the folder given). Needs PyTorch. DEEPPCR_BLOCKS, DEEPPCR_CHANNELS and
# DEEPPCR_SEED choose another network than 18 blocks of 16 channels.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$torch_test_packages
python3-h5py                 | py-h5py              | py-h5py     | has_module h5py
"
folder=${1:-$root/runs/fashion-mnist-resnet}
mkdir -p "$folder"
for part in end:stem blocks:blocks:resnet end:head; do
  IFS=: read -r option function name <<<"$part"
  "$python" "$root/apps/export_pytorch.py" "--$option" "$root/job_scripts/fashion_mnist_resnet.py:make_$function" \
    -o "$folder/${name:-$function}.pt"
done
