#include "linear/pcr.hpp"

#include <algorithm>

#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

void Pcr::prepare() {
  const blocks::BlockBidiagonal& J = *J_;
  // The last operator may be gone: what it was like is remembered here.
  if (comm_ == &J.comm() && handle_ == J.comm().get() && shape_.layout == J.layout() &&
      shape_.batch == J.batch() && shape_.width == J.width())
    return;
  comm_ = &J.comm();
  handle_ = J.comm().get();
  shape_ = {J.layout(), J.batch(), J.width(), 0};
  forward_.clear();
  backward_.clear();
  const Index columns = J.local_range().size() * J.batch() * J.width();
  for (Buffer<Real>& one : columns_) one.reset(columns);
  for (Buffer<Real>& one : blocks_) one.reset(columns * J.width());
}

Pcr::Levels Pcr::make_levels(Direction direction) const {
  Levels all;
  for (Index stride = 1; stride < shape_.layout.num_steps(); stride *= 2) {
    const LevelShape shape{shape_.layout, shape_.batch, shape_.width, direction, stride};
    all.push_back(std::make_unique<LevelMatrix>(*comm_, shape));
  }
  return all;
}

States Pcr::reduce(Direction direction) {
  Levels& levels = direction == Direction::forward ? forward_ : backward_;
  if (levels.empty()) levels = make_levels(direction);
  const StageTimer timer(stages_, "reduce");
  const StepRange local = J_->local_range();
  const Index B = shape_.batch, n = shape_.width;
  if (!local.empty())
    J_->linearisation().blocks(local, Blocks(blocks_[0].data(), {local.size(), B, n, n}));
  levels_.assign(levels.size(), {});
  std::size_t at = 0;
  for (std::size_t k = 0; k < levels.size(); ++k, at = 1 - at) {
    levels[k]->advance({blocks_[at].data(), columns_[at].data()},
                       {blocks_[1 - at].data(), columns_[1 - at].data()}, fetched_, levels_[k]);
  }
  return {columns_[at].data(), {local.size(), B, n}};
}

void Pcr::run(Direction direction, ConstStates rhs, States result) {
  if (direction == Direction::forward) {
    solve_forward(rhs, result);
  } else {
    solve_backward(rhs, result);
  }
}

void Pcr::solve_forward(ConstStates r, States d) {
  // Frozen steps are rows like all others with nothing to correct: the levels need not be made
  // again.
  const Index frozen = J_->active_range().first - J_->local_range().first;
  const States columns(columns_[0].data(), r.shape());
  std::copy(r.begin(), r.end(), columns.begin());
  const States head = columns.slice(0, frozen);
  std::fill(head.begin(), head.end(), 0.0);
  const States result = reduce(Direction::forward);
  std::copy(result.begin(), result.end(), d.begin());
}

// In h_l = A_l^T g_l the blocks stay with their step: h_l = A_l^T h_{l+1} + A_l^T c_l, and g_l =
// c_l + h_{l+1}.
void Pcr::solve_backward(ConstStates c, States g) {
  const StepRange local = J_->local_range();
  const Index m = local.size(), state = shape_.batch * shape_.width;
  const Index n = shape_.width, missing = m - c.extent(0);
  const std::array<Index, 4> columns{c.extent(0), shape_.batch, 1, n};
  std::fill_n(columns_[0].data(), missing * state, Real{0});
  if (missing < m)
    J_->linearisation().product_each({local.first + missing, local.last}, Direction::backward,
                                     {c.data(), columns},
                                     {columns_[0].data() + missing * state, columns});
  const States h = reduce(Direction::backward);
  Buffer<Real> right(state);
  parallel::halo(J_->comm(), 0, shape_.layout.num_active_ranks() - 1, Direction::backward, h.data(),
                 right.data(), state, neighbours_);
  for (Index i = 0; i < m; ++i) {
    const Real* next = i + 1 < m ? h.data() + (i + 1) * state : right.data();
    const Real* row = blocks::row_at(c, m, i);
    for (Index j = 0; j < state; ++j)
      g.data()[i * state + j] = row == nullptr ? next[j] : row[j] + next[j];
  }
}

}  // namespace deeppcr::linear
