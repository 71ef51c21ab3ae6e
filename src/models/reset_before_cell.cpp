// gru with the reset in front of the recurrent product: two products one after the other.
#include <algorithm>

#include "deeppcr/blocks/gates.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "models/back_product.hpp"
#include "models/cell.hpp"
#include "models/room.hpp"

namespace deeppcr::models {

namespace {

/// Slopes: z, r, s_r (of r * h by t_r), s_z and s_n (of h' by t_z and t_n).
constexpr int kSlopes = 5;

class ResetBeforeCell final : public Cell {
 public:
  explicit ResetBeforeCell(const CellShape& shape)
      : activation_(shape.activation),
        n_(shape.units),
        gate_product_(2 * n_, n_),
        product_(n_, n_),
        gates_back_(2 * n_, n_),
        back_(n_, n_),
        start_(3 * n_),
        gate_weights_(2 * n_ * n_),
        weights_(n_ * n_) {}

  int slopes_per_unit() const override { return kSlopes; }

  /// Parts of W_hh by themselves: of r and z, and of n.
  void take(const Real* theta, Direction direction, Index rows) override {
    for (Index j = 0; j < n_; ++j) {
      std::copy_n(theta + j * 3 * n_, 2 * n_, gate_weights_.data() + j * 2 * n_);
      std::copy_n(theta + j * 3 * n_ + 2 * n_, n_, weights_.data() + j * n_);
    }
    const Real *b_ih = theta + 3 * n_ * n_, *b_hh = b_ih + 3 * n_;
    for (Index i = 0; i < 3 * n_; ++i) start_[i] = b_ih[i] + b_hh[i];
    if (direction == Direction::forward) return;
    gates_back_.take(gate_weights_.data(), rows);
    back_.take(weights_.data(), rows);
  }
  const Real* start() const override { return start_.data(); }

  void forward(const Rows& rows, const Real* u, Real* slopes) override {
    const Real* h = gathered(rows.count, rows.before, rows.stride, n_, states_);
    Real *v = room(products_, rows.count * 2 * n_), *rh = room(reset_, rows.count * n_);
    const blocks::GateRows of_rows{static_cast<int>(n_), rows.count, u,           v,
                                   rows.before,          rows.after, rows.stride, slopes};
    gate_product_(gate_weights_.data(), rows.count, h, nullptr, v);
    gru_reset(of_rows, rh);
    product_(weights_.data(), rows.count, rh, nullptr, v);
    gru_candidate(activation_, of_rows);
  }

  // t_r, t_z = W_rz h + tu; then t_n = W_n (r * h + s_r * t_r) + tu; h' = z * h + s_z * t_z + s_n *
  // t_n
  void push(const Columns& columns, const Real* V, Real* tu, Real* W) override {
    const Index count = columns.count();
    Real *t = room(products_, count * 2 * n_), *rh = room(reset_, 2 * count * n_);
    Real* t_n = rh + count * n_;
    gate_product_(gate_weights_.data(), count, V, nullptr, t);
    for (Index c = 0; c < count; ++c) {
      const Real* s = slopes_of(columns, c);
      Real* of_gates = t + c * 2 * n_;
      if (tu != nullptr) blocks::add(2 * n_, tu + c * 3 * n_, of_gates);
      for (Index i = 0; i < n_; ++i)
        rh[c * n_ + i] = s[n_ + i] * V[c * n_ + i] + s[2 * n_ + i] * of_gates[i];
    }
    product_(weights_.data(), count, rh, nullptr, t_n);
    for (Index c = 0; c < count; ++c) {
      const Real *s = slopes_of(columns, c), *t_z = t + c * 2 * n_ + n_;
      Real* candidate = t_n + c * n_;
      if (tu != nullptr) blocks::add(n_, tu + c * 3 * n_ + 2 * n_, candidate);
      for (Index i = 0; i < n_; ++i)
        W[c * n_ + i] =
            s[i] * V[c * n_ + i] + s[3 * n_ + i] * t_z[i] + s[4 * n_ + i] * candidate[i];
    }
  }

