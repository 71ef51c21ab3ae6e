#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// B samples, equal on all ranks.
struct Batch {
  Index samples = 0;
  Index features = 0;
  std::vector<Real> inputs;   ///< [B, features]
  std::vector<Index> labels;  ///< [B]; empty where there are none

  View<const Real, 2> view() const { return {inputs.data(), {samples, features}}; }
};

/// Gives rank 0's batch to all. Collective.
void broadcast(const parallel::Communicator& comm, Batch& batch);

}  // namespace deeppcr::io
