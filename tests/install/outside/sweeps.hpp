#pragma once

#include "deeppcr/nonlinear/catalogue.hpp"

namespace outside {

/// Fixed-point sweeps: z_l <- f_l(z_{l-1}) for all steps at once, from the states before the sweep.
/// k sweeps make the first k states those of sequential execution, so at most L are needed; a chain
/// that forgets its start needs about as many as it remembers steps.
///
/// Cost: L/P step evaluations a rank and sweep; a message of B n reals to the right and a
/// reduction.
class Sweeps final : public deeppcr::nonlinear::Solver {
 public:
  explicit Sweeps(deeppcr::nonlinear::Settings settings) : settings_(std::move(settings)) {}

  deeppcr::nonlinear::SolveReport solve(const deeppcr::sequence::Sequence& chain,
                                        deeppcr::sequence::Trajectory& states,
                                        const deeppcr::nonlinear::Monitors& monitors) override;
  deeppcr::nonlinear::Cost cost(const deeppcr::nonlinear::Problem& problem,
                                const deeppcr::nonlinear::Effort& effort) const override;
  double memory(const deeppcr::nonlinear::Problem& problem) const override;
  deeppcr::Index most_iterations(const deeppcr::nonlinear::Problem& problem) const override;
  std::vector<std::string> stages() const override { return {"sweep", "judge"}; }

 private:
  deeppcr::nonlinear::Settings settings_;
};

/// For nonlinear::add_to_catalogue(): --nonlinear sweeps.
deeppcr::nonlinear::CatalogueEntry sweeps_entry();

}  // namespace outside
