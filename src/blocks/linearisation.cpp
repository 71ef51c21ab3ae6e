#include "deeppcr/blocks/linearisation.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace deeppcr::blocks {

namespace {

/// Adds rhs [B, n] to the last column of each sample's panel.
void add_to_last_column(const Real* rhs, Panel V) {
  const Index k = V.extent(1), n = V.extent(2);
  for (Index b = 0; b < V.extent(0); ++b) {
    const Real* x = rhs + b * n;
    Real* y = V.data() + (b * k + k - 1) * n;
    for (Index i = 0; i < n; ++i) y[i] += x[i];
  }
}

}  // namespace

void Linearisation::jvp_each(StepRange range, View<const Real, 4> V, View<Real, 4> W) const {
  for (Index i = 0; i < range.size(); ++i) jvp(range.first + i, V[i], W[i]);
}

void Linearisation::diagonals(StepRange range, States D) const {
  constexpr Index kSteps = 16;  // of which the blocks are there at once
  const Index batch = D.extent(1), n = D.extent(2);
  const Index most = std::min(kSteps, range.size());
  std::vector<Real> room(static_cast<std::size_t>(most * batch * n * n));
  for (Index first = range.first; first < range.last; first += kSteps) {
    const StepRange part{first, std::min(range.last, first + kSteps)};
    const Blocks A(room.data(), {part.size(), batch, n, n});
    blocks(part, A);
    for (Index row = 0; row < part.size() * batch; ++row)
      for (Index i = 0; i < n; ++i)
        D.data()[((first - range.first) * batch + row) * n + i] = A.data()[(row * n + i) * n + i];
  }
}

void Linearisation::substitute(StepRange range, ConstStates rhs, States result, State carry) const {
  const Index state = carry.size();
  const std::array<Index, 3> shape{carry.extent(0), 1, carry.extent(1)};
  std::vector<Real> product(static_cast<std::size_t>(state));
  const Real* before = carry.data();
  for (Index i = 0; i < range.size(); ++i) {
    // d_l = A_l d_{l-1} + r_l
    jvp(range.first + i, ConstPanel(before, shape), Panel(product.data(), shape));
    const Real* r = rhs.data() + i * state;
    Real* d = result.data() + i * state;
    for (Index j = 0; j < state; ++j) d[j] = product[static_cast<std::size_t>(j)] + r[j];
    before = d;
  }
  if (!range.empty()) std::copy_n(before, state, carry.data());
}

void Linearisation::substitute_transposed(StepRange range, ConstStates rhs, States result,
                                          State carry) const {
  const Index state = carry.size();
  const std::array<Index, 3> shape{carry.extent(0), 1, carry.extent(1)};
  for (Index i = range.size() - 1; i >= 0; --i) {
    // g_l = c_l + A_{l+1}^T g_{l+1}
    Real* g = result.data() + i * state;
    const Real* c = row_at(rhs, range.size(), i);
    for (Index j = 0; j < state; ++j)
      g[j] = c == nullptr ? carry.data()[j] : carry.data()[j] + c[j];
    vjp(range.first + i, ConstPanel(g, shape), Panel(carry.data(), shape));
  }
}

void Linearisation::skip_transposed(StepRange, States result) const {
  std::fill(result.begin(), result.end(), 0.0);
}

void Linearisation::substitute_both(const Strand& one, const Strand& other) const {
  for (const Strand* s : {&one, &other}) substitute(s->range, s->rhs, s->result, s->carry);
}

void Linearisation::substitute_both_transposed(const Strand& one, const Strand& other) const {
  for (const Strand* s : {&one, &other})
    substitute_transposed(s->range, s->rhs, s->result, s->carry);
}

void Linearisation::eliminate(StepRange range, ConstStates rhs, Panel map, Panel scratch) const {
  Panel from = map, to = scratch;
  for (Index i = 0; i < range.size(); ++i, std::swap(from, to)) {
    jvp(range.first + i, from, to);
    add_to_last_column(rhs[i].data(), to);
  }
  if (from.data() != map.data()) std::copy(from.begin(), from.end(), map.begin());
}

void Linearisation::eliminate_transposed(StepRange range, ConstStates rhs, Panel map,
                                         Panel scratch) const {
  Panel from = map, to = scratch;
  for (Index i = range.size() - 1; i >= 0; --i, std::swap(from, to)) {
    const Real* c = row_at(rhs, range.size(), i);
    if (c != nullptr) add_to_last_column(c, from);
    vjp(range.first + i, from, to);
  }
  if (from.data() != map.data()) std::copy(from.begin(), from.end(), map.begin());
}

void Linearisation::blocks(StepRange range, Blocks A) const {
  const Index n = A.extent(2);
  std::vector<Real> identity(static_cast<std::size_t>(A.size()), 0.0);
  for (Index row = 0; row < A.size() / n; ++row)
    identity[static_cast<std::size_t>(row * n + row % n)] = 1.0;
  jvp_each(range, {identity.data(), A.shape()}, A);
}

}  // namespace deeppcr::blocks
