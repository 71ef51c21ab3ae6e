#pragma once

#include "deeppcr/nonlinear/adjoint.hpp"
#include "nonlinear/linear_backward.hpp"

namespace deeppcr::nonlinear {

/// The backward pass of stacked recurrent cells as a wavefront: the mirror image of Wavefront, from
/// the last chunk of the last layer. State gradients have the bits of sequential substitution for
/// chunks of two rows or more; those of parameters, which each rank has for its layers, are equal
/// to rounding.
///
/// Cost: as Wavefront, of backward steps. Where no two ranks can work: sequential substitution.
class WavefrontBackward final : public Backward {
 public:
  /// chunk_steps: steps of a chunk; 0: by formula.
  explicit WavefrontBackward(Index chunk_steps = 0);

  /// @throws Error for a chain without layers
  void run(const BackwardTask& task, StageTimes& stages) override;
  /// That of sequential substitution: how many layers there are is not known here.
  linear::Cost cost(const linear::Problem& problem) const override { return alone_.cost(problem); }
  bool walks_in_a_row() const override { return true; }
  linear::SolveOutcome outcome(const parallel::BlockLayout& layout) const override;
  std::optional<PipelineReport> pipeline() const override { return report_; }
  parallel::Traffic neighbours() const override { return sent_; }

 private:
  Index chunk_steps_;
  LinearBackward alone_;
  double path_ = 0;  ///< steps of the whole chain in a row, of the last pass
  PipelineReport report_;
  parallel::Traffic sent_;
};

}  // namespace deeppcr::nonlinear
