#pragma once

#include <vector>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/plan/chunks.hpp"

namespace deeppcr::linear {

using blocks::largest;
using blocks::largest_difference;

/// A chain cut into chunks of consecutive steps, none of them empty; a rank has consecutive chunks.
/// One chunk a rank is made in O(1), several in O(P).
class Chunks {
 public:
  /// Cuts the steps of each rank into equal chunks, `count` in all where there are enough steps;
  /// at least one on each rank that has steps.
  Chunks(const parallel::BlockLayout& layout, Index count);

  Index size() const { return owners_.num_steps(); }
  /// Steps of chunk c.
  StepRange steps(Index c) const;
  /// Chunks of a rank.
  StepRange of_rank(int rank) const { return owners_.range(rank); }
  /// The longest chunk's number of steps.
  Index longest() const { return longest_; }
  /// Chunks as the rows of a linear system.
  const parallel::BlockLayout& owners() const { return owners_; }

 private:
  parallel::BlockLayout layout_, owners_;
  Index longest_ = 0;
};

/// Sizes, chunks, the share of the rank that has most and what messages take, for the plan; the
/// rest is left open. A step takes so many products (sequence::Sequence::products()).
plan::ChunkProblem plan_problem(const parallel::BlockLayout& layout, const Chunks& chunks,
                                Index batch, int width, double products);

/// Where the states of a chunk stop being those of its start: the state at the end of a block is
/// kept from an older sweep, `size` away from what the newest one came to.
struct Seam {
  Index block = 0;
  double size = 0;
};

/// One chunk of this rank and what its sweeps have found.
struct Chunk {
  /// Steps between two looks at a sweep: whether it has merged, how the tangent has grown.
  static constexpr Index kBlock = 32;

  StepRange steps;             ///< global
  Index done = 0;              ///< leading steps that hold states of a sweep
  Index swept = 0;             ///< steps evaluated in the last sweep
  double scale = 0;            ///< largest |z| at the ends of blocks; infinite where there is a NaN
  std::vector<double> growth;  ///< log |tangent| at the ends of blocks, 0 at the chunk's start
  std::vector<Seam> seams;
  double drift = 0;  ///< |M t - t| / |t| of the tangent t over what has been swept

  /// The newest sweep has run into older states at the end of `block`, `size` away from them.
  void merged(Index block, double size);

  bool complete() const { return done == steps.size(); }
  /// log of the most that a change at the end of `block` becomes within the chunk, and at its end;
  /// block -1 is the chunk's start. -infinity where no tangent went: the states are exact there.
  double peak_after(Index block) const;
  double exit_after(Index block) const;
  /// log of the most that rounding anywhere behind `block` becomes within the chunk, and at its
  /// end.
  double rise_after(Index block) const;
  double exit_rise_after(Index block) const;
  /// What tangents [samples, n] of length one, behind all of `growth`, began as: tells the drift.
  void note_drift(Index samples, Index n, const Real* tangents, const Real* first);
};

/// v_c = the sum of r over all chunks before c, in the order of the walk; zero for the first.
/// Shapes [C_local, B, n], in that order too. Collective over ranks 0..active-1, which have chunks.
void sums_before(const parallel::Communicator& comm, int active, Direction direction, ConstStates r,
                 States v, parallel::TrafficByLevel& traffic);

/// Scales a tangent x [n] to length one and returns the log of its length. One that has died counts
/// as shrunk to the smallest normal number, one that is infinite or NaN as grown by its inverse;
/// both become `fresh`.
double normalise(Index n, Real* x, const Real* fresh);

}  // namespace deeppcr::linear
