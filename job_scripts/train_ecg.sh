#!/bin/bash
# From a fresh machine to a GRU that predicts the next value of an electrocardiogram: cuts SciPy's recording into sequences of
# a second, trains on the first four minutes, scores on the last, draws trace and prediction. Asks nothing. Called again after a
# stop it goes on; words are passed on to deeppcr train.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$scipy_packages"
build release deeppcr
ranks=${DEEPPCR_RANKS:-$(nproc)}
prepare_mpi "$ranks"

runs=$root/runs/ecg
deeppcr=$root/build/release/bin/deeppcr
mkdir -p "$runs"
fourth_minute=86400
signal() { "$python" "$root/job_scripts/ecg_signal.py" --steps 360 --force -o "$@"; }
[[ -e $runs/train.h5 ]] || signal "$runs/train.h5" --last $fourth_minute
[[ -e $runs/test.h5 ]] || signal "$runs/test.h5" --first $fourth_minute

say "Training on $ranks ranks"
run_mpi "$ranks" "$deeppcr" train --model gru --width 32 --input "$runs/train.h5" --test-input "$runs/test.h5" \
  --loss mean-square --loss-at each --batch 16 --epochs 100 --learning-rate 1e-2 --evaluate-every 10 \
  --trace "$runs/run.h5" --checkpoint "$runs/checkpoint.h5" --restart auto "$@"
say "The score of the checkpoint"
mpirun -n "$ranks" "$deeppcr" evaluate --restart "$runs/checkpoint.h5" --output "$runs/predictions.h5"
"$python" "$root/apps/plot_trace.py" "$runs/run.h5" -o "$runs/run.png"
"$python" "$root/apps/plot_trace.py" "$runs/predictions.h5" --signal "$runs/test.h5" --sample 7 -o "$runs/prediction.png"
"$python" - "$runs/test.h5" <<'PYTHON'
import sys
import h5py
with h5py.File(sys.argv[1]) as file:
    x, t = file["inputs"][:, :, 0], file["targets"][:, :, 0]
print(f"For comparison, mean square on the same test: the last value again {((t - x)**2).mean():.2e}, "
      f"a straight line through the last two {((t[:, 1:] - 2 * x[:, 1:] + x[:, :-1])**2).mean():.2e} (mV^2)")
PYTHON
