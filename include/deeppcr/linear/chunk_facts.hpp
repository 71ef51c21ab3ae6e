#pragma once

#include <utility>
#include <vector>

#include "deeppcr/linear/chunks.hpp"
#include "deeppcr/parallel/reduction.hpp"
#include "deeppcr/plan/chunks.hpp"

namespace deeppcr::linear {

/// States count as right when the estimated error is this far below the tolerance: the estimate
/// comes from one tangent.
constexpr double kRightBelow = 0.1;

/// What a rank knows of one of its chunks after a sweep. Errors are absolute; logs are natural.
struct ChunkFacts : plan::ProbedChunk {
  double mismatch = 0;   ///< max |end of this chunk - start of the next|
  double seam = 0;       ///< largest seam within
  double seam_peak = 0;  ///< the most that a seam within grows to inside the chunk
  double seam_exit = 0;  ///< .. and at its end
  double peak =
      0;  ///< log of the most that a change of the start grows to within; at the end: exit
  double rise = 0;       ///< log of the most that rounding within grows to, behind the first seam
  double exit_rise = 0;  ///< .. and at the end
  double all_rise = 0;   ///< the same for rounding anywhere in the chunk
  double all_exit_rise = 0;
  double scale = 0;       ///< largest |z|
  double swept = 0;       ///< steps evaluated in the last sweep
  double most = 0;        ///< log of the most that a change within grows to within, to be reported
  double from_start = 0;  ///< .. and a change of the start
};

/// Facts of local chunk i; its end mismatches the next chunk's start by `mismatch`.
ChunkFacts facts_of(const Chunk& chunk, double mismatch);

/// How far the states are from right, as told by the facts of all chunks.
struct Judgement {
  double residual = 0;  ///< max_l ||f_l(z_{l-1}) - z_l||_inf, up to the slope of one step at seams
  double error =
      0;  ///< what the seams grow to anywhere in the chain, estimated, over the tolerance
  double tolerance = 0;    ///< atol + rtol max ||z||_inf
  Index exact_chunks = 0;  ///< leading chunks that are as sequential execution gives them
  /// Whether rounding alone, in the states behind the exact ones, would grow beyond the tolerance:
  /// two sweeps that have merged differ by rounding for ever, so only exact chunks help.
  bool hopeless = false;
  bool moves = false;  ///< whether anything was swept in the last sweep
  bool meets = true;   ///< whether each chunk starts with the very end of the one before it
  double growth = 0;   ///< log of the most that a change anywhere grows to further on
};

/// The longest chain of step evaluations that had to wait for each other: kept by each rank for its
/// chunks, made known to all by judge().
class PathClock {
 public:
  PathClock() = default;
  /// Behind a first sweep of so many steps of each local chunk. What is known before the first
  /// judgement: of the chunk before them, and of the longest of all.
  explicit PathClock(std::vector<double> steps, double before = 0, double longest = 0)
      : ends_(std::move(steps)), before_(before), longest_(longest) {}
  /// A sweep in which each chunk waited for its left neighbour's end only, or for all chunks.
  void sweep(const std::vector<ChunkFacts>& mine, bool waited_for_all);
  /// Of all chunks, as of the last judgement.
  double steps() const { return longest_; }

  double last() const { return ends_.empty() ? 0 : ends_.back(); }
  double longest_here() const;
  void learn(double before, double longest) {
    before_ = before;
    longest_ = longest;
  }

 private:
  std::vector<double> ends_;
  double before_ = 0, longest_ = 0;
};

/// Where a rank's chunks are in a walk through the chain.
struct ChunkPlace {
  const parallel::Communicator& comm;
  int active = 0;  ///< ranks, from 0 on, that have chunks
  Direction direction = Direction::forward;
  Index first = 0;  ///< of this rank's, counted in the order of the walk
  Index all = 0;    ///< chunks of all ranks
};

/// What a rank sends on in the scan of a judgement.
constexpr double kJudgementBytes = 9 * sizeof(Real);

/// Judges the states by the facts of all chunks, of which each rank has its own, in the order of
/// the walk; the answer is the same on all ranks. What else is in `together` is reduced with it.
/// Collective. Cost: a scan over ranks, ceil(log2 P) messages of 9 reals that nobody counts, and
/// one reduction; the formula, and why it is that of one rank that sees all chunks, in
/// nonlinear/BOUNDS.md.
Judgement judge(const ChunkPlace& place, const std::vector<ChunkFacts>& mine, double rtol,
                double atol, PathClock& clock, parallel::Reduction& together);

/// What the tangents of all chunks but the walk's first have shown; what else is in `together` is
/// reduced with it. Collective.
plan::Probe probe(const ChunkPlace& place, const std::vector<ChunkFacts>& mine,
                  parallel::Reduction& together);

}  // namespace deeppcr::linear
