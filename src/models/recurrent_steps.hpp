#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/sequence/parameters.hpp"
#include "models/back_product.hpp"
#include "models/buffer_pool.hpp"
#include "models/cell.hpp"

namespace deeppcr::models {

/// What a linearisation keeps of m steps of B samples, and where: for each layer the coefficients
/// of its derivative, [m B, K n], and what it hands to the layer above, [m B, n].
struct KeptSteps {
  Index rows = 0;                           ///< m B
  Index slope_reals = 0, hidden_reals = 0;  ///< of a row, for one layer
  Real *slopes = nullptr, *hidden = nullptr;

  Real* slopes_of(int layer, Index row) const {
    return slopes + (layer * rows + row) * slope_reals;
  }
  Real* hidden_of(int layer, Index row) const {
    return hidden + (layer * rows + row) * hidden_reals;
  }
};

/// Steps of B samples from states that are given, [m, B, S], or one after another.
struct StepRows {
  StepRange range;
  Index batch;
  const sequence::Inputs& inputs;
  const Real* in;  ///< of the first step, and of all of them unless they are chained
  Real* out;       ///< [m, B, S]; null where nobody wants them and they are not chained
  bool chained;    ///< a step starts from what the one before has left in `out`
};

/// The arithmetic of stacked recurrent cells on plain arrays, which all views of a chain share:
/// their parameters, what is made of them, and scratch. Not for use by several threads at once.
class RecurrentSteps {
 public:
  explicit RecurrentSteps(const CellShape& shape);
  /// One layer of a stack, which shares its parameters.
  RecurrentSteps(const RecurrentSteps& stack, int layer);

  const CellShape& shape() const { return shape_; }
  View<Real, 1> parameters(int layer) {
    Buffer<Real>& theta = *theta_[static_cast<std::size_t>(layer)];
    return {theta.data(), {theta.size()}};
  }
  Index slope_reals() const { return Index{cell(0).slopes_per_unit()} * shape_.units; }
  /// Numbers that a linearisation keeps of a row: see KeptSteps.
  Index kept_reals() const {
    return shape_.layers * slope_reals() + (shape_.layers - 1) * shape_.units;
  }
  /// So many steps at a time, for what the products with inputs give to stay in a cache.
  Index steps_at_once(Index batch) const;

  /// Takes the parameters of all layers as they are now, for so many rows one after another.
  void take(Direction direction, Index rows);

  /// Some steps at a time, layer by layer within them: one product with the inputs of all, then the
  /// recurrent part. Fills what is `kept`, unless that is null. @pre take(forward)
  void evaluate(const StepRows& steps, const KeptSteps* kept);

  /// The inputs of the first layer in rows, [m B, d]: in scratch, unless they lie so. Zero behind
  /// the end of a sample, whatever is given there.
  const Real* inputs_of(StepRange range, Index batch, const sequence::Inputs& inputs);

  const blocks::Product& input_product(int layer) const { return layer == 0 ? first_ : between_; }
  const Real* input_weights(int layer) const {
    return theta_[static_cast<std::size_t>(layer)]->data();
  }
  Cell& cell(int layer) { return *cells_[static_cast<std::size_t>(layer)]; }
  const Cell& cell(int layer) const { return *cells_[static_cast<std::size_t>(layer)]; }
  /// dx = W_ih^T du, the gradient by a layer's inputs, [rows, inputs_of(layer)]. The bits of a row
  /// depend on nothing else but whether take() was told of many. @pre take(backward)
  void to_inputs(int layer, Index rows, const Real* du, Real* dx);

  /// What linearisations keep.
  BufferPool pool;
  /// Scratch of the passes, by what it holds.
  struct Scratch {
    Buffer<Real> inputs, products, hidden, slopes, states;              // evaluate()
    Buffer<Real> columns, images, gradients, du, dv, dx, carry, outer;  // derivatives
  } scratch;

 private:
  CellShape shape_;
  std::vector<std::shared_ptr<Buffer<Real>>> theta_;
  std::vector<std::unique_ptr<Cell>> cells_;
  blocks::Product first_, between_;  ///< with W_ih of the first layer, and of the others
  std::deque<BackProduct> back_;     ///< with W_ih^T of each layer, taken once it is asked for
  std::vector<bool> is_taken_;       ///< since the last take()
  Index rows_ = 0;                   ///< that take() was told of
};

/// Samples that end before step range.first + row / B keep their states: copies those rows of
/// `from` to `to`, for rows [0, m B) of `width` numbers.
void keep_ended(StepRange range, Index batch, const sequence::Inputs& inputs, Index width,
                const Real* from, Real* to);
/// Sets the same rows of x to zero: what is not there must be nothing but zero in a sum.
void clear_ended(StepRange range, Index batch, const sequence::Inputs& inputs, Index width,
                 Real* x);

}  // namespace deeppcr::models
