#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

/// Samples that are sorted by class and cut into as many parts as there are data ranks: each of
/// them learns from its part alone.
struct Shards {
  int ranks = 1;             ///< 1: there are none
  std::vector<int> classes;  ///< [samples]
};

/// Which samples make up each mini-batch: every epoch is a permutation of all samples by (seed,
/// epoch), cut into batches of equal size; what is left over at its end is not used in that epoch.
/// The same for any number of ranks, but where there are shards: then each of them is permuted by
/// itself, and a batch has the samples of the first data rank first.
class SampleOrder {
 public:
  /// @throws Error when a batch has no sample or more than there are
  SampleOrder(Index samples, Index batch, std::uint64_t seed, const Shards& shards = {});

  Index batches_per_epoch() const { return batches_; }
  Index epoch_of(Index step) const { return step / batches_per_epoch(); }

  /// The samples (0..samples-1) of batch `step`, counted from 0 over all epochs: [batch].
  /// Cost: a permutation where the epoch is another than in the last call.
  const Index* batch(Index step);

 private:
  void deal_shards(Index epoch);

  Index samples_;
  Index batch_;
  std::uint64_t seed_;
  int shards_;
  Index batches_;                ///< in an epoch
  std::vector<Index> by_class_;  ///< samples, where there are shards
  Index epoch_ = -1;
  std::vector<Index> order_;
};

}  // namespace deeppcr::train
