#pragma once

#include <functional>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

/// A linearisation that computes the parameter gradients while a solver substitutes through it; see
/// LinearSolver::substitutes_once().
class Backpropagation final : public blocks::Linearisation {
 public:
  /// in [m, B, n] and the rows of grads: of the steps of `local`. `ready`, unless it is empty,
  /// hears of each range of steps whose gradients are final; ranges come from the right, in pieces
  /// of `piece` steps at most. All must outlive the object.
  /// @pre no group is shared: solvers may walk a step more than once
  Backpropagation(const blocks::Linearisation& A, const sequence::Sequence& sequence,
                  StepRange local, ConstStates in, const sequence::ParameterGradients& grads,
                  Index piece, std::function<void(StepRange)> ready = {});

  void jvp(Index l, ConstPanel V, Panel W) const override { A_.jvp(l, V, W); }
  void vjp(Index l, ConstPanel V, Panel W) const override { A_.vjp(l, V, W); }
  void substitute(StepRange range, ConstStates rhs, States result, State carry) const override {
    A_.substitute(range, rhs, result, carry);
  }
  void substitute_transposed(StepRange range, ConstStates rhs, States result,
                             State carry) const override;
  void substitute_transposed_first(StepRange range, ConstStates rhs, States result,
                                   State carry) const override {
    A_.substitute_transposed(range, rhs, result, carry);
  }
  void catch_up(StepRange range, ConstStates result) const override;
  void skip_transposed(StepRange range, States result) const override;
  void eliminate(StepRange range, ConstStates rhs, Panel map, Panel scratch) const override {
    A_.eliminate(range, rhs, map, scratch);
  }
  void eliminate_transposed(StepRange range, ConstStates rhs, Panel map,
                            Panel scratch) const override {
    A_.eliminate_transposed(range, rhs, map, scratch);
  }
  void prefetch(StepRange range, Direction direction, Index bytes) const override {
    A_.prefetch(range, direction, bytes);
  }
  bool repeatable() const override { return false; }
  blocks::Structure structure() const override { return A_.structure(); }
  void blocks(StepRange range, Blocks A) const override { A_.blocks(range, A); }

 private:
  /// visit(piece) for the pieces of a range, from the right; ready_(piece) behind each.
  template <typename Visit>
  void each_piece(StepRange range, Visit&& visit) const;

  const blocks::Linearisation& A_;
  const sequence::Sequence& sequence_;
  StepRange local_;
  ConstStates in_;
  const sequence::ParameterGradients& grads_;
  Index piece_;
  std::function<void(StepRange)> ready_;
  mutable sequence::GroupRows rows_;  ///< of the piece at hand
};

}  // namespace deeppcr::nonlinear
