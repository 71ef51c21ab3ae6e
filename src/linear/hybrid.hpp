#pragma once

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Local elimination, PCR across ranks, local substitution. The default.
///
/// (1) each rank composes its steps into one affine map; (2) the maps are reduced over the ranks in
/// ceil(log2 P) levels, so that each rank gets the composition of all maps before its own; (3)
/// substitution from there. The first rank needs no matrix and does (3) at once; the last rank's
/// map is read by nobody and is not made.
///
/// Cost:   2 B n^2 (n + 2) L/P + 4 B n^3 log2 P flops on the longest path; ceil(log2 P) messages of
/// at most
///         B n (n + 1) reals a rank.
/// Memory: four maps, O(B n^2) beyond the operator.
/// Source: DeepPCR, arXiv 2309.16318, sec. 3, with the reduction at the level of ranks.
class Hybrid : public LinearSolver {
 public:
  const char* name() const override { return "hybrid"; }
  bool substitutes_once() const override { return true; }
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;

 private:
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;
  void reduce_level(const Part& part, Direction direction, int stride, parallel::Traffic& traffic);
  /// later <- later o received_
  void compose_into(blocks::AffineMap& later);

  blocks::AffineMap inclusive_;  ///< own map; after k levels that of the 2^k ranks up to this one
  blocks::AffineMap exclusive_;  ///< the same without this rank's own
  blocks::AffineMap received_, scratch_;
  Buffer<Real> carry_;         ///< what enters this rank's part, [B, n]
  Buffer<Real> constant_out_;  ///< what leaves it
  Buffer<Real> constant_in_;
};

}  // namespace deeppcr::linear
