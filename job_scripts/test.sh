#!/bin/bash
# Sets up, builds and runs the whole test suite. Words given are passed on to ctest: test.sh -R hybrid
# DEEPPCR_PRESET chooses the preset (release); DEEPPCR_WITH_TORCH=1 also installs PyTorch for the tests that use it.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

packages=$program_packages$data_packages
if [[ ${DEEPPCR_WITH_TORCH:-0} == 1 ]]; then packages+=$torch_packages; fi
if [[ $(id -u) -eq 0 ]] && has_program apt-get; then packages+=$slurm_packages; fi
need "$packages"
want "$optional_packages$onnx_packages$scipy_packages"
preset=${DEEPPCR_PRESET:-release}
build "$preset"
run_tests "$root/build/$preset" "$@"
