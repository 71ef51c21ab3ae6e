#pragma once

#include "deeppcr/nonlinear/adjoint.hpp"
#include "nonlinear/pipeline_plan.hpp"

namespace deeppcr::nonlinear {

/// The backward pass in a pipeline: the mirror image of Pipeline, from the last block to the first.
/// State gradients have the bits of sequential substitution; those of parameters are added up over
/// the micro-batches in their order. Any layout.
///
/// Cost: as Pipeline, of backward steps.
class PipelineBackward final : public Backward {
 public:
  explicit PipelineBackward(Index micro_batches) : micro_batches_(micro_batches) {}

  void run(const BackwardTask& task, StageTimes& stages) override;
  bool takes(const parallel::BlockLayout&) const override { return true; }
  linear::Cost cost(const linear::Problem& problem) const override;
  linear::SolveOutcome outcome(const parallel::BlockLayout& layout) const override;
  std::optional<PipelineReport> pipeline() const override { return report_; }
  parallel::Traffic neighbours() const override { return sent_; }

 private:
  Index micro_batches_;  ///< wanted; 0: by formula
  double path_ = 0;      ///< steps of the whole batch in a row, of the last pass
  PipelineReport report_;
  parallel::Traffic sent_;
};

}  // namespace deeppcr::nonlinear
