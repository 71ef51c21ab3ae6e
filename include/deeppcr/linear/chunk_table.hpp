#pragma once

#include <utility>
#include <vector>

#include "deeppcr/linear/chunks.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/plan/chunks.hpp"

namespace deeppcr::linear {

/// States count as right when the estimated error is this far below the tolerance: the estimate
/// comes from one tangent.
constexpr double kRightBelow = 0.1;

/// What all ranks know of one chunk after a sweep. Errors are absolute; logs are natural.
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
  double scale = 0;  ///< largest |z|
  double swept = 0;  ///< steps evaluated in the last sweep
};

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
};

/// The facts of all chunks, the same on all ranks, from those of each rank's chunks, in order.
/// Collective.
std::vector<ChunkFacts> gather(const parallel::Communicator& comm,
                               const std::vector<ChunkFacts>& mine);
Judgement judge(const std::vector<ChunkFacts>& facts, double rtol, double atol);
/// log of the most that a change anywhere grows to further on, as far as tangents have told.
double growth(const std::vector<ChunkFacts>& facts);

/// Facts of local chunk i; its end mismatches the next chunk's start by `mismatch`.
ChunkFacts facts_of(const Chunk& chunk, double mismatch);

/// The longest chain of step evaluations that had to wait for each other.
class PathClock {
 public:
  /// Behind the first sweep.
  explicit PathClock(std::vector<double> steps) : ends_(std::move(steps)) {}
  /// A sweep in which each chunk waited for its left neighbour's end only, or for all chunks.
  void sweep(const std::vector<ChunkFacts>& facts, bool waited_for_all);
  double steps() const;

 private:
  std::vector<double> ends_;
};

}  // namespace deeppcr::linear
