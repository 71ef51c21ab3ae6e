#include "nonlinear/triangular_anderson.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr::nonlinear {

namespace {

/// D^T D gamma = D^T d of the rows seen so far, of one sample.
struct NormalEquations {
  std::array<std::array<double, kMostHistory>, kMostHistory> products{};  ///< lower triangle
  std::array<double, kMostHistory> right{};
};

double dot(Index n, const Real* x, const Real* y) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

/// (S + lambda I) gamma = right by Cholesky's factors. Changes that hardly differ from each other
/// leave S without an inverse, and rounding errors with large coefficients: hence lambda. Returns
/// false where nothing has changed, or numbers are not finite.
bool solve(int m, NormalEquations S, std::array<double, kMostHistory>& gamma) {
  constexpr double kRegularisation = 1e-10;  // of the largest change
  auto& C = S.products;
  double largest = 0;
  for (int i = 0; i < m; ++i) largest = std::max(largest, C[i][i]);
  if (!(largest > 0) || !std::isfinite(largest)) return false;
  gamma = S.right;
  for (int i = 0; i < m; ++i) {
    C[i][i] += kRegularisation * largest;
    for (int j = 0; j <= i; ++j) {
      for (int k = 0; k < j; ++k) C[i][j] -= C[i][k] * C[j][k];
      if (i == j && !(C[i][i] > 0)) return false;
      C[i][j] = i == j ? std::sqrt(C[i][i]) : C[i][j] / C[j][j];
    }
    for (int k = 0; k < i; ++k) gamma[i] -= C[i][k] * gamma[k];
    gamma[i] /= C[i][i];
  }
  for (int i = m - 1; i >= 0; --i) {
    for (int k = i + 1; k < m; ++k) gamma[i] -= C[k][i] * gamma[k];
    gamma[i] /= C[i][i];
    if (!std::isfinite(gamma[i])) return false;
  }
  return true;
}

}  // namespace

TriangularAnderson::TriangularAnderson(int history, Index window, Index batch, Index width)
    : history_(history),
      capacity_(std::max<Index>(1, window)),
      batch_(batch),
      width_(width),
      row_(batch * width),
      of_correction_(capacity_ * history * row_),
      of_target_(capacity_ * history * row_),
      correction_(capacity_ * row_),
      target_(capacity_ * row_) {
  DEEPPCR_ASSERT(1 <= history && history <= kMostHistory, "history {}", history);
}

void TriangularAnderson::observe(StepRange window, ConstStates z, ConstStates d) {
  newest_ = (newest_ + 1) % history_;
  for (Index l = window.first; l < window.last; ++l) {
    const Real *state = z[l - window.first].data(), *found = d[l - window.first].data();
    const bool entered = l >= window_.last;
    if (entered) {
      std::fill_n(changes(of_correction_, l, 0), history_ * row_, 0.0);
      std::fill_n(changes(of_target_, l, 0), history_ * row_, 0.0);
    }
    Real *D = changes(of_correction_, l, newest_), *G = changes(of_target_, l, newest_);
    Real *last = correction_.data() + slot(l) * row_,
         *last_target = target_.data() + slot(l) * row_;
    for (Index i = 0; i < row_; ++i) {
      const Real target = state[i] + found[i];
      if (!entered) {
        D[i] = found[i] - last[i];
        G[i] = target - last_target[i];
      }
      last[i] = found[i];
      last_target[i] = target;
    }
  }
  window_ = window;
}

void TriangularAnderson::accelerate(Index first, States d) const {
  std::vector<NormalEquations> equations(static_cast<std::size_t>(batch_));
  std::array<double, kMostHistory> gamma{};
  for (Index l = window_.first; l < window_.last; ++l) {
    for (Index b = 0; b < batch_; ++b) {
      NormalEquations& S = equations[static_cast<std::size_t>(b)];
      const Index sample = b * width_;
      const Real* found = correction_.data() + slot(l) * row_ + sample;
      // S += D_l^T D_l, right += D_l^T d_l
      for (int i = 0; i < history_; ++i) {
        const Real* D = changes(of_correction_, l, i) + sample;
        for (int j = 0; j <= i; ++j)
          S.products[i][j] += dot(width_, D, changes(of_correction_, l, j) + sample);
        S.right[i] += dot(width_, D, found);
      }
      if (l < first || !solve(history_, S, gamma)) continue;
      Real* corrected = d[l - window_.first].data() + sample;
      for (int j = 0; j < history_; ++j) {
        const Real* G = changes(of_target_, l, j) + sample;
        for (Index i = 0; i < width_; ++i) corrected[i] -= gamma[j] * G[i];
      }
    }
  }
}

}  // namespace deeppcr::nonlinear
