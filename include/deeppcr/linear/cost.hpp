#pragma once

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::linear {

/// What one solve costs, by formula. Tests hold the counts of messages and bytes against it.
struct Cost {
  parallel::TrafficByLevel levels;  ///< sent by all ranks together, for each reduction level
  parallel::Traffic neighbours;     ///< the rest: halos and pipelines, all ranks together
  double critical_flops = 0;        ///< on the longest path through the ranks, products weighted
  double sequential_flops = 0;      ///< 2 B n^2 L, for comparison
};

/// The size of one chain problem, as the cost formulas need it.
struct Problem {
  parallel::BlockLayout layout;
  Index batch = 1;
  int width = 1;
  Index frozen = 0;
  /// What a flop in a matrix product counts for in critical_flops, against one in a matrix-vector
  /// product.
  double product_weight = 1;
};

/// The longest chain of work that had to be done one after another, in steps: what bounds the time
/// on any number of ranks. Sequential execution: L evaluations.
struct CriticalPath {
  double evaluations = 0;  ///< work like one step for the batch, n^2 a sample: values, columns
  double products = 0;     ///< products with n columns a sample, n^3
};

/// Steps of the rank that has most.
inline Index longest_part(const parallel::BlockLayout& layout) {
  Index most = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) {
    const Index size = layout.count(p);
    if (size > most) most = size;
  }
  return most;
}

}  // namespace deeppcr::linear
