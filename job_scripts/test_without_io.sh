#!/bin/bash
# The solver without HDF5, as for an MPI that HDF5 was not built with: builds with -DDEEPPCR_IO=OFF and runs its tests.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need "$(grep -v hdf5 <<<"$program_packages")"
build release all "$root/build/without_io" -DDEEPPCR_IO=OFF
run_tests "$root/build/without_io" "$@"
