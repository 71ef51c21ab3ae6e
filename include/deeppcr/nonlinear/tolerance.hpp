#pragma once

#include <vector>

#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::nonlinear {

/// What every method holds its states against: each state may be as far from sequential
/// execution's as this allows for the largest state up to it. A tail that has blown up must not
/// excuse wrong states before it.
struct Tolerance {
  double rtol = 1e-10;  ///< relative to the largest state so far
  double atol = 0;
  double limit(double largest) const { return atol + rtol * largest; }
};

/// The limits of the local states by themselves: [m], from the first local step to the last.
/// Infinite or NaN states give an infinite limit from there on. `input` is z_0. Collective.
std::vector<double> limits(const parallel::Communicator& comm, const Tolerance& tolerance,
                           ConstState input, ConstStates states);

}  // namespace deeppcr::nonlinear
