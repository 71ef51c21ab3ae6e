#pragma once

#include <cstdint>

#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::nonlinear {

/// Estimates the largest Lyapunov exponent: the average log growth a step of a random unit vector
/// pushed through the Jacobians. Each rank starts a fresh vector at its first step, so the estimate
/// (not the solution) depends a little on the number of ranks.
///
/// Collective. Cost: 2 B n^2 L/P flops. Positive: errors grow along the chain and Newton needs many
/// iterations.
double estimate_lyapunov(const parallel::Communicator& comm, const blocks::Linearisation& A,
                         StepRange local, Index batch, int width);

}  // namespace deeppcr::nonlinear
