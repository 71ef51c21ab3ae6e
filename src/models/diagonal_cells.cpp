// para-gru and para-lstm: their recurrent weights are diagonal, so that a step costs n.
#include <algorithm>

#include "deeppcr/blocks/gates.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "models/cell.hpp"

namespace deeppcr::models {

namespace {

/// theta: a [3 n], then what is the cell's own, then b [3 n]. Slopes s as the gates leave them.
struct ParaGruGates {
  static constexpr int kSlopes = 5, kParts = 1, kBias = 3;

  static void forward(const Real* theta, const blocks::GateRows& rows) {
    para_gru_gates(theta, rows);
  }
  // h' = J * h + s_z * t_z + s_r * t_r + s_n * t_n
  static void push(int n, const Real*, const Real* s, const Real* before, const Real* t,
                   Real* after) {
    for (int i = 0; i < n; ++i) after[i] = s[i] * before[i];
    if (t == nullptr) return;
    for (int i = 0; i < n; ++i)
      after[i] += s[n + i] * t[i] + s[2 * n + i] * t[n + i] + s[3 * n + i] * t[2 * n + i];
  }
  static void pull(int n, const Real*, const Real* s, const Real* g, Real* du, Real* before) {
    for (int gate = 0; gate < 3; ++gate)
      for (int i = 0; i < n; ++i) du[gate * n + i] = s[(gate + 1) * n + i] * g[i];
    if (before == nullptr) return;
    for (int i = 0; i < n; ++i) before[i] = s[i] * g[i];
  }
  static void add_gradient(int n, const Real* s, const Real* h, const Real* du, Real* da) {
    const Real* r = s + 4 * n;
    for (int i = 0; i < n; ++i) {
      da[i] += du[i] * h[i];
      da[n + i] += du[n + i] * h[i];
      da[2 * n + i] += du[2 * n + i] * h[i] * r[i];
    }
  }
  static void diagonal(int n, const Real*, const Real* s, Real* D) { std::copy_n(s, n, D); }
};

struct ParaLstmGates {
  static constexpr int kSlopes = 6, kParts = 2, kBias = 5;

  static void forward(const Real* theta, const blocks::GateRows& rows) {
    para_lstm_gates(theta, rows);
  }
  // c' = f * c + s_f * t_f + s_g * t_g, h' = q * c' + s_o * t_o
  static void push(int n, const Real* theta, const Real* s, const Real* before, const Real* t,
                   Real* after) {
    const Real *h = before, *c = before + n, *p_f = theta + 3 * n;
    const auto from_inputs = [=](int i) { return t == nullptr ? 0 : t[i]; };
    for (int i = 0; i < n; ++i) {
      const Real t_f = theta[i] * h[i] + p_f[i] * c[i] + from_inputs(i);
      const Real t_g = theta[n + i] * h[i] + from_inputs(n + i);
      const Real t_o = theta[2 * n + i] * h[i] + from_inputs(2 * n + i);
      const Real next = s[i] * c[i] + s[n + i] * t_f + s[2 * n + i] * t_g;
      after[n + i] = next;
      after[i] = s[3 * n + i] * next + s[4 * n + i] * t_o;
    }
  }
  static void pull(int n, const Real* theta, const Real* s, const Real* g, Real* du, Real* before) {
    const Real* p_f = theta + 3 * n;
    for (int i = 0; i < n; ++i) {
      const Real of_c = g[n + i] + s[3 * n + i] * g[i];
      du[i] = s[n + i] * of_c;
      du[n + i] = s[2 * n + i] * of_c;
      du[2 * n + i] = s[4 * n + i] * g[i];
      if (before == nullptr) continue;
      before[i] = theta[i] * du[i] + theta[n + i] * du[n + i] + theta[2 * n + i] * du[2 * n + i];
      before[n + i] = s[i] * of_c + p_f[i] * du[i];
    }
  }
  static void add_gradient(int n, const Real* s, const Real* before, const Real* du, Real* da) {
    const Real *h = before, *c = before + n, *next = s + 5 * n;
    for (int i = 0; i < n; ++i) {
      da[i] += du[i] * h[i];
      da[n + i] += du[n + i] * h[i];
      da[2 * n + i] += du[2 * n + i] * h[i];
      da[3 * n + i] += du[i] * c[i];
      da[4 * n + i] += du[2 * n + i] * next[i];
    }
  }
  static void diagonal(int n, const Real* theta, const Real* s, Real* D) {
    for (int i = 0; i < n; ++i) {
      D[i] = s[3 * n + i] * (s[n + i] * theta[i] + s[2 * n + i] * theta[n + i]) +
             s[4 * n + i] * theta[2 * n + i];
      D[n + i] = s[i] + s[n + i] * theta[3 * n + i];
    }
  }
};

template <typename Gates>
class DiagonalCell final : public Cell {
 public:
  explicit DiagonalCell(const CellShape& shape) : n_(shape.units) {}

  int slopes_per_unit() const override { return Gates::kSlopes; }
  void take(const Real* theta, Direction, Index) override { theta_ = theta; }
  const Real* start() const override { return theta_ + Gates::kBias * n_; }

  void forward(const Rows& rows, const Real* u, Real* slopes) override {
    Gates::forward(theta_,
                   {n_, rows.count, u, nullptr, rows.before, rows.after, rows.stride, slopes});
  }
  void push(const Columns& columns, const Real* V, Real* tu, Real* W) override {
    for (Index c = 0; c < columns.count(); ++c)
      Gates::push(n_, theta_, slopes_of(columns, c), V + c * width(),
                  tu == nullptr ? nullptr : tu + c * 3 * n_, W + c * width());
  }
  void pull(const Columns& columns, const Real* g, Real* du, Real*, Real* carry) override {
    for (Index c = 0; c < columns.count(); ++c)
      Gates::pull(n_, theta_, slopes_of(columns, c), g + c * width(), du + c * 3 * n_,
                  carry == nullptr ? nullptr : carry + c * width());
  }
  void add_gradient(const Rows& rows, const Real* slopes, const Real* du, const Real*,
                    Real* gradient) override {
    for (Index row = 0; row < rows.count; ++row)
      Gates::add_gradient(n_, slopes + row * Gates::kSlopes * n_, rows.before + row * rows.stride,
                          du + row * 3 * n_, gradient);
    add_rows(rows.count, 3 * Index{n_}, du, gradient + Gates::kBias * n_);
  }
  void diagonals(Index rows, const Real* slopes, Real* D) const override {
    for (Index row = 0; row < rows; ++row)
      Gates::diagonal(n_, theta_, slopes + row * Gates::kSlopes * n_, D + row * width());
  }

 private:
  Index width() const { return Index{Gates::kParts} * n_; }
  const Real* slopes_of(const Columns& columns, Index c) const {
    return columns.slopes + c / columns.k * Gates::kSlopes * n_;
  }

  int n_;
  const Real* theta_ = nullptr;
};

}  // namespace

std::unique_ptr<Cell> make_para_gru_cell(const CellShape& shape) {
  return std::make_unique<DiagonalCell<ParaGruGates>>(shape);
}

std::unique_ptr<Cell> make_para_lstm_cell(const CellShape& shape) {
  return std::make_unique<DiagonalCell<ParaLstmGates>>(shape);
}

}  // namespace deeppcr::models
