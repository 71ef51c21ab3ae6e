#!/bin/bash
# A convolutional residual network for Fashion-MNIST as modules of PyTorch: writes stem, blocks and head with weights at random
# (stem.pt, resnet.pt, head.pt), trains them on all cores, scores the checkpoint, and writes the trained modules back
# (trained.pt, trained.embedding.pt, trained.head.pt), all in
# runs/fashion-mnist-modules (DEEPPCR_RUNS: elsewhere). Called again after a stop it goes on;
# words are passed on to deeppcr train. DEEPPCR_BLOCKS, DEEPPCR_CHANNELS and DEEPPCR_SEED choose another network than 18 blocks
# of 16 channels. DEEPPCR_EXPORT_ONLY=1 writes the modules and ends.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$torch_test_packages
python3-h5py                 | py-h5py              | py-h5py     | has_module h5py
"
runs=${DEEPPCR_RUNS:-$root/runs/fashion-mnist-modules}
mkdir -p "$runs"
for part in end:stem blocks:blocks:resnet end:head; do
  IFS=: read -r option function name <<<"$part"
  file=$runs/${name:-$function}.pt
  [[ -f $file ]] || "$python" "$root/apps/export_pytorch.py" "--$option" \
    "$root/job_scripts/fashion_mnist_resnet.py:make_$function" -o "$file"
done
[[ -z ${DEEPPCR_EXPORT_ONLY:-} ]] || exit 0

need "$program_packages$data_packages$torch_packages"
build release deeppcr
cmake "$root/build/release" >&2  # which may have been configured before PyTorch was installed
build release deeppcr_torch
ranks=${DEEPPCR_RANKS:-$(nproc)}
prepare_mpi "$ranks"
deeppcr=$root/build/release/bin/deeppcr

[[ " $* " == *" --epochs "* ]] || set -- --epochs 4 "$@"
say "Training on $ranks ranks"
run_mpi "$ranks" "$deeppcr" train --model torch --module "$runs/resnet.pt" --embedding "$runs/stem.pt" --head "$runs/head.pt" \
  --data fashion-mnist --batch 64 --trace "$runs/run.h5" --checkpoint "$runs/checkpoint.h5" \
  --restart auto --save-module "$runs/trained.pt" "$@"
say "The score of the checkpoint"
mpirun -n "$ranks" "$deeppcr" evaluate --restart "$runs/checkpoint.h5"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"
