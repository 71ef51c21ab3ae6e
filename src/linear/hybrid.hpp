#pragma once

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Local elimination, PCR across ranks, local substitution. The default.
///
/// (1) each rank composes its steps into one affine map; (2) the maps are reduced over the ranks in
/// ceil(log2 P) levels, so that each rank gets the composition of all maps before its own, on
/// several nodes as parallel::ScanLines has it; (3) substitution from there. The first rank needs
/// no matrix and does (3) at once; the last rank's map is read by nobody and is not made.
///
/// Cost:   2 B n^2 (n + 2) L/P + 4 B n^3 log2 P flops on the longest path; ceil(log2 P) messages of
/// at most
///         B n (n + 1) reals a rank; between nodes one a node and level.
/// Memory: four maps, on several nodes five, O(B n^2) beyond the operator.
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
  /// What is before this rank, along one line of ranks.
  struct Before {
    blocks::AffineMap& map;
    Buffer<Real>& constant;
  };
  /// All levels of one line; is_read_at_its_end: the composition of all the line is asked for.
  void reduce(const parallel::RankLine& line, bool begins, bool is_read_at_its_end,
              const Before& before, parallel::Traffic* levels);
  void reduce_level(const parallel::RankLine& line, bool begins, bool is_read_at_its_end,
                    int stride, const Before& before, parallel::Traffic& traffic);
  void reduce_over_ranks(const parallel::ScanLines& lines);
  /// later <- later o received_
  void compose_into(blocks::AffineMap& later);

  blocks::AffineMap inclusive_;  ///< own map; after k levels that of the 2^k ranks up to this one
  blocks::AffineMap exclusive_;  ///< the same without this rank's own
  blocks::AffineMap nodes_;      ///< the same of the nodes before this one
  blocks::AffineMap received_, scratch_;
  Buffer<Real> carry_;         ///< what enters this rank's part, [B, n]
  Buffer<Real> entering_;      ///< what enters its node
  Buffer<Real> constant_out_;  ///< what leaves it
  Buffer<Real> constant_in_;
};

}  // namespace deeppcr::linear
