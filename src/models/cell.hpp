#pragma once

#include <memory>

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::models {

enum class CellKind { rnn, gru, lstm, para_gru, para_lstm };

/// Stacked recurrent cells of one kind, and what lies where in their states and parameters.
///
/// State of one sample: layer after layer, each h [n], of LSTMs then c [n]. Parameters of a layer:
/// W_ih, column-major [G n x d], d = `features` of the first layer, else n; then
///
///     rnn, gru, lstm  W_hh, column-major [G n x n], b_ih [G n], b_hh [G n]
///     para-gru        a [3 n], b [3 n]
///     para-lstm       a [3 n], peepholes p_f, p_o [2 n], b [3 n]
///
/// Gates in this order: gru r, z, n; lstm i, f, g, o; para-gru z, r, n; para-lstm f, g, o.
struct CellShape {
  CellKind kind = CellKind::rnn;
  int layers = 1, features = 1, units = 1;  ///< units: n
  /// Of the candidate of a gru, and of an rnn.
  blocks::Activation activation = blocks::Activation::tanh;
  bool reset_before = false;  ///< of a gru: in front of the recurrent product

  bool is_diagonal() const { return kind == CellKind::para_gru || kind == CellKind::para_lstm; }
  bool has_memory() const { return kind == CellKind::lstm || kind == CellKind::para_lstm; }
  int gates() const;
  Index gate_reals() const { return Index{gates()} * units; }
  /// Of the Jacobian of a step.
  blocks::Structure structure() const;
  int layer_width() const { return (has_memory() ? 2 : 1) * units; }
  int state_width() const { return layers * layer_width(); }
  int inputs_of(int layer) const { return layer == 0 ? features : units; }
  Index input_weights(int layer) const { return gate_reals() * inputs_of(layer); }
  Index recurrent_parameters() const;
  Index parameters(int layer) const { return input_weights(layer) + recurrent_parameters(); }
  /// Of all layers together.
  Index all_parameters() const;
};

/// The recurrent part of one layer at rows, (step, sample) pairs, each from a state of its own or
/// from the one before. `theta` are the parameters behind W_ih. u [rows, G n] is W_ih x + start(),
/// and du its gradient. K = slopes_per_unit(); w = layer_width().
///
/// Not for use by several threads at once: what is made of the parameters and scratch are kept.
class Cell {
 public:
  virtual ~Cell() = default;

  virtual int slopes_per_unit() const = 0;

  /// Takes the parameters as they are now. forward(), push() and pull() use what the last call took
  /// for their direction; `rows` is about how many of them will come.
  virtual void take(const Real* theta, Direction direction, Index rows) = 0;
  /// What the input products start from, [G n]: those biases that are not elsewhere.
  virtual const Real* start() const = 0;

  /// States of rows: `stride` reals from one to the next.
  struct Rows {
    Index count;
    const Real* before;
    Real* after;
    Index stride;
  };
  /// after = f(u, before), and the derivative's coefficients slopes [rows, K n]. The bits of a row
  /// depend on nothing else.
  virtual void forward(const Rows& rows, const Real* u, Real* slopes) = 0;

  /// k columns for each of some rows.
  struct Columns {
    Index rows, k;
    const Real* slopes;  ///< [rows, K n]
    Index count() const { return rows * k; }
  };
  /// W = (df / d state) V + (df / du) tu, [rows, k, w]; tu [rows, k, G n], null for zero, is lost.
  virtual void push(const Columns& columns, const Real* V, Real* tu, Real* W) = 0;
  /// du = (df / du)^T g, and dv for add_gradient(), both [rows, k, G n]; carry = (df / d state)^T g
  /// [rows, k, w], null where it is not wanted.
  virtual void pull(const Columns& columns, const Real* g, Real* du, Real* dv, Real* carry) = 0;

  /// Adds the sums over rows to the gradient by theta. Rows as in forward(), without `after`.
  virtual void add_gradient(const Rows& rows, const Real* slopes, const Real* du, const Real* dv,
                            Real* gradient) = 0;
  /// The diagonals of df / d state, [rows, w].
  virtual void diagonals(Index rows, const Real* slopes, Real* D) const = 0;
  /// Of h and c the 2 x 2 blocks by columns, [rows, 2, w], as blocks::Linearisation has them; false
  /// where there is no c, or the cell has another way. Default: false.
  virtual bool paired_diagonals(Index rows, const Real* slopes, Real* columns) const;
};

std::unique_ptr<Cell> make_cell(const CellShape& shape);
std::unique_ptr<Cell> make_rnn_cell(const CellShape& shape);
std::unique_ptr<Cell> make_gru_cell(const CellShape& shape);
std::unique_ptr<Cell> make_reset_before_cell(const CellShape& shape);
std::unique_ptr<Cell> make_lstm_cell(const CellShape& shape);
std::unique_ptr<Cell> make_para_gru_cell(const CellShape& shape);
std::unique_ptr<Cell> make_para_lstm_cell(const CellShape& shape);

/// Rows of `width` numbers that are `stride` reals apart, one after another: where they are, or in
/// scratch.
const Real* gathered(Index count, const Real* x, Index stride, Index width, Buffer<Real>& scratch);
/// The way back: x [count, width] to rows that are `stride` reals apart.
void scatter(Index count, const Real* x, Index width, Real* y, Index stride);

/// C += sum over rows of delta x^T, column-major [outputs x inputs], for delta [rows, outputs] and
/// x [rows, inputs]. Cost: 2 rows outputs inputs flops
void add_outer_products(Index rows, int outputs, int inputs, const Real* delta, const Real* x,
                        Buffer<Real>& scratch, Real* C);
/// sum += rows of x [rows, width]
void add_rows(Index rows, Index width, const Real* x, Real* sum);

}  // namespace deeppcr::models
