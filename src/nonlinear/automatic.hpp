#pragma once

#include "deeppcr/nonlinear/shooting.hpp"
#include "nonlinear/pipeline.hpp"

namespace deeppcr::nonlinear {

/// A pipeline where the sizes promise enough (promises_pipeline()); else what shooting finds best
/// by a look at the chain.
class Automatic final : public Solver {
 public:
  explicit Automatic(const ShootingOptions& options)
      : shooting_(options), pipeline_({}, options.tolerance) {}

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  parallel::BlockLayout layout(const Problem& problem) const override {
    return of(problem).layout(problem);
  }
  Cost cost(const Problem& problem, const Effort& effort) const override {
    return of(problem).cost(problem, effort);
  }
  double memory(const Problem& problem) const override { return of(problem).memory(problem); }
  double largest_message(const Problem& problem) const override {
    return of(problem).largest_message(problem);
  }
  Index most_iterations(const Problem& problem) const override {
    return of(problem).most_iterations(problem);
  }
  std::vector<std::string> stages() const override { return shooting_.stages(); }

 private:
  const Solver& of(const Problem& problem) const {
    if (promises_pipeline(problem)) return pipeline_;
    return shooting_;
  }

  Shooting shooting_;
  Pipeline pipeline_;
};

}  // namespace deeppcr::nonlinear
