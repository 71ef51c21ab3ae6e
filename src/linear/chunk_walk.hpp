#pragma once

#include <vector>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/chunks.hpp"

namespace deeppcr::linear {

/// Walks the chunks of this rank through a linear chain, in either direction. Chunks are counted in
/// the order of the walk; what enters one is its carry (see blocks::Linearisation::substitute). No
/// communication.
class ChunkWalk {
 public:
  ChunkWalk(const blocks::BlockBidiagonal& J, const Chunks& chunks, Direction direction);

  Index size() const { return static_cast<Index>(chunks_.size()); }
  Chunk& operator[](Index k) { return chunks_[static_cast<std::size_t>(k)]; }
  const Chunk& operator[](Index k) const { return chunks_[static_cast<std::size_t>(k)]; }
  /// Carries that enter and leave chunk k, [B, n].
  State entering(Index k) { return {in_.data() + k * state_, {batch_, width_}}; }
  State leaving(Index k) { return {out_.data() + k * state_, {batch_, width_}}; }

  /// The whole chunk from a carry of zero; not walked where this rank's rhs has no rows. Notes the
  /// largest entry at the first step of the walk and at the ends of blocks.
  void first(Index k, ConstStates rhs, States result);
  /// The whole chunk from entering(k) until a state is within `merge` of the old one.
  void again(Index k, ConstStates rhs, States result, double merge);
  /// Pushes random vectors, one a sample, through the steps up to `steps` of the walk, and notes
  /// their growth.
  void push_tangents(Index k, Index steps);
  /// y = what leaves when x enters and the right-hand side is zero. Shapes [B, n].
  void homogeneous(Index k, const Real* x, Real* y) const;

 private:
  /// Steps [from, to) of the walk through chunk k, as a range of the chain.
  StepRange part(const Chunk& c, Index from, Index to) const;
  /// Walks them from and to a carry.
  void substitute(StepRange range, ConstStates rhs, States result, Real* carry) const;
  void push(StepRange range, Buffer<Real>& from, Buffer<Real>& to) const;

  const blocks::Linearisation* A_;  ///< null without steps
  StepRange local_;
  Direction direction_;
  Index batch_, width_, state_;
  std::vector<Chunk> chunks_;
  Buffer<Real> in_, out_;        ///< [C_local, B, n]
  Buffer<Real> tangents_;        ///< [C_local, B, n], each sample's of length one
  Buffer<Real> first_tangents_;  ///< [B, n]
  mutable Buffer<Real> carry_, scratch_, old_;
};

}  // namespace deeppcr::linear
