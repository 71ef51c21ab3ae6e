#pragma once

#include "deeppcr/nonlinear/conclusion.hpp"
#include "nonlinear/pipeline_plan.hpp"

namespace deeppcr::nonlinear {

/// The samples of a batch in micro-batches, one behind the other through the ranks: sequential
/// execution in another order, with its bits. Nothing is iterated, so a chaotic chain is as good as
/// any; a batch of one sample gains nothing.
///
/// Cost: L (M + P - 1) / (M P) steps of the batch in a row, or (V M + P - 1) / (M V P) with V
/// blocks a rank and M >= P; a message of B n / M + 1 reals for each micro-batch wherever the next
/// step is another rank's. Where ranks share the samples: L / P steps and all states to all ranks.
class Pipeline final : public Solver {
 public:
  explicit Pipeline(const PipelineOptions& options = {}, const Tolerance& tolerance = {})
      : options_(options), tolerance_(tolerance) {}

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  parallel::BlockLayout layout(const Problem& problem) const override;
  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  Index most_iterations(const Problem&) const override { return 0; }

 private:
  PipelineOptions options_;
  Tolerance tolerance_;
};

}  // namespace deeppcr::nonlinear