  // d_n = s_n * g; e = W_n^T d_n; d_r = s_r * e; d_z = s_z * g; carry = z * g + r * e + W_rz^T
  // [d_r, d_z]
  void pull(const Columns& columns, const Real* g, Real* du, Real*, Real* carry) override {
    const Index count = columns.count();
    Real *d_n = room(products_, count * 4 * n_), *e = d_n + count * n_, *d_rz = e + count * n_;
    for (Index c = 0; c < count; ++c) {
      const Real* s = slopes_of(columns, c);
      for (Index i = 0; i < n_; ++i) d_n[c * n_ + i] = s[4 * n_ + i] * g[c * n_ + i];
    }
    back_(count, d_n, nullptr, e);
    for (Index c = 0; c < count; ++c) {
      const Real *s = slopes_of(columns, c), *of_state = e + c * n_;
      Real *d = d_rz + c * 2 * n_, *all = du + c * 3 * n_;
      for (Index i = 0; i < n_; ++i) {
        d[i] = s[2 * n_ + i] * of_state[i];
        d[n_ + i] = s[3 * n_ + i] * g[c * n_ + i];
      }
      std::copy_n(d, 2 * n_, all);
      std::copy_n(d_n + c * n_, n_, all + 2 * n_);
      if (carry == nullptr) continue;
      for (Index i = 0; i < n_; ++i)
        carry[c * n_ + i] = s[i] * g[c * n_ + i] + s[n_ + i] * of_state[i];
    }
    if (carry != nullptr) gates_back_(count, d_rz, carry, carry);
  }

  void add_gradient(const Rows& rows, const Real* slopes, const Real* du, const Real*,
                    Real* gradient) override {
    const Real* h = gathered(rows.count, rows.before, rows.stride, n_, states_);
    Real* rh = room(reset_, rows.count * n_);
    for (Index row = 0; row < rows.count; ++row) {
      const Real* r = slopes + row * kSlopes * n_ + n_;
      for (Index i = 0; i < n_; ++i) rh[row * n_ + i] = r[i] * h[row * n_ + i];
    }
    add_part(rows.count, du, 0, 2 * n_, h, gradient);
    add_part(rows.count, du, 2 * n_, n_, rh, gradient);
    Real* db_ih = gradient + 3 * n_ * n_;
    add_rows(rows.count, 3 * n_, du, db_ih);
    add_rows(rows.count, 3 * n_, du, db_ih + 3 * n_);
  }

  // dh'_i / dh_i = z + s_z W_z(i, i) + s_n (r W_n(i, i) + sum_j W_n(i, j) s_r(j) W_r(j, i))
  void diagonals(Index rows, const Real* slopes, Real* D) const override {
    Buffer<Real> M(n_ * n_), through(n_);
    for (Index j = 0; j < n_; ++j)
      for (Index i = 0; i < n_; ++i)
        M[j * n_ + i] = weights_[j * n_ + i] * gate_weights_[i * 2 * n_ + j];
    for (Index row = 0; row < rows; ++row, D += n_, slopes += kSlopes * n_) {
      const Real *z = slopes, *r = z + n_, *s_r = r + n_, *s_z = s_r + n_, *s_n = s_z + n_;
      product_(M.data(), 1, s_r, nullptr, through.data());
      for (Index i = 0; i < n_; ++i)
        D[i] = z[i] + s_z[i] * gate_weights_[i * 2 * n_ + n_ + i] +
               s_n[i] * (r[i] * weights_[i * n_ + i] + through[i]);
    }
  }

 private:
  const Real* slopes_of(const Columns& columns, Index c) const {
    return columns.slopes + c / columns.k * kSlopes * n_;
  }

  /// Rows [first, first + count) of dW_hh += sum of delta x^T.
  void add_part(Index rows, const Real* du, Index first, Index count, const Real* x,
                Real* gradient) {
    const Real* delta = gathered(rows, du + first, 3 * n_, count, deltas_);
    part_.reset(count * n_);
    add_outer_products(rows, static_cast<int>(count), static_cast<int>(n_), delta, x, outer_,
                       part_.data());
    for (Index j = 0; j < n_; ++j)
      blocks::add(count, part_.data() + j * count, gradient + j * 3 * n_ + first);
  }

  blocks::Activation activation_;
  Index n_;
  blocks::Product gate_product_, product_;
  BackProduct gates_back_, back_;
  Buffer<Real> start_;
  Buffer<Real> gate_weights_, weights_;  ///< [2 n x n] of r and z, [n x n] of n
  Buffer<Real> states_, products_, reset_, deltas_, part_, outer_;  ///< scratch
};

}  // namespace

std::unique_ptr<Cell> make_reset_before_cell(const CellShape& shape) {
  return std::make_unique<ResetBeforeCell>(shape);
}

}  // namespace deeppcr::models
