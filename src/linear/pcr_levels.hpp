#pragma once

#include <memory>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/outbox.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "linear/level_matrix.hpp"

namespace deeppcr::linear {

/// The levels of cyclic reduction in one direction, with the places where they hand over rows.
///
/// On one node rows are read where their owner lays them down, in two places in turns: those of the
/// next level while those of this one are still read. A rank waits for one that is behind it in the
/// direction of the chain only where it is a whole level ahead.
class PcrLevels {
 public:
  /// Levels for every stride below shape.rows.size(); shape.stride is not looked at. Without
  /// `share_node` all rows travel. Collective on comm, which must live on, as is destruction.
  PcrLevels(const parallel::Communicator& comm, const LevelShape& shape, bool share_node = true);

  bool shares_node() const { return !outboxes_.empty(); }

  /// Solves x = N x + r: r <- x, and the blocks are used up. Shapes as in LevelMatrix::advance().
  /// Collective.
  void reduce(Blocks blocks, States r, parallel::TrafficByLevel& traffic);

 private:
  void make_outboxes(const parallel::Communicator& comm, const LevelShape& shape);

  std::vector<parallel::Outbox> outboxes_;  ///< for blocks, for columns; and again
  std::vector<std::unique_ptr<LevelMatrix>> levels_;
  Workspace work_;
};

}  // namespace deeppcr::linear
