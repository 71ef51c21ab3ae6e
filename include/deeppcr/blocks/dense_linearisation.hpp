#pragma once

#include <vector>

#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"

namespace deeppcr::blocks {

/// Jacobians given as stored blocks: for matrices that come from elsewhere, tests and benchmarks.
class DenseLinearisation : public Linearisation {
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

 private:
  void multiply(Index l, ConstPanel V, Panel W) const;
  void multiply_transposed(Index l, ConstPanel V, Panel W) const;
  void substitute_forward(StepRange range, ConstStates rhs, States result, State carry) const;
  void substitute_backward(StepRange range, ConstStates rhs, States result, State carry) const;
  void eliminate_forward(StepRange range, ConstStates rhs, Panel map, Panel scratch) const;
  void eliminate_backward(StepRange range, ConstStates rhs, Panel map, Panel scratch) const;

  const Real* block(Index l, Index b) const;

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
