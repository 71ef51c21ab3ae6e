#pragma once

#include "deeppcr/core/machine.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/scan_lines.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::linear {

/// The longest chain of work that had to be done one after another, in steps: what bounds the time
/// on any number of ranks. Sequential execution: L evaluations.
struct CriticalPath {
  double evaluations = 0;  ///< work like one step for the batch, n^2 a sample: values, columns
  double products = 0;     ///< products with n columns a sample, n^3

  /// Where one of each takes so long.
  double seconds(double evaluation, double product) const {
    return evaluations * evaluation + products * product;
  }
};

/// What one solve costs, by formula; of a solver that iterates, one sweep. Tests hold the counts of
/// messages and bytes against it.
struct Cost {
  parallel::TrafficByLevel levels;  ///< sent by all ranks together, for each reduction level
  parallel::Traffic neighbours;     ///< the rest: halos and pipelines, all ranks together
  double critical_flops = 0;        ///< on the longest path through the ranks, products weighted
  double network = 0;               ///< seconds of messages one after another, by machine().network
  CriticalPath path;
  /// Bytes that a rank needs at most beyond the operator, the right-hand side and the result.
  double memory = 0;
  /// Reals in the largest message, or in the largest array that is described to MPI as one.
  double largest_message = 0;
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
  /// Ranks of a node, which scans over ranks go by.
  int node_ranks = machine().network.node_ranks;

  /// A state of all samples, [B, n].
  double state_reals() const { return static_cast<double>(batch) * width; }
  Index state_bytes() const { return batch * width * Index{sizeof(Real)}; }
  /// 2 B n^2 m: of substitution through m steps.
  double flops(Index steps) const { return 2 * state_reals() * width * static_cast<double>(steps); }
  /// Steps that are not frozen, and the ranks that have some of them.
  Index active_steps() const { return layout.num_steps() - frozen; }
  int active_ranks() const;
  /// How a scan over them goes.
  parallel::ScanLines scan_lines() const;
};

}  // namespace deeppcr::linear
