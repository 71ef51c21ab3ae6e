// rnn, gru with the reset behind the recurrent product, and lstm: one product and one pass over the
// gates.
#include <algorithm>

#include "deeppcr/blocks/gates.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "models/back_product.hpp"
#include "models/cell.hpp"

namespace deeppcr::models {

namespace {

/// Slopes s [K n], tangents t of the pre-activations [G n], of a gru those that come from the state
/// alone, and tu [G n] from the inputs, null for zero; g by the state after.
struct RnnGates {
  static constexpr int kGates = 1, kSlopes = 1, kParts = 1;
  static constexpr bool kTwoSums = false;  ///< whether inputs and state act on a gate differently

  static void forward(blocks::Activation activation, const blocks::GateRows& rows) {
    rnn_gates(activation, rows);
  }
  // h' = s * t
  static void push(int n, const Real* s, const Real*, const Real*, const Real* t, Real* after) {
    for (int i = 0; i < n; ++i) after[i] = s[i] * t[i];
  }
  static void pull(int n, const Real* s, const Real* g, Real* du, Real*, Real* before) {
    for (int i = 0; i < n; ++i) du[i] = s[i] * g[i];
    if (before != nullptr) std::fill_n(before, n, Real{0});
  }
  // diagonal of W_hh in W [G n]
  static void diagonal(int n, const Real* s, const Real* W, Real* D) {
    for (int i = 0; i < n; ++i) D[i] = s[i] * W[i];
  }
};

struct GruGates {
  static constexpr int kGates = 3, kSlopes = 5, kParts = 1;
  static constexpr bool kTwoSums = true;

  static void forward(blocks::Activation activation, const blocks::GateRows& rows) {
    gru_gates(activation, rows);
  }
  // h' = z * h + s_r * (tu_r + t_r) + s_z * (tu_z + t_z) + s_n * tu_n + (s_n r) * t_n
  static void push(int n, const Real* s, const Real* before, const Real* tu, const Real* t,
                   Real* after) {
    const Real *of_r = s + n, *of_z = s + 2 * n, *of_n = s + 3 * n, *of_tn = s + 4 * n;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i)
      after[i] = s[i] * before[i] + of_r[i] * t[i] + of_z[i] * t[n + i] + of_tn[i] * t[2 * n + i];
    if (tu == nullptr) return;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i)
      after[i] += of_r[i] * tu[i] + of_z[i] * tu[n + i] + of_n[i] * tu[2 * n + i];
  }
  static void pull(int n, const Real* s, const Real* g, Real* du, Real* dv, Real* before) {
    const Real *of_r = s + n, *of_z = s + 2 * n, *of_n = s + 3 * n, *of_vn = s + 4 * n;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      dv[i] = du[i] = of_r[i] * g[i];
      dv[n + i] = du[n + i] = of_z[i] * g[i];
      du[2 * n + i] = of_n[i] * g[i];
      dv[2 * n + i] = of_vn[i] * g[i];
    }
    if (before == nullptr) return;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) before[i] = s[i] * g[i];
  }
  static void diagonal(int n, const Real* s, const Real* W, Real* D) {
    for (int i = 0; i < n; ++i)
      D[i] = s[i] + s[n + i] * W[i] + s[2 * n + i] * W[n + i] + s[4 * n + i] * W[2 * n + i];
  }
};

struct LstmGates {
  static constexpr int kGates = 4, kSlopes = 6, kParts = 2;
  static constexpr bool kTwoSums = false;

  static void forward(blocks::Activation, const blocks::GateRows& rows) { lstm_gates(rows); }
  // c' = f * c + s_i * t_i + s_f * t_f + s_g * t_g; h' = q * c' + s_o * t_o
  static void push(int n, const Real* s, const Real* before, const Real*, const Real* t,
                   Real* after) {
    const Real *of_i = s + n, *of_f = s + 2 * n, *of_g = s + 3 * n, *q = s + 4 * n,
               *of_o = s + 5 * n;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      const Real c =
          s[i] * before[n + i] + of_i[i] * t[i] + of_f[i] * t[n + i] + of_g[i] * t[2 * n + i];
      after[n + i] = c;
      after[i] = q[i] * c + of_o[i] * t[3 * n + i];
    }
  }
  static void pull(int n, const Real* s, const Real* g, Real* du, Real*, Real* before) {
    const Real *of_i = s + n, *of_f = s + 2 * n, *of_g = s + 3 * n, *q = s + 4 * n,
               *of_o = s + 5 * n;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      const Real c = g[n + i] + q[i] * g[i];
      du[i] = of_i[i] * c;
      du[n + i] = of_f[i] * c;
      du[2 * n + i] = of_g[i] * c;
      du[3 * n + i] = of_o[i] * g[i];
    }
    if (before == nullptr) return;
    std::fill_n(before, n, Real{0});
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) before[n + i] = s[i] * (g[n + i] + q[i] * g[i]);
  }
  static void diagonal(int n, const Real* s, const Real* W, Real* D) {
    for (int i = 0; i < n; ++i) {
      const Real c = s[n + i] * W[i] + s[2 * n + i] * W[n + i] + s[3 * n + i] * W[2 * n + i];
      D[i] = s[4 * n + i] * c + s[5 * n + i] * W[3 * n + i];
      D[n + i] = s[i];
    }
  }
  // What h, then what c contributes to h' and c'.
  static void pairs(int n, const Real* s, const Real* W, Real* columns) {
    Real *of_h = columns, *of_c = columns + 2 * n;
    for (int i = 0; i < n; ++i) {
      const Real q = s[4 * n + i];
      of_h[n + i] = s[n + i] * W[i] + s[2 * n + i] * W[n + i] + s[3 * n + i] * W[2 * n + i];
      of_h[i] = q * of_h[n + i] + s[5 * n + i] * W[3 * n + i];
      of_c[n + i] = s[i];
      of_c[i] = q * s[i];
    }
  }
};

