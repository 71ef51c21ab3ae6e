#pragma once

#include "app/config.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Bytes that a rank will hold: states, parameters, and what the solvers say. An estimate from
/// above, within about a factor of two.
double estimate_bytes(const RunConfig& config, const nonlinear::Solver& solver,
                      const nonlinear::Problem& problem, int rank);

/// Memory that this computer can still give, in bytes; infinity where it does not say.
double available_bytes();

/// Refuses a run whose ranks on one computer need more than it has. Collective. @throws Error on
/// all ranks
void check_memory(const parallel::Communicator& comm, double bytes_of_this_rank);

}  // namespace deeppcr::app
