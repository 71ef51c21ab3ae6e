#!/bin/bash
# shellcheck disable=SC2034  # the package lists are for the scripts that source this one
# Set-up for all job scripts: finds what is missing, installs it with apt-get where that is possible, builds a preset.
#
#   job_scripts/setup.sh          installs what the program needs and builds preset release into build/release;
#                                 DEEPPCR_WITH_TORCH=1: also PyTorch's library, and with it the plug-in of --model torch
#   source job_scripts/setup.sh   only defines the functions below
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEEPPCR_PYTHON:-/usr/bin/python3}

say() { printf '\n==> %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Probes. A library counts as present wherever it comes from: Debian, Spack or a cluster's modules.
has_program() { command -v "$1" >/dev/null; }
has_package() { pkg-config --exists "$1" 2>/dev/null; }
has_header() { echo "#include <$1>" | c++ -std=c++17 -E -x c++ - >/dev/null 2>&1; }
has_module() { "$python" -c "import $1" >/dev/null 2>&1; }

# What the program is built and run with: Debian package | Spack | environment module | probe.
program_packages="
g++                          | gcc                  | gcc         | has_program c++
cmake                        | cmake                | cmake       | has_program cmake
ninja-build                  | ninja                | ninja       | has_program ninja
pkg-config                   | pkgconf              | pkgconf     | has_program pkg-config
libopenmpi-dev               | openmpi              | openmpi     | has_program mpicc
openmpi-bin                  | openmpi              | openmpi     | has_program mpirun
petsc-dev                    | petsc                | petsc       | has_package PETSc
libhdf5-openmpi-dev          | hdf5+mpi             | hdf5        | has_program h5pcc
libopenblas-dev              | openblas             | openblas    | has_package openblas || has_package mkl-dynamic-lp64-seq || has_package blis
libxsmm-dev                  | libxsmm              | libxsmm     | has_header libxsmm.h
libeigen3-dev                | eigen                | eigen       | has_package eigen3
libboost-program-options-dev | boost+program_options | boost      | has_header boost/program_options.hpp
libspdlog-dev                | spdlog               | spdlog      | has_header spdlog/spdlog.h
libfmt-dev                   | fmt                  | fmt         | has_header fmt/format.h
nlohmann-json3-dev           | nlohmann-json        | nlohmann-json | has_header nlohmann/json.hpp
libpng-dev                   | libpng               | libpng      | has_header png.h
zlib1g-dev                   | zlib                 | zlib        | has_header zlib.h
libgtest-dev                 | googletest           | googletest  | has_header gtest/gtest.h
python3-h5py                 | py-h5py              | py-h5py     | has_module h5py
python3-matplotlib           | py-matplotlib        | matplotlib  | has_module matplotlib
"
# What the program does without, with less: recordings as input.
optional_packages="
libsndfile1-dev              | libsndfile           | libsndfile  | has_package sndfile
"
# For tests of the exporter.
onnx_packages="
python3-onnx                 | py-onnx              | -           | has_module onnx
"
# The electrocardiogram of ecg_signal.py.
scipy_packages="
python3-scipy                | py-scipy             | scipy       | has_module scipy
"
# Data of the main job; elsewhere: the four .gz files of Fashion-MNIST in any folder, given by --data FOLDER.
data_packages="
dataset-fashion-mnist        | -                    | -           | test -d /usr/share/datasets/fashion-mnist
"
# The plug-in of --model torch, with DEEPPCR_WITH_TORCH=1; and its tests.
torch_packages="
libtorch-dev                 | py-torch             | pytorch     | has_header torch/script.h
"
torch_test_packages="
python3-torch                | py-torch             | pytorch     | has_module torch
"
format_packages="
clang-format                 | llvm                 | llvm        | has_program clang-format
"
clang_packages="
clang                        | llvm                 | llvm        | has_program clang++
"
# A real Slurm for the tests of the batch scripts; without it they are skipped.
slurm_packages="
slurm-wlm                    | slurm                | slurm       | has_program slurmctld
munge                        | munge                | munge       | has_program munged
"
# Simulated clusters: the simulator, and what PETSc's source package is fetched and built with.
simulator_packages="
libsimgrid-dev               | simgrid+smpi         | -           | has_program smpirun && has_program smpicxx
dpkg-dev                     | -                    | -           | has_program dpkg-source
make                         | gmake                | -           | has_program make
python3                      | python               | python      | has_program python3
"
petsc64_packages="
petsc64-dev                  | petsc+int64          | petsc       | has_package PETSc64
"

# Sets missing_debian, missing_spack and missing_modules from package lists like those above.
find_missing() {
  missing_debian=() missing_spack=() missing_modules=()
  local debian spack module probe
  while IFS='|' read -r debian spack module probe; do
    read -r debian <<<"$debian"
    [[ -n $debian ]] || continue
    if ! eval "$probe"; then
      read -r spack <<<"$spack"
      read -r module <<<"$module"
      missing_debian+=("$debian") missing_spack+=("$spack") missing_modules+=("$module")
    fi
  done <<<"$*"
}

# The words of an array without repetitions and without "-".
unique() { printf '%s\n' "$@" | grep -vx -- - | sort -u | tr '\n' ' '; }

# need LISTS..: ends here with names when something is missing and cannot be installed.
need() {
  find_missing "$@"
  [[ ${#missing_debian[@]} -gt 0 ]] || return 0
  if [[ $(id -u) -ne 0 ]] || ! has_program apt-get; then
    cat >&2 <<TEXT
error: these are missing: ${missing_debian[*]}
  Debian or Ubuntu, as administrator:  apt-get install ${missing_debian[*]}
  Spack:                               spack install $(unique "${missing_spack[@]}")
  environment modules:                 module load $(unique "${missing_modules[@]}")
Then run this again.
TEXT
    exit 1
  fi
  install_debian "${missing_debian[@]}"
  find_missing "$@"
  [[ ${#missing_debian[@]} -eq 0 ]] || fail "still not usable after their installation: ${missing_debian[*]}"
}

# want LISTS..: installs what is missing where that is possible, and goes on without it elsewhere.
want() {
  find_missing "$@"
  [[ ${#missing_debian[@]} -gt 0 ]] || return 0
  if [[ $(id -u) -eq 0 ]] && has_program apt-get && (install_debian "${missing_debian[@]}"); then return; fi
  say "Going on without ${missing_debian[*]}"
}

install_debian() {
  say "Installing $*"
  export DEBIAN_FRONTEND=noninteractive
  local log
  log=$(mktemp)
  if ! { apt-get update && apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install them; the whole log is $log"
  fi
  rm -f "$log"
}

# Makes mpirun able to start RANKS processes here; sets only what this machine needs. A cluster needs nothing.
prepare_mpi() {
  local ranks=$1
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
  if [[ -e /.dockerenv || -e /run/.containerenv ]]; then
    # Containers often forbid one process to read another's memory.
    export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
  fi
  if starts "$ranks"; then return; fi
  if [[ $(id -u) -eq 0 ]]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    if starts "$ranks"; then return; fi
  fi
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
  starts "$ranks" || fail "'mpirun -n $ranks true' does not work: $(mpirun -n "$ranks" true 2>&1 | grep . | head -n 3)"
}
starts() { mpirun -n "$1" true >/dev/null 2>&1; }

# run_mpi RANKS COMMAND..: mpirun, to which a SIGTERM to the script goes as SIGUSR1: two seconds after a SIGTERM it would kill
# its ranks, whatever they are writing. The exit code is the command's.
run_mpi() {
  mpirun -n "$@" &
  local job=$! code signalled=1
  trap 'signalled=1; kill -USR1 "$job"' TERM
  # A signal ends wait early: then wait again.
  while ((signalled)); do
    code=0 signalled=0
    wait "$job" || code=$?
  done
  trap - TERM
  return "$code"
}

# build PRESET [TARGET [FOLDER [CMAKE_OPTIONS..]]]: configures at the first call, then only builds what has changed.
build() {
  local preset=$1 target=${2:-all} folder=${3:-$root/build/$1}
  local options=("${@:4}")
  if [[ ! -e $folder/CMakeCache.txt ]]; then
    say "Configuring preset $preset in $folder"
    if has_program ninja; then options+=(-G Ninja); fi
    if has_program ccache; then
      options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    if ! (cd "$root" && cmake --preset "$preset" -B "$folder" "${options[@]}") >&2; then
      rm -f "$folder/CMakeCache.txt"  # so that the next call configures again
      fail "CMake could not configure; its last lines say why"
    fi
  fi
  say "Building $folder"
  cmake --build "$folder" --target "$target" --parallel "$(nproc)" >&2 ||
    fail "the build of $folder failed; see above"
}

# run_tests FOLDER [CTEST_OPTIONS..]
run_tests() {
  say "Testing $1"
  ctest --test-dir "$1" --output-on-failure --parallel 1 --no-tests=error "${@:2}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  packages=$program_packages
  if [[ ${DEEPPCR_WITH_TORCH:-0} == 1 ]]; then packages+=$torch_packages; fi
  need "$packages"
  want "$optional_packages"
  build release deeppcr
  say "Ready: $root/build/release/bin/deeppcr --help"
fi
