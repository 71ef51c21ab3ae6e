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
    : batch_(batch), width_(width), scratch_(batch, width) {}

void LocalChain::substitute(const blocks::Linearisation& A, Direction direction, StepRange range,
                            ConstStates rhs, States result, State carry) {
  if (direction == Direction::forward) {
    A.substitute(range, rhs, result, carry);
  } else {
    A.substitute_transposed(range, rhs, result, carry);
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
