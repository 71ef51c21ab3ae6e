#pragma once

#include "harness.hpp"

namespace deeppcr::bench {

void run_compose(Harness& harness);
void run_sequential_loops(Harness& harness);
void run_cells(Harness& harness);
void run_pcr_scaling(Harness& harness);
void run_hybrid(Harness& harness);
void run_petsc(Harness& harness);
void run_newton(Harness& harness);
void run_generate(Harness& harness);
void run_shooting(Harness& harness);
void run_pipeline(Harness& harness);
void run_wavefront(Harness& harness);
void run_streams(Harness& harness);
void run_path(Harness& harness);
void run_memory(Harness& harness);
void run_trace(Harness& harness);

/// What generate compares with sequential sampling.
std::vector<std::string> sampling_methods();

/// max |a - b| / max |b| of this rank; infinity where there is a NaN.
double local_difference(Index count, const Real* a, const Real* b);

}  // namespace deeppcr::bench
