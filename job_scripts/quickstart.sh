#!/bin/bash
# From a fresh machine to the main jobs, on 2 ranks: a deep network forward and backward, one picture by parallel
# denoising, and the paper's Newton + PCR with its convergence. Asks nothing; a second run only runs.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
want "$optional_packages"
build release deeppcr
build release deeppcr-bench
prepare_mpi 2

runs=$root/runs/quickstart
bin=$root/build/release/bin
mkdir -p "$runs"

say "A network of 8192 layers, forward and backward, 2 ranks against plain code on one; medians of repeated runs"
mpirun -n 2 "$bin/deeppcr-bench" --suite shooting --steps 8192 --width 16 --batch 1 --chains "mlp tanh" --repeats 9 \
  --csv "$runs/speed.csv"

say "One picture in 1000 denoising steps, many of them at once, compared with one after another"
mpirun -n 2 "$bin/deeppcr" generate --samples 1 --tolerance 1e-2 --network-precision float32 --verify \
  --image "$runs/sample.png"

say "The paper's method, Newton with parallel cyclic reduction, on 1024 layers and real images"
mpirun -n 2 "$bin/deeppcr" solve --model mlp --steps 1024 --width 16 --batch 8 --data fashion-mnist --linear pcr --verify \
  --trace "$runs/run.h5" | tee "$runs/pcr.txt"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"
"$python" - "$runs/run.h5" "$runs/pcr.txt" <<'PYTHON'
import re
import sys
import h5py
with h5py.File(sys.argv[1]) as file:
    products = 2 * file["outcome"].attrs["path_products"] / file["problem"].attrs["L"]  # half of them on each rank
with open(sys.argv[2]) as report:
    plain, pcr = map(float, re.search(r"sequential +(\S+) s on .*, (\S+) s by", report.read()).groups())
print(f"""
Newton with PCR multiplied {products:.0f} matrices a layer, where plain code multiplies one matrix by vectors, and took {pcr / plain:.0f} times as long.
Its work divides evenly over ranks, so on this network it would begin to pay from about {2 * pcr / plain:.0f} ranks on: it is for clusters.""")
PYTHON

cat <<TEXT

On disk:
  speed    $runs/speed.csv
  picture  $runs/sample.png
  trace    $runs/run.h5    ($bin/deeppcr inspect $runs/run.h5)
           $runs/run.png
Next, try the default method on a deeper network:
  mpirun -n 2 $bin/deeppcr gradient --model mlp --steps 65536 --width 16 --batch 1 --verify
TEXT
