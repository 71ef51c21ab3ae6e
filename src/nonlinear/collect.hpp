#pragma once

#include <map>
#include <string>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::nonlinear {

/// Maximum over ranks of the seconds of the stages named; the names must be the same on all ranks.
/// Collective.
std::map<std::string, double> slowest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages);
/// The minimum over ranks.
std::map<std::string, double> fastest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages);

/// Messages and bytes of all ranks together. Collective.
parallel::Traffic total_traffic(const parallel::Communicator& comm, const parallel::Traffic& mine);
parallel::TrafficByLevel total_traffic(const parallel::Communicator& comm,
                                       const parallel::TrafficByLevel& mine);

}  // namespace deeppcr::nonlinear
