#include "deeppcr/linear/local_chain.hpp"

#include <algorithm>

namespace deeppcr::linear {

namespace {

void add(const Real* x, Index count, Real* y) {
  for (Index i = 0; i < count; ++i) y[i] += x[i];
}

/// Adds rhs [B, n] to the last column of each sample's panel.
void add_to_last_column(ConstState rhs, Panel V) {
  const Index k = V.extent(1), n = V.extent(2);
  for (Index b = 0; b < V.extent(0); ++b)
    add(rhs.data() + b * n, n, V.data() + (b * k + k - 1) * n);
}

}  // namespace

LocalChain::LocalChain(Index batch, int width)
    : batch_(batch), width_(width), column_(batch * width), scratch_(batch, width) {}

void LocalChain::substitute(const blocks::Linearisation& A, Direction direction, StepRange range,
                            ConstStates rhs, States result, State carry) {
  const Index state = batch_ * width_, m = range.size();
  const std::array<Index, 3> shape{batch_, 1, width_};
  if (direction == Direction::forward) {
    const Real* before = carry.data();
    for (Index i = 0; i < m; ++i) {
      // d_l = A_l d_{l-1} + r_l
      A.jvp(range.first + i, ConstPanel(before, shape), Panel(column_.data(), shape));
      const Real* r = rhs.data() + i * state;
      Real* d = result.data() + i * state;
      for (Index j = 0; j < state; ++j) d[j] = column_[j] + r[j];
      before = d;
    }
    if (m > 0) std::copy_n(before, state, carry.data());
    return;
  }
  for (Index i = m - 1; i >= 0; --i) {
    // g_l = A_{l+1}^T g_{l+1} + c_l
    Real* g = result.data() + i * state;
    const Real* c = rhs.data() + i * state;
    for (Index j = 0; j < state; ++j) g[j] = carry.data()[j] + c[j];
    A.vjp(range.first + i, ConstPanel(g, shape), Panel(carry.data(), shape));
  }
}

void LocalChain::eliminate(const blocks::Linearisation& A, Direction direction, StepRange range,
                           ConstStates rhs, blocks::AffineMap& map) {
  // forward: V <- A_l V + [0 | r_l]     backward: V <- A_l^T (V + [0 | c_l])     from V = [I | 0]
  blocks::AffineMap* from = &map;
  blocks::AffineMap* to = &scratch_;
  from->set_identity();
  for (Index k = 0; k < range.size(); ++k) {
    const bool forward = direction == Direction::forward;
    const Index i = forward ? k : range.size() - 1 - k;
    if (!forward) add_to_last_column(rhs[i], from->panel());
    blocks::push(A, direction, range.first + i, from->panel(), to->panel());
    if (forward) add_to_last_column(rhs[i], to->panel());
    std::swap(from, to);
  }
  if (from != &map) map.swap(scratch_);
}

}  // namespace deeppcr::linear