template <typename Gates>
class DenseCell final : public Cell {
 public:
  explicit DenseCell(const CellShape& shape)
      : activation_(shape.activation),
        n_(shape.units),
        gates_(Gates::kGates * n_),
        product_(gates_, n_),
        back_(gates_, n_),
        start_(gates_),
        state_start_(gates_) {}

  int slopes_per_unit() const override { return Gates::kSlopes; }

  void take(const Real* theta, Direction direction, Index rows) override {
    W_ = theta;
    const Real *b_ih = W_ + Index{gates_} * n_, *b_hh = b_ih + gates_;
    for (int i = 0; i < gates_; ++i) {
      const bool apart = Gates::kTwoSums && i >= 2 * n_;  // a candidate's, which r multiplies
      start_[i] = apart ? b_ih[i] : b_ih[i] + b_hh[i];
      state_start_[i] = apart ? b_hh[i] : 0;
    }
    if (direction == Direction::backward) back_.take(W_, rows);
  }
  const Real* start() const override { return start_.data(); }

  void forward(const Rows& rows, const Real* u, Real* slopes) override {
    const Real* h = gathered(rows.count, rows.before, rows.stride, n_, states_);
    products_.reserve(rows.count * gates_);
    Real* a = products_.data();
    blocks::GateRows gate_rows{n_, rows.count, u, a, rows.before, rows.after, rows.stride, slopes};
    if constexpr (Gates::kTwoSums) {
      product_(W_, rows.count, h, state_start_.data(), a);
    } else {
      product_.add(W_, rows.count, h, u, a);
      gate_rows.u = a;
    }
    Gates::forward(activation_, gate_rows);
  }

  void push(const Columns& columns, const Real* V, Real* tu, Real* W) override {
    const Index count = columns.count();
    const Real* h = gathered(count, V, width(), n_, states_);
    products_.reserve(count * gates_);
    Real* t = products_.data();
    product_.add(W_, count, h, Gates::kTwoSums ? nullptr : tu, t);
    for (Index c = 0; c < count; ++c)
      Gates::push(n_, slopes_of(columns, c), V + c * width(),
                  tu == nullptr ? nullptr : tu + c * gates_, t + c * gates_, W + c * width());
  }

  void pull(const Columns& columns, const Real* g, Real* du, Real* dv, Real* carry) override {
    const Index count = columns.count();
    for (Index c = 0; c < count; ++c)
      Gates::pull(n_, slopes_of(columns, c), g + c * width(), du + c * gates_, dv + c * gates_,
                  carry == nullptr ? nullptr : carry + c * width());
    if (carry == nullptr) return;
    const Real* delta = Gates::kTwoSums ? dv : du;
    const Real* start = gathered(count, carry, width(), n_, states_);
    Real* h = Gates::kParts == 1 ? carry : states_.data();
    back_(count, delta, start, h);
    if (Gates::kParts > 1) scatter(count, h, n_, carry, width());
  }

  void add_gradient(const Rows& rows, const Real*, const Real* du, const Real* dv,
                    Real* gradient) override {
    const Real* delta = Gates::kTwoSums ? dv : du;
    const Real* h = gathered(rows.count, rows.before, rows.stride, n_, states_);
    add_outer_products(rows.count, gates_, n_, delta, h, outer_, gradient);
    Real *db_ih = gradient + Index{gates_} * n_, *db_hh = db_ih + gates_;
    add_rows(rows.count, gates_, du, db_ih);
    add_rows(rows.count, gates_, delta, db_hh);
  }

  void diagonals(Index rows, const Real* slopes, Real* D) const override {
    const Buffer<Real> of_gates = diagonals_of_gates();
    for (Index row = 0; row < rows; ++row)
      Gates::diagonal(n_, slopes + row * Gates::kSlopes * n_, of_gates.data(), D + row * width());
  }
  bool paired_diagonals(Index rows, const Real* slopes, Real* columns) const override {
    if constexpr (Gates::kParts == 2) {
      const Buffer<Real> of_gates = diagonals_of_gates();
      for (Index row = 0; row < rows; ++row)
        Gates::pairs(n_, slopes + row * Gates::kSlopes * n_, of_gates.data(),
                     columns + row * 2 * width());
    }
    return Gates::kParts == 2;
  }

 private:
  Index width() const { return Index{Gates::kParts} * n_; }
  /// Those of each gate's block of W_hh.
  Buffer<Real> diagonals_of_gates() const {
    Buffer<Real> found(gates_);
    for (int i = 0; i < gates_; ++i) found[i] = W_[i % n_ * Index{gates_} + i];
    return found;
  }
  const Real* slopes_of(const Columns& columns, Index c) const {
    return columns.slopes + c / columns.k * Gates::kSlopes * n_;
  }

  blocks::Activation activation_;
  int n_, gates_;
  const Real* W_ = nullptr;
  blocks::Product product_;
  BackProduct back_;
  Buffer<Real> start_, state_start_;        ///< of the products with inputs and with states
  Buffer<Real> states_, products_, outer_;  ///< scratch
};

}  // namespace

std::unique_ptr<Cell> make_rnn_cell(const CellShape& shape) {
  return std::make_unique<DenseCell<RnnGates>>(shape);
}

std::unique_ptr<Cell> make_lstm_cell(const CellShape& shape) {
  return std::make_unique<DenseCell<LstmGates>>(shape);
}

std::unique_ptr<Cell> make_gru_cell(const CellShape& shape) {
  if (shape.reset_before) return make_reset_before_cell(shape);
  return std::make_unique<DenseCell<GruGates>>(shape);
}

}  // namespace deeppcr::models
