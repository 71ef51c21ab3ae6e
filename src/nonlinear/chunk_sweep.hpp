#pragma once

#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/chunks.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

using linear::Chunk;
using linear::Chunks;
using linear::largest;
using linear::largest_difference;
using linear::normalise;
using linear::Seam;

/// Sweeps through the chunks of this rank: steps one after another, from the state that each chunk
/// starts from. No communication.
class ChunkSweep {
 public:
  /// Steps between two looks at a sweep: whether it has merged, how the tangent has grown.
  static constexpr Index kBlock = Chunk::kBlock;

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
  /// Another start for chunk i. Its tangent points along the change: errors that came from the left
  /// have turned into the direction that grows.
  void restart(Index i, const Real* start);
  /// Sweeps chunk i again from its start until it runs into the old states; its growth is measured
  /// anew on the way if it was measured before. @pre complete
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
  double evaluate(Index i, Index from, Index to, bool with_tangent);

  const sequence::Sequence& sequence_;
  sequence::Trajectory& trajectory_;
  Index batch_;
  Index width_;
  double merge_;
  std::vector<Chunk> chunks_;
  std::vector<Index> samples_;  ///< whose tangent is pushed, by chunk
  Buffer<Real> starts_;         ///< [C_local, B, n]
  Buffer<Real> tangents_;       ///< [C_local, n], of length one
  Buffer<Real> first_tangent_;
  Buffer<Real> old_;  ///< [B, n]
};

}  // namespace deeppcr::nonlinear
