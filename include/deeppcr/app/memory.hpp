#pragma once

#include "deeppcr/app/config.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Bytes that a rank will hold of a chain in this layout: states, parameters and the linear
/// solver's maps. An estimate from above, within about a factor of two.
double estimate_bytes(const RunConfig& config, const parallel::BlockLayout& layout, int rank);

/// Memory that this computer can still give, in bytes; infinity where it does not say.
double available_bytes();

/// Refuses a run whose ranks on one computer need more than it has. Collective. @throws Error on
/// all ranks
void check_memory(const parallel::Communicator& comm, double bytes_of_this_rank);

}  // namespace deeppcr::app
