#include "models/torch/torch_linearisation.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/blocks/affine_map.hpp"
#include "models/torch/torch_chain.hpp"

namespace deeppcr::models {

namespace {

/// Beyond, blocks cost more than they save: measured for n = 64 to 3072.
constexpr Index kWidestBlock = 256;
/// Blocks of n columns take as long as so many single products.
constexpr Index kProductsThatPay = 3;
/// Reals in the blocks of one linearisation: 512 MiB.
constexpr double kMostNumbers = 64. * 1024 * 1024;

}  // namespace

TorchLinearisation::TorchLinearisation(const TorchChain& chain, StepRange range, ConstStates in)
    : TorchLinearisation(chain, range, in, Tape(nullptr, [](DeepPcrTape*) {})) {}

TorchLinearisation::TorchLinearisation(const TorchChain& chain, StepRange range, ConstStates in,
                                       Tape tape)
    : chain_(chain),
      range_(range),
      in_(in),
      tape_(std::move(tape)),
      product_(chain.width(), chain.width()),
      transposed_product_(chain.width(), chain.width()),
      blocks_(static_cast<std::size_t>(range.size())),
      columns_(static_cast<std::size_t>(range.size())) {}

const Real* TorchLinearisation::block(Index l, Index columns) const {
  const auto i = static_cast<std::size_t>(l - range_.first);
  const Index n = chain_.width(), batch = in_.extent(1);
  if (!blocks_[i].empty()) return blocks_[i].data();
  columns_[i] += columns;
  if (n > kWidestBlock || columns_[i] < std::min(kProductsThatPay, n)) return nullptr;
  const double numbers = static_cast<double>(batch * n) * static_cast<double>(n);
  if (numbers_ + numbers > kMostNumbers) return nullptr;
  numbers_ += numbers;
  blocks_[i].reset(batch * n * n);
  make_blocks({l, l + 1}, {blocks_[i].data(), {1, batch, n, n}});
  return blocks_[i].data();
}

void TorchLinearisation::multiply(const Real* A, Direction direction, ConstPanel V, Panel W) const {
  const Index n = V.extent(2), columns = V.extent(1);
  for (Index b = 0; b < V.extent(0); ++b) {
    const Real* v = V.data() + b * columns * n;
    Real* w = W.data() + b * columns * n;
    if (direction == Direction::forward) {
      product_(A + b * n * n, columns, v, nullptr, w);
    } else {
      transposed_product_(A + b * n * n, columns, v, nullptr, w);
    }
  }
}

void TorchLinearisation::product(Index l, Direction direction, ConstPanel V, Panel W) const {
  const Index batch = V.extent(0), k = V.extent(1), n = V.extent(2);
  const Index i = l - range_.first;
  if (tape_ && direction == Direction::backward && k == 1)
    return chain_.pull(*tape_, i, V.data(), W.data());
  if (const Real* A = block(l, k)) return multiply(A, direction, V, W);
  chain_.product({l, l + 1}, direction, in_.slice(i, i + 1), {V.data(), {1, batch, k, n}},
                 {W.data(), {1, batch, k, n}});
}

void TorchLinearisation::product_each(StepRange range, Direction direction, View<const Real, 4> V,
                                      View<Real, 4> W) const {
  bool all = true;
  if (tape_ && direction == Direction::backward && V.extent(2) == 1)
    return Linearisation::product_each(range, direction, V, W);
  for (Index l = range.first; l < range.last; ++l) all = block(l, V.extent(2)) != nullptr && all;
  if (all) return Linearisation::product_each(range, direction, V, W);
  const Index first = range.first - range_.first;
  chain_.product(range, direction, in_.slice(first, first + range.size()), V, W);
}

void TorchLinearisation::blocks(StepRange range, Blocks A) const {
  const Index n = A.extent(2), size = A.extent(1) * n * n;
  for (Index l = range.first; l < range.last; ++l) {
    Real* to = A.data() + (l - range.first) * size;
    if (const Real* kept = block(l, n)) {
      std::copy_n(kept, size, to);
    } else {
      make_blocks({l, l + 1}, {to, {1, A.extent(1), n, n}});
    }
  }
}

void TorchLinearisation::make_blocks(StepRange range, Blocks A) const {
  const Index n = A.extent(2), first = range.first - range_.first;
  Buffer<Real> identity(A.size());
  blocks::set_identity({identity.data(), {range.size() * A.extent(1), n, n}});
  chain_.product(range, Direction::forward, in_.slice(first, first + range.size()),
                 {identity.data(), A.shape()}, A);
}

}  // namespace deeppcr::models
