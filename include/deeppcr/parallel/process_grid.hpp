#pragma once

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Ranks on two axes: steps are split over the depth axis, samples over the data axis. Neighbours
/// in depth, which talk most, are neighbours in rank.
///
///     depth 3 x data 2     data 0:  rank 0  1  2     steps -->
///                          data 1:  rank 3  4  5
class ProcessGrid {
 public:
  /// Collective on world, which must outlive the grid. @throws Error when depth * data is not its
  /// size
  ProcessGrid(const Communicator& world, int depth_ranks, int data_ranks);

  const Communicator& world() const { return world_; }
  /// The ranks with this rank's samples and other steps, in the order of steps.
  const Communicator& depth() const { return depth_; }
  /// The ranks with this rank's steps and other samples.
  const Communicator& data() const { return data_; }

 private:
  const Communicator& world_;
  Communicator depth_;
  Communicator data_;
};

}  // namespace deeppcr::parallel
