#pragma once

#include <vector>

#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"

namespace deeppcr::blocks {

/// Jacobians given as stored blocks: for matrices that come from elsewhere, tests and benchmarks.
class DenseLinearisation : public Linearisation, private Tuned {
 public:
  /// Room for the blocks of `range`, all zero. Shape of storage(): [range.size(), B, n, n].
  DenseLinearisation(StepRange range, Index batch, int width);

  Blocks storage();
  void product(Index l, Direction direction, ConstPanel V, Panel W) const override;
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override;
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override;
  void blocks(StepRange range, Blocks A) const override;
  const Tuned* tuned() const override { return this; }

 private:
  /// Several samples overlap by themselves; wider blocks come at the speed of memory.
  bool overlaps() const override { return batch_ == 1 && width_ <= 8; }
  void substitute_both(Direction direction, const Strand& one, const Strand& other) const override;
  void prefetch(StepRange range, Direction direction, Index bytes) const override;

  void multiply(Index l, ConstPanel V, Panel W) const;
  void multiply_transposed(Index l, ConstPanel V, Panel W) const;
  void substitute_forward(StepRange range, ConstStates rhs, States result, State carry) const;
  void substitute_backward(StepRange range, ConstStates rhs, States result, State carry) const;
  void both_forward(const Strand& one, const Strand& other) const;
  void both_backward(const Strand& one, const Strand& other) const;
  void eliminate_forward(StepRange range, ConstStates rhs, Panel map, Panel scratch) const;
  void eliminate_backward(StepRange range, ConstStates rhs, Panel map, Panel scratch) const;

  /// Where the substitution through a strand of one sample stands.
  struct Walk {
    const Real* A;       ///< the block to come, or the end of it when walked backward
    const Real* before;  ///< the last result
    const Real* rhs;     ///< that of the result to come
    Real* result;
    Index left;  ///< steps to come
  };

  const Real* block(Index l, Index b) const;
  Walk walk(const Strand& strand) const;
  Walk walk_back(const Strand& strand) const;

  StepRange range_;
  Index batch_;
  int width_;
  Buffer<Real> blocks_;
  mutable Buffer<Real> transposed_;
  Gemm<Real> column_;
  Gemm<Real> panel_;
  Gemm<Real> square_;
  Gemv multiply_add_;
  GemvTransposed transposed_add_;
};

}  // namespace deeppcr::blocks
