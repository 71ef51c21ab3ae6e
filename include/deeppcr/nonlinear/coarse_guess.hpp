#pragma once

#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// Fills the states with those of a coarser chain: every `factor`-th step, with `factor` times the
/// change that it makes, and straight lines between. A first guess for chains whose steps change
/// little and smoothly, such as residual networks (a large Euler step, as in layer-parallel
/// training, arXiv 1812.04352).
///
/// Collective; rank after rank. Cost: L / factor step evaluations in a row, P - 1 messages of B n
/// reals. @pre factor >= 1
void fill_with_coarse_chain(const sequence::Sequence& sequence, Index factor,
                            sequence::Trajectory& trajectory);

}  // namespace deeppcr::nonlinear
