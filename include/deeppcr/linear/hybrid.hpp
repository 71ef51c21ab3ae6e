#pragma once

#include <memory>
#include <utility>

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/linear/local_chain.hpp"
#include "deeppcr/linear/speculation.hpp"

namespace deeppcr::linear {

/// Local elimination, PCR across ranks, local substitution. The default.
///
/// (1) each rank composes its steps into one affine map; (2) the maps are reduced over the ranks in
/// ceil(log2 P) levels, so that each rank gets the composition of all maps before its own; (3)
/// substitution from there. The first rank needs no matrix and does (3) at once; the last rank's
/// map is read by nobody and is not made.
///
/// Where a step's time is mostly waiting for the step before (Tuned::overlaps()), (3) goes
/// through two pieces of a rank's part in turns: (1) also keeps the map of the piece that is
/// entered first, and the last rank makes that one alone while it would be idle. Where the chain
/// forgets, the last rank substitutes from a zero carry instead (Speculation): two ranks then take
/// half the time of one, and the steps that the chain remembers.
///
/// Cost:   2 B n^2 (n + 2) L/P + 4 B n^3 log2 P flops on the longest path; ceil(log2 P) messages of
/// at most
///         B n (n + 1) reals a rank.
/// Memory: O(B n^2) beyond the operator.
/// Source: DeepPCR, arXiv 2309.16318, sec. 3, with the reduction at the level of ranks.
class Hybrid : public LinearSolver {
 public:
  const char* name() const override { return "hybrid"; }
  void setup(const blocks::BlockBidiagonal& J) override;
  void solve(ConstStates r, States d) override;
  void solve_transpose(ConstStates c, States g) override;
  bool substitutes_once() const override { return true; }
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;
  double memory(const Problem& problem) const override;
  double largest_message(const Problem& problem) const override;

 private:
  /// Position of this rank along the direction, and who takes part.
  struct Place {
    int first_rank = 0;
    int last_rank = -1;
    int position = 0;
    int count = 0;
    Index ahead = 0;  ///< steps that the last rank can count on being waited for
    Direction direction = Direction::forward;
  };
  /// A part of the chain on this rank, by its right-hand side and its result.
  struct Part {
    Direction direction;
    StepRange range;
    ConstStates rhs;
    States result;
  };
  /// The piece of a part that is entered first, and the rest.
  static std::pair<Part, Part> cut(const Part& part);
  void run(const Part& part, Index first_row);
  /// How a rank substitutes: through its part once, the same while others wait for the carry,
  /// through two pieces of it in turns, or as far as its speculation was wrong.
  enum class Way { once, awaited, in_two, again };
  blocks::Strand with(const Part& part, Buffer<Real>& carry) const;
  /// What a rank does before it knows its carry.
  Way prepare(const Part& part, const Place& place);
  void eliminate(const Part& part, bool in_two, bool last);
  void substitute(const Part& part, Way way);
  void reduce(const Place& place);
  void reduce_level(const Place& place, int stride, parallel::Traffic& traffic);
  /// later <- later o received_
  void compose_into(blocks::AffineMap& later);

  const blocks::BlockBidiagonal* J_ = nullptr;
  std::unique_ptr<LocalChain> chain_;
  std::unique_ptr<Speculation> speculation_;
  blocks::AffineMap inclusive_;  ///< own map; after k levels that of the 2^k ranks up to this one
  blocks::AffineMap exclusive_;  ///< the same without this rank's own
  blocks::AffineMap received_, scratch_;
  blocks::AffineMap near_map_;  ///< of the piece that is entered first
  Buffer<Real> carry_;          ///< what enters this rank's part, [B, n]
  Buffer<Real> constant_out_;   ///< what leaves it
  Buffer<Real> constant_in_;
  Buffer<Real> after_near_;  ///< what leaves that piece
};

}  // namespace deeppcr::linear
