#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

/// Which samples make up each mini-batch: every epoch is a permutation of all samples by (seed,
/// epoch), cut into batches of equal size; what is left over at its end is not used in that epoch.
/// The same for any number of ranks.
class SampleOrder {
 public:
  /// @throws Error when a batch has no sample or more than there are
  SampleOrder(Index samples, Index batch, std::uint64_t seed);

  Index batches_per_epoch() const { return samples_ / batch_; }
  Index epoch_of(Index step) const { return step / batches_per_epoch(); }

  /// The samples (0..samples-1) of batch `step`, counted from 0 over all epochs: [batch].
  /// Cost: a permutation where the epoch is another than in the last call.
  const Index* batch(Index step);

 private:
  void permute(Index epoch);

  Index samples_;
  Index batch_;
  std::uint64_t seed_;
  Index epoch_ = -1;
  std::vector<Index> order_;
};

}  // namespace deeppcr::train
