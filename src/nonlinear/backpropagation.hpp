#pragma once

#include <functional>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

/// A linearisation that computes the parameter gradients while a solver substitutes through it (see
/// LinearSolver::substitutes_once()), or behind that in catch_up().
class Backpropagation final : public blocks::Shifted, private blocks::SideWork {
 public:
  /// in [m, B, n] and the rows of grads: of the steps of `local`. `ready`, unless it is empty,
  /// hears of each range of steps whose gradients are final; ranges come from the right, in pieces
  /// of `piece` steps at most. All must outlive the object.
  Backpropagation(const blocks::Linearisation& A, const sequence::Sequence& sequence,
                  StepRange local, ConstStates in, const sequence::ParameterGradients& grads,
                  Index piece, std::function<void(StepRange)> ready = {});

  /// @pre no group is shared: solvers may walk a step more than once
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override;
  const SideWork* side_work() const override { return this; }

 private:
  void substitute_first(StepRange range, ConstStates rhs, States result,
                        State carry) const override {
    all().substitute(range, Direction::backward, rhs, result, carry);
  }
  void catch_up(StepRange range, ConstStates result) const override;
  void skip(StepRange range, States result) const override;

  /// visit(piece) for the pieces of a range, from the right; ready_(piece) behind each.
  template <typename Visit>
  void each_piece(StepRange range, Visit&& visit) const;

  const sequence::Sequence& sequence_;
  StepRange local_;
  ConstStates in_;
  const sequence::ParameterGradients& grads_;
  Index piece_;
  std::function<void(StepRange)> ready_;
  mutable sequence::GroupRows rows_;  ///< of the piece at hand
};

}  // namespace deeppcr::nonlinear
