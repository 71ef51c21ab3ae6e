# shellcheck shell=bash
# Sourced by the Slurm scripts: runs a command with srun, hands a coming time limit on to it, and puts the job back in the
# queue when it has stopped in order with a checkpoint (exit code 85).
#
#   DEEPPCR      the program (default: build/release/bin/deeppcr in the folder that sbatch was called in)
#   SRUN_OPTIONS for srun; many clusters need --mpi=pmix, the default
set -euo pipefail

deeppcr=${DEEPPCR:-$SLURM_SUBMIT_DIR/build/release/bin/deeppcr}
read -r -a srun_options <<<"${SRUN_OPTIONS:---mpi=pmix}"
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OPENBLAS_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
# Names of files in options are those of the folder that sbatch was called in; results go to the folder of the job by their
# whole names.
cd "$SLURM_SUBMIT_DIR"
if [[ ! -x $deeppcr ]]; then
  echo "error: $deeppcr is no program: run job_scripts/setup.sh, call sbatch from the same folder, or set DEEPPCR" >&2
  exit 1
fi

# record_environment FOLDER: what a reader of the results must know to run them again.
record_environment() {
  {
    date --utc +%FT%TZ
    echo "job $SLURM_JOB_ID, restart ${SLURM_RESTART_COUNT:-0}, nodes $SLURM_JOB_NODELIST"
    git -C "$SLURM_SUBMIT_DIR" describe --always --dirty 2>/dev/null || true
    "$deeppcr" --version
    scontrol show job "$SLURM_JOB_ID"
    env | grep -E '^(SLURM|OMP|OMPI|OPENBLAS|PMIX|PETSC|LOADEDMODULES)' | sort
  } >>"$1/environment.txt" 2>&1
}

# run_or_requeue COMMAND..: the exit code is the command's. USR1 comes from --signal=B:USR1@120 to this shell alone.
run_or_requeue() {
  srun "${srun_options[@]}" "$@" &
  local step=$! code signalled=1
  trap 'signalled=1; kill -USR1 "$step"' USR1
  # A signal ends wait early: then wait again.
  while ((signalled)); do
    code=0 signalled=0
    wait "$step" || code=$?
  done
  trap - USR1
  if ((code == 85)); then
    echo "stopped in order with a checkpoint: back in the queue" >&2
    scontrol requeue "$SLURM_JOB_ID" >&2
  fi
  return "$code"
}
