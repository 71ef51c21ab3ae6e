#pragma once

#include <string>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Memory that this computer can still give, in bytes; infinity where it does not say.
double available_bytes();

/// Refuses a run whose ranks on one computer need more than it has; `cause` begins the sentence.
/// Collective. @throws Error on all ranks
void check_memory(const parallel::Communicator& comm, double bytes_of_this_rank,
                  const std::string& cause = "");

}  // namespace deeppcr::app
