#pragma once

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

}  // namespace deeppcr::sequence
