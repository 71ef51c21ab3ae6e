#pragma once

#include <memory>
#include <vector>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"
#include "models/torch/plugin_table.hpp"

namespace deeppcr::models {

class TorchChain;

/// Derivatives of a module's steps: few columns by forward mode and backpropagation at the states,
/// each time anew; where states are narrow and a step is used often, by its dense blocks, which are
/// kept. Nothing is evaluated before it is asked for. Not for use by several threads at once.
class TorchLinearisation final : public blocks::Linearisation {
 public:
  /// `in` [m, B, n] and the chain must outlive it.
  TorchLinearisation(const TorchChain& chain, StepRange range, ConstStates in);
  /// With the graphs of all steps, kept from their evaluation.
  using Tape = std::unique_ptr<DeepPcrTape, void (*)(DeepPcrTape*)>;
  TorchLinearisation(const TorchChain& chain, StepRange range, ConstStates in, Tape tape);

  /// Null without one.
  const DeepPcrTape* tape() const { return tape_.get(); }
  Index tape_position(Index l) const { return l - range_.first; }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override;
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override;
  void blocks(StepRange range, Blocks A) const override;

 private:
  /// Blocks [B, n, n] of a step, made where they pay for `columns` more; null where they do not.
  const Real* block(Index l, Index columns) const;
  void multiply(const Real* A, Direction direction, ConstPanel V, Panel W) const;
  void make_blocks(StepRange range, Blocks A) const;

  const TorchChain& chain_;
  StepRange range_;
  ConstStates in_;
  Tape tape_;
  blocks::Product product_;
  blocks::TransposedProduct transposed_product_;
  mutable std::vector<Buffer<Real>> blocks_;  ///< of each step, empty until they are made
  mutable std::vector<Index> columns_;        ///< that each step was asked for
  mutable double numbers_ = 0;                ///< in all blocks
};

}  // namespace deeppcr::models
