#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::linear {

/// Solves d_l = m_l .* d_{l-1} + r_l, d = 0 before the first step, for diagonal Jacobians: the
/// composition of affine maps, whose matrices are here vectors. Backward
/// g_l = m_{l+1} .* g_{l+1} + r_l, g = 0 behind the last step.
///
/// Cost:   2 B n flops a step, twice; ceil(log2 P) messages of 2 B n reals a rank
/// Source: Blelloch, Prefix sums and their applications, 1990
class DiagonalScan {
 public:
  explicit DiagonalScan(const parallel::Communicator& comm) : comm_(comm) {}

  /// The steps are in rank order on ranks first..last, none of which is empty; other ranks return
  /// at once. Shapes: m, d [m, B, n]; d holds r and becomes the solution. Collective over those
  /// ranks.
  void solve(int first, int last, ConstStates m, States d,
             Direction direction = Direction::forward);

  /// What this rank has sent in the last solve.
  const parallel::TrafficByLevel& level_traffic() const { return levels_; }

 private:
  /// This rank's map, from what enters it to what leaves.
  void compose_own(ConstStates m, ConstStates r, Direction direction);

  const parallel::Communicator& comm_;
  Index state_ = 0;            ///< B n
  Buffer<Real> own_, before_;  ///< maps [2, B n]: matrix, then constant
  parallel::TrafficByLevel levels_;
};

}  // namespace deeppcr::linear
