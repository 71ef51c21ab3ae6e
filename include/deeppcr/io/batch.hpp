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

/// /inputs [B, features] of an HDF5 file, finite and at least one, and, where present, /labels [B],
/// whole numbers from 0 that fit into an int. Rank 0 reads, all get them. Collective.
/// @throws Error (on all ranks) that names the first entry that is not so
Batch read_batch(const parallel::Communicator& comm, const std::string& path);

/// Gives rank 0's batch to all. Collective.
void broadcast(const parallel::Communicator& comm, Batch& batch);

}  // namespace deeppcr::io
