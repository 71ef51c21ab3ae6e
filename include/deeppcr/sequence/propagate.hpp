#pragma once

#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::sequence {

/// Sequential execution: rank after rank, step after step; the baseline. Starts behind the first
/// `frozen` states, which are kept. Writes trajectory.states(). Collective. Cost: L steps one after
/// another; P - 1 messages of B n reals.
/// With `traffic`, adds the messages of all ranks to it.
void propagate(const Sequence& sequence, Trajectory& trajectory, Index frozen = 0,
               parallel::Traffic* traffic = nullptr);

}  // namespace deeppcr::sequence
