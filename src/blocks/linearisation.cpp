#include "deeppcr/blocks/linearisation.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/core/buffer.hpp"

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

void Linearisation::product_each(StepRange range, Direction direction, View<const Real, 4> V,
                                 View<Real, 4> W) const {
  for (Index i = 0; i < range.size(); ++i) product(range.first + i, direction, V[i], W[i]);
}

void Linearisation::diagonals(StepRange range, States D) const {
  const Index batch = D.extent(1), n = D.extent(2), rows = range.size() * batch;
  if (structure() == Structure::paired_diagonals) {
    Buffer<Real> columns(2 * D.size());
    paired_diagonals(range, {columns.data(), {range.size(), batch, 2, n}});
    for (Index row = 0; row < rows; ++row) {
      const Real* from = columns.data() + 2 * row * n;
      std::copy_n(from, n / 2, D.data() + row * n);
      std::copy_n(from + n + n / 2, n / 2, D.data() + row * n + n / 2);
    }
    return;
  }
  if (structure() != Structure::dense) {
    const std::vector<Real> ones(static_cast<std::size_t>(D.size()), 1.0);
    const std::array<Index, 4> column{range.size(), batch, 1, n};
    product_each(range, Direction::forward, {ones.data(), column}, {D.data(), column});
    return;
  }
  constexpr Index kSteps = 16;  // of which the blocks are there at once
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

bool Linearisation::paired_diagonals(StepRange range, View<Real, 4> columns) const {
  if (structure() != Structure::paired_diagonals) return false;
  const Index n = columns.extent(3);
  Buffer<Real> halves(columns.size());
  for (Index i = 0; i < halves.size(); ++i) halves[i] = i / n % 2 == i % n / (n / 2) ? 1 : 0;
  product_each(range, Direction::forward, {halves.data(), columns.shape()}, columns);
  return true;
}

namespace {

void substitute_forward(const Linearisation& A, StepRange range, ConstStates rhs, States result,
                        State carry) {
  const Index state = carry.size();
  const std::array<Index, 3> shape{carry.extent(0), 1, carry.extent(1)};
  std::vector<Real> product(static_cast<std::size_t>(state));
  const Real* before = carry.data();
  for (Index i = 0; i < range.size(); ++i) {
    // d_l = A_l d_{l-1} + r_l
    A.product(range.first + i, Direction::forward, ConstPanel(before, shape),
              Panel(product.data(), shape));
    const Real* r = rhs.data() + i * state;
    Real* d = result.data() + i * state;
    for (Index j = 0; j < state; ++j) d[j] = product[static_cast<std::size_t>(j)] + r[j];
    before = d;
  }
  if (!range.empty()) std::copy_n(before, state, carry.data());
}

void substitute_backward(const Linearisation& A, StepRange range, ConstStates rhs, States result,
                         State carry) {
  const Index state = carry.size();
  const std::array<Index, 3> shape{carry.extent(0), 1, carry.extent(1)};
  for (Index i = range.size() - 1; i >= 0; --i) {
    // g_l = c_l + A_{l+1}^T g_{l+1}
    Real* g = result.data() + i * state;
    const Real* c = row_at(rhs, range.size(), i);
    for (Index j = 0; j < state; ++j)
      g[j] = c == nullptr ? carry.data()[j] : carry.data()[j] + c[j];
    A.product(range.first + i, Direction::backward, ConstPanel(g, shape),
              Panel(carry.data(), shape));
  }
}

}  // namespace

void Linearisation::substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                               State carry) const {
  if (direction == Direction::forward) {
    substitute_forward(*this, range, rhs, result, carry);
  } else {
    substitute_backward(*this, range, rhs, result, carry);
  }
}

void Linearisation::eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                              Panel scratch) const {
  const bool forward = direction == Direction::forward;
  const Index m = range.size();
  Panel from = map, to = scratch;
  for (Index k = 0; k < m; ++k, std::swap(from, to)) {
    const Index i = forward ? k : m - 1 - k;
    const Real* r = row_at(rhs, m, i);
    if (!forward && r != nullptr) add_to_last_column(r, from);
    product(range.first + i, direction, from, to);
    if (forward && r != nullptr) add_to_last_column(r, to);
  }
  if (from.data() != map.data()) std::copy(from.begin(), from.end(), map.begin());
}

void Linearisation::blocks(StepRange range, Blocks A) const {
  const Index n = A.extent(2);
  std::vector<Real> identity(static_cast<std::size_t>(A.size()));
  set_identity({identity.data(), {range.size() * A.extent(1), n, n}});
  product_each(range, Direction::forward, {identity.data(), A.shape()}, A);
}

namespace {

const SideWork* side_work(const Linearisation& A, Direction direction) {
  return direction == Direction::backward ? A.side_work() : nullptr;
}

}  // namespace

void substitute_first(const Linearisation& A, StepRange range, Direction direction, ConstStates rhs,
                      States result, State carry) {
  if (const SideWork* side = side_work(A, direction)) {
    side->substitute_first(range, rhs, result, carry);
  } else {
    A.substitute(range, direction, rhs, result, carry);
  }
}

void catch_up(const Linearisation& A, StepRange range, Direction direction, ConstStates result) {
  if (const SideWork* side = side_work(A, direction)) side->catch_up(range, result);
}

void skip(const Linearisation& A, StepRange range, Direction direction, States result) {
  if (const SideWork* side = side_work(A, direction)) {
    side->skip(range, result);
  } else {
    std::fill(result.begin(), result.end(), 0.0);
  }
}

}  // namespace deeppcr::blocks
