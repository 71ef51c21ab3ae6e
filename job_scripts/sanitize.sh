#!/bin/bash
# Builds with the address and undefined-behaviour sanitizers and runs the tests of one rank.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
build sanitize
run_tests "$root/build/sanitize" --label-regex '^ranks1$' "$@"
