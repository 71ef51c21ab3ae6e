#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/train/optimiser.hpp"
#include "network_case.hpp"

namespace deeppcr::bench {

/// A nonlinear solver and a backward pass.
struct Method {
  std::unique_ptr<nonlinear::Solver> solver;
  std::string backward;
};

/// "newton+pcr": a nonlinear solver, and the linear one that it is to use. "auto/hybrid": with a
/// backward pass of its own, in place of the one that suits it.
Method make_method(const std::string& words);

/// Whole updates of a chain's parameters: the states, half the squares of the last one as the loss,
/// gradients, and plain gradient descent.
class TrainingStep {
 public:
  /// words: of make_method(). Collective.
  TrainingStep(const parallel::Communicator& comm, const models::ModelOptions& options, Index batch,
               const std::string& words);

  /// One update. Collective.
  void run();

  /// The norm of all gradients of the last run, which earlier updates are part of.
  double gradient_norm() const { return norm_; }
  const nonlinear::SolveReport& forward() const { return report_; }
  nonlinear::AdjointReport backward() const { return adjoint_.report(); }

 private:
  std::vector<train::ParameterGroup> groups() const;

  Method method_;
  NetworkCase network_;
  Buffer<Real> loss_;  ///< its gradient by the last state, [B, n]
  sequence::ParameterGradients gradients_;
  nonlinear::Adjoint adjoint_;
  train::Optimiser optimiser_;
  nonlinear::SolveReport report_;
  double norm_ = 0;
};

}  // namespace deeppcr::bench
