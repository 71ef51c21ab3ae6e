#pragma once

#include <algorithm>

#include "deeppcr/nonlinear/shooting.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::test {

inline nonlinear::ShootingOptions with(nonlinear::Coupling coupling, Index chunks) {
  nonlinear::ShootingOptions options;
  options.coupling = coupling;
  options.chunks = chunks;
  return options;
}

/// How a solve by shooting ended, and how far from the truth.
struct ShootingOutcome {
  nonlinear::SolveReport report;
  double error = 0;     ///< against sequential execution, relative to the largest state
  double residual = 0;  ///< measured step by step
};

inline ShootingOutcome shoot(const models::ModelOptions& model,
                             const nonlinear::ShootingOptions& options, Index batch = 2,
                             const nonlinear::Monitors& monitors = {}) {
  using nonlinear::Shooting;
  Shooting solver(options);
  const auto layout = solver.layout({model.steps, batch, model.width, world().size()});
  ModelProblem problem(world(), model, layout, batch);
  problem.trajectory.fill_with_input();
  ShootingOutcome outcome{solver.solve(*problem.sequence, problem.trajectory, monitors)};
  outcome.residual = sequence::largest_residual(*problem.sequence, problem.trajectory);
  Buffer<Real> found(problem.trajectory.states().size());
  std::copy_n(problem.trajectory.states().data(), found.size(), found.data());
  sequence::propagate(*problem.sequence, problem.trajectory);
  outcome.error =
      relative_difference(world(), found.data(), problem.trajectory.states().data(), found.size());
  return outcome;
}

}  // namespace deeppcr::test
