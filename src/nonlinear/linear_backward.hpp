#pragma once

#include <optional>

#include "deeppcr/nonlinear/adjoint.hpp"

namespace deeppcr::nonlinear {

/// The backward pass as one transposed linear solve.
///
/// Cost: a linearisation and a transposed solve. Where the solver substitutes once and no group is
/// shared, parameter gradients are computed on its way, with the step's data in the caches; else
/// behind it.
class LinearBackward final : public Backward {
 public:
  explicit LinearBackward(std::unique_ptr<linear::LinearSolver> solver)
      : owned_(std::move(solver)), solver_(*owned_) {}
  /// The solver must outlive the object.
  explicit LinearBackward(linear::LinearSolver& solver) : solver_(solver) {}

  void run(const BackwardTask& task, StageTimes& stages) override;
  linear::Cost cost(const linear::Problem& problem) const override { return solver_.cost(problem); }
  bool walks_in_a_row() const override { return solver_.walks_in_a_row(); }
  linear::SolveOutcome outcome(const parallel::BlockLayout& layout) const override {
    return solver_.report(layout);
  }
  parallel::TrafficByLevel levels() const override { return solver_.level_traffic(); }
  parallel::Traffic neighbours() const override { return solver_.neighbour_traffic(); }

 private:
  std::unique_ptr<linear::LinearSolver> owned_;
  linear::LinearSolver& solver_;
  std::optional<blocks::BlockBidiagonal> J_;  ///< kept from pass to pass
};

}  // namespace deeppcr::nonlinear
