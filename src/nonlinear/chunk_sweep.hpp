#pragma once

#include <vector>

#include "chunks.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// Where the states of a chunk stop being those of its start: the state at the end of a block is
/// kept from an older sweep, `size` away from what the newest one came to.
struct Seam {
  Index block = 0;
  double size = 0;
};

/// One chunk of this rank and what its sweeps have found.
struct Chunk {
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
};

/// Sweeps through the chunks of this rank: steps one after another, from the state that each chunk
/// starts from. No communication.
class ChunkSweep {
 public:
  /// Steps between two looks at a sweep: whether it has merged, how the tangent has grown.
  static constexpr Index kBlock = 32;

  /// merge: a new state that is within this of the old one, relative to the sample's largest entry,
  /// is taken for the same. The states between chunks are the first starts.
  ChunkSweep(const sequence::Sequence& sequence, sequence::Trajectory& trajectory,
             const Chunks& chunks, double merge);

  Index size() const { return static_cast<Index>(chunks_.size()); }
  const Chunk& operator[](Index i) const { return chunks_[static_cast<std::size_t>(i)]; }
  /// The state that chunk i starts from, and the one it ends with, [B, n]. The first chunk of the
  /// rank starts from what its left neighbour sends, at first from `guess`.
  State start(Index i);
  ConstState end(Index i) const;

  /// Goes on with the first sweep of chunk i up to `steps` steps, with a tangent where asked for.
  void advance(Index i, Index steps, bool with_tangent);
  /// Sweeps chunk i again from a changed start until it runs into the old states. @pre complete
  void again(Index i);
  /// Nothing has been swept since: for chunks that keep their start.
  void rest();
  /// Whether two states are the same to the merge tolerance, sample by sample.
  bool same(const Real* a, const Real* old) const;

  Index state_size() const { return batch_ * width_; }

 private:
  Chunk& chunk(Index i) { return chunks_[static_cast<std::size_t>(i)]; }
  /// The state before step `at` of a chunk, counted from its beginning.
  ConstState before(Index i, Index at);
  Real* state_after(const Chunk& c, Index step) const;
  double size_after(const Chunk& c, Index step) const;
  void push_tangent(Index i, Index from, Index to);

  const sequence::Sequence& sequence_;
  sequence::Trajectory& trajectory_;
  Index batch_;
  Index width_;
  double merge_;
  std::vector<Chunk> chunks_;
  Buffer<Real> starts_;    ///< [C_local, B, n]
  Buffer<Real> tangents_;  ///< [C_local, n], of length one
  Buffer<Real> first_tangent_;
  Buffer<Real> old_;  ///< [B, n]
};

/// max |x|, max |a - b|; NaN gives infinity.
double largest(Index count, const Real* x);
double largest_difference(Index count, const Real* a, const Real* b);
/// |x|_2.
double length(Index count, const Real* x);

}  // namespace deeppcr::nonlinear
