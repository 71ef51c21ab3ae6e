#pragma once

#include <memory>
#include <vector>

#include "models/layered_chain.hpp"

namespace deeppcr::models {

/// Residual network whose blocks see normalised states: step l is z + h g_l(N(z)), with
/// N(z) = (z - mean(z)) / sqrt(variance(z) + 1e-5) over the n numbers of a sample.
///
/// N has no gain and shift of its own: the first layer's weights and bias would absorb them.
/// Parameters lie as those of resnet. Not for several threads at once.
/// Source: Ba, Kiros and Hinton, arXiv 1607.06450; in front of the block as in arXiv 2002.04745
class NormalisedResNet final : public sequence::Sequence {
 public:
  /// shape: of the residual network without it, whose weights it has.
  NormalisedResNet(const StepShape& shape, Index num_steps, const StepSet& local,
                   const FirstWeights& first);

  Index num_steps() const override { return block_.num_steps(); }
  int width() const override { return block_.width(); }
  void value(StepRange range, ConstStates in, States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  std::vector<sequence::ParameterGroup> parameters() override { return block_.parameters(); }
  StepSet local_steps() const override { return block_.local_steps(); }
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override;

 private:
  LayeredChain block_;  ///< g_l
  Real scale_;          ///< h
  mutable Buffer<Real> normal_, gradient_;
};

}  // namespace deeppcr::models
