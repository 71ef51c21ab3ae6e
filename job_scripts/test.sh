#!/bin/bash
# Sets up, builds and runs the whole test suite. Words given are passed on to ctest: test.sh -R hybrid
# DEEPPCR_PRESET chooses the preset (release); DEEPPCR_WITH_TORCH=0 does without PyTorch and the
# tests that use it, =1 insists on it; else it is installed where that is possible.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

packages=$program_packages$data_packages
torch=$torch_packages$torch_test_packages
if [[ ${DEEPPCR_WITH_TORCH:-} == 1 ]]; then packages+=$torch; fi
if [[ $(id -u) -eq 0 ]] && has_program apt-get; then packages+=$slurm_packages; fi
need "$packages"
want "$optional_packages$onnx_packages$scipy_packages"
if [[ ${DEEPPCR_WITH_TORCH:-} != 0 ]]; then want "$torch"; fi
preset=${DEEPPCR_PRESET:-release}
build "$preset"
run_tests "$root/build/$preset" "$@"
