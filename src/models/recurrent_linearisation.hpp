#pragma once

#include <memory>

#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "models/recurrent_steps.hpp"

namespace deeppcr::models {

/// The derivative of some steps of stacked recurrent cells. Of layers p and q > p at the same step,
/// q sees the new state of p: a Jacobian is block lower triangular.
class RecurrentLinearisation final : public blocks::Linearisation {
 public:
  /// `inputs` as the steps are evaluated with.
  RecurrentLinearisation(std::shared_ptr<RecurrentSteps> steps, const sequence::Inputs& inputs,
                         StepRange range, Index batch);

  const KeptSteps& kept() const { return kept_; }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override;
  /// One product for all in each layer, some steps at a time.
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override;
  /// Cost: n a row, of a gru with the reset in front n^2.
  void diagonals(StepRange range, States D) const override;
  /// Of one layer with h and c. Cost: n a row.
  bool paired_diagonals(StepRange range, View<Real, 4> columns) const override;
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override;
  blocks::Structure structure() const override;

  /// tangent [S] <- A_l tangent at one sample.
  void push_tangent(Index l, Index sample, Real* tangent) const;
  /// substitute() backward and, where pass.parameters has rows, the parameter gradients.
  void backpropagate(StepRange range, const sequence::BackwardPass& pass) const;
  /// Adds the parameter gradients for g [m, B, S] by the states after the steps.
  void add_gradients(StepRange range, ConstStates in, ConstStates g,
                     const sequence::GroupRows& grads) const;

 private:
  /// Rows of kept(), with k columns each.
  struct Part {
    Index row, rows, k;
    Index count() const { return rows * k; }
  };
  Cell::Columns columns(int layer, const Part& part) const {
    return {part.rows, part.k, kept_.slopes_of(layer, part.row)};
  }
  void push(const Part& part, const Real* V, Real* W) const;
  void pull(const Part& part, const Real* V, Real* W) const;
  /// g of a layer with what comes from the layer above, [count, w], zero where the sample has
  /// ended.
  Real* layer_gradient(int layer, const Part& part, const Real* V, const Real* dx) const;
  void walk_back(int layer, StepRange part, StepRange range, const sequence::BackwardPass& pass,
                 const Real* dx, Real* carry) const;
  void add_layer_gradient(int layer, StepRange part, const Real* in,
                          const sequence::GroupRows& grads) const;
  bool has(Index row) const { return inputs_.has(range_.first + row / batch_, row % batch_); }
  Index row_of(Index l) const { return (l - range_.first) * batch_; }

  std::shared_ptr<RecurrentSteps> steps_;
  sequence::Inputs inputs_;
  StepRange range_;
  Index batch_;
  PooledBuffer memory_;
  KeptSteps kept_;
};

}  // namespace deeppcr::models
