#pragma once

#include <functional>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

/// A linearisation that computes the parameter gradients while a solver substitutes through it; see
/// LinearSolver::substitutes_once().
class Backpropagation final : public blocks::Linearisation, private blocks::Tuned {
 public:
  /// in [m, B, n] and the rows of grads: of the steps of `local`. `ready`, unless it is empty,
  /// hears of each range of steps whose gradients are final; ranges come from the right, in pieces
  /// of `piece` steps at most. All must outlive the object.
  /// @pre no group is shared: solvers may walk a step more than once
  Backpropagation(const blocks::Linearisation& A, const sequence::Sequence& sequence,
                  StepRange local, ConstStates in, const sequence::ParameterGradients& grads,
                  Index piece, std::function<void(StepRange)> ready = {});

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    A_.product(l, direction, V, W);
  }
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    A_.product_each(range, direction, V, W);
  }
  void diagonals(StepRange range, States D) const override { A_.diagonals(range, D); }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override;
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    A_.eliminate(range, direction, rhs, map, scratch);
  }
  void blocks(StepRange range, Blocks A) const override { A_.blocks(range, A); }
  blocks::Structure structure() const override { return A_.structure(); }
  const Tuned* tuned() const override { return this; }

 private:
  // Two ranges in turns would leave no step's data in the cache for its gradient: not overlaps().
  bool repeatable() const override { return false; }
  void substitute_first(const blocks::Strand& part) const override {
    A_.substitute(part.range, Direction::backward, part.rhs, part.result, part.carry);
  }
  void catch_up(StepRange range, ConstStates result) const override;
  void skip(StepRange range, States result) const override;
  void prefetch(StepRange range, Direction direction, Index bytes) const override {
    if (A_.tuned() != nullptr) A_.tuned()->prefetch(range, direction, bytes);
  }

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
