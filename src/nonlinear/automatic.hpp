#pragma once

#include <algorithm>

#include "deeppcr/nonlinear/shooting.hpp"
#include "nonlinear/pipeline.hpp"
#include "nonlinear/wavefront.hpp"
#include "nonlinear/wavefront_plan.hpp"

namespace deeppcr::nonlinear {

/// A pipeline where the sizes promise enough (promises_pipeline()); else what shooting finds best
/// by a look at the chain, where for stacked cells a wavefront takes the place of sequential
/// execution (promises_wavefront()).
class Automatic final : public Solver {
 public:
  explicit Automatic(const ShootingOptions& options)
      : wavefront_(0, options.tolerance),
        shooting_(options),
        stacked_(with_wavefront(options)),
        pipeline_({}, options.tolerance) {}

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  parallel::BlockLayout layout(const Problem& problem) const override {
    return of(problem).layout(problem);
  }
  Cost cost(const Problem& problem, const Effort& effort) const override {
    return of(problem).cost(problem, effort);
  }
  double memory(const Problem& problem) const override {
    const double own = of(problem).memory(problem);
    return &of(problem) == &stacked_ ? std::max(own, wavefront_.memory(problem)) : own;
  }
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
    if (promises_wavefront(problem)) return stacked_;
    return shooting_;
  }
  ShootingOptions with_wavefront(ShootingOptions options) {
    options.wavefront = &wavefront_;
    return options;
  }

  Wavefront wavefront_;
  Shooting shooting_, stacked_;  ///< without and with a wavefront
  Pipeline pipeline_;
};

}  // namespace deeppcr::nonlinear
