#!/bin/bash
# From a fresh machine to the main job: the forward and the backward pass of a 1024-layer residual network on
# Fashion-MNIST images, in parallel over its layers on 2 ranks. Asks nothing; a second run only runs.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
build release deeppcr
prepare_mpi 2

runs=$root/runs/quickstart
deeppcr=$root/build/release/bin/deeppcr
problem=(--model resnet --steps 1024 --width 16 --batch 8 --data fashion-mnist --linear hybrid)
mkdir -p "$runs"

say "Forward pass: all 1024 layers at once, compared with layer after layer"
mpirun -n 2 "$deeppcr" solve "${problem[@]}" --verify --trace "$runs/run.h5"
say "Backward pass: the gradient of the loss, the same way"
mpirun -n 2 "$deeppcr" gradient "${problem[@]}" --verify --output "$runs/gradients.h5"
say "Diffusion: 16 images in 1000 denoising steps, by sweeps over many steps or one after another, whichever is faster"
mpirun -n 2 "$deeppcr" generate --samples 16 --tolerance 1e-2 --network-precision float32 --verify --image "$runs/samples.png"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"

cat <<TEXT

The tables above compare with sequential execution. On disk:
  trace      $runs/run.h5        ($deeppcr inspect $runs/run.h5)
  gradients  $runs/gradients.h5
  picture    $runs/run.png
  samples    $runs/samples.png
Next, try another method or a deeper network:
  mpirun -n 2 $deeppcr solve --model mlp --activation tanh --steps 8192 --width 16 --linear pcr --verify
TEXT
