#pragma once

#include <vector>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::sequence {

/// Sequential execution: step after step, the baseline. The state travels from rank to rank in the
/// chain's order, whatever the layout; where each rank holds all steps, each does them all. Starts
/// behind the first `frozen` states, which are kept. Writes trajectory.states(). Collective. Cost:
/// L steps one after another; a message of B n reals wherever the next step is another rank's (P -
/// 1 for a contiguous layout). With `traffic`, adds the messages of all ranks to it.
void propagate(const Sequence& sequence, Trajectory& trajectory, Index frozen = 0,
               parallel::Traffic* traffic = nullptr);

/// max_l ||f_l(z_{l-1}) - z_l||_inf over all ranks, evaluated in pieces: O(B n) memory beyond the
/// trajectory. Any layout. NaN counts as infinity. Collective; the messages of
/// Trajectory::starts().
double largest_residual(const Sequence& sequence, const Trajectory& trajectory);

/// max |x|; infinity where there is a NaN.
inline double largest_entry(ConstState x) { return blocks::largest(x.size(), x.data()); }
/// That of each step: [m].
std::vector<double> step_norms(ConstStates r);

}  // namespace deeppcr::sequence
