#!/bin/bash
# Builds with the address and undefined-behaviour sanitizers and runs the tests of one rank.
# Little is optimised: with -O2 the build alone takes longer than both together.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$program_packages$data_packages"
build sanitize
run_tests "$root/build/sanitize" --label-regex '^ranks1$' "$@"
