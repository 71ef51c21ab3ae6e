#include "nonlinear/chunk_coupling.hpp"

#include <algorithm>

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::nonlinear {

ChunkCoupling::ChunkCoupling(Coupling coupling, const sequence::Sequence& sequence,
                             const sequence::Trajectory& trajectory, const Chunks& chunks,
                             ChunkSweep& sweep)
    : coupling_(coupling),
      sequence_(sequence),
      trajectory_(trajectory),
      chunks_(chunks),
      sweep_(sweep),
      own_(chunks.of_rank(trajectory.comm().rank())),
      maps_(coupling == Coupling::identity ? StepRange() : own_, trajectory.batch(),
            trajectory.width()),
      chain_(trajectory.comm(), chunks.owners(), trajectory.batch(), trajectory.width()),
      solver_(linear::find("hybrid").make()) {}

void ChunkCoupling::solve(ConstStates r, States v, Index exact) {
  const Index B = trajectory_.batch(), n = trajectory_.width();
  const int active = chunks_.owners().num_active_ranks();
  if (coupling_ == Coupling::identity) {
    // M = I: v_c = sum of r before c
    linear::sums_before(trajectory_.comm(), active, Direction::forward, r, v, traffic_);
    return;
  }
  // Nothing enters the exact chunks, nor the first.
  const Index unchanged = std::max<Index>(exact, 1);
  for (Index i = 0; i < own_.size(); ++i) {
    if (own_.first + i < unchanged) {
      const auto map = maps_.storage()[i];
      std::fill(map.begin(), map.end(), 0.0);
    } else {
      form(i);
    }
  }
  chain_.set_linearisation(&maps_);
  solver_->setup(chain_);
  Buffer<Real> changes(r.size()), left(B * n);
  const States e(changes.data(), r.shape());
  solver_->solve(r, e);
  // v_c = M_c e_{c-1}, with the last change of the left neighbour.
  traffic_ = solver_->level_traffic();
  parallel::Traffic neighbours = solver_->neighbour_traffic();
  parallel::halo(trajectory_.comm(), 0, active - 1, Direction::forward,
                 e.data() + (own_.size() - 1) * B * n, left.data(), B * n, neighbours);
  traffic_.push_back(neighbours);
  for (Index i = 0; i < own_.size(); ++i) {
    const Real* before = i == 0 ? left.data() : e[i - 1].data();
    maps_.product(own_.first + i, Direction::forward, ConstPanel(before, {B, 1, n}),
                  Panel(v[i].data(), {B, 1, n}));
  }
}

CriticalPath ChunkCoupling::path() const {
  if (coupling_ == Coupling::identity) return {};
  const auto steps = static_cast<double>(chunks_.longest());
  const double levels = parallel::ceil_log2(chunks_.size());
  // Linearise; then n columns through the steps, or a block of each (no product for one layer).
  return {steps + 1, steps + levels};
}

// M_c, from the Jacobians at the states of the chunk.
void ChunkCoupling::form(Index i) {
  const Chunk& c = sweep_[i];
  const Index m = c.steps.size(), B = trajectory_.batch(), n = trajectory_.width();
  const Index state = B * n, row = c.steps.first - trajectory_.local_range().first;
  starts_.reserve(m * state);
  std::copy_n(sweep_.start(i).data(), state, starts_.data());
  const Real* z = trajectory_.states().data() + row * state;
  std::copy_n(z, (m - 1) * state, starts_.data() + state);
  const std::array<Index, 3> shape{m, B, n};
  const auto J = sequence_.linearise_at_solution(c.steps, ConstStates(starts_.data(), shape),
                                                 ConstStates(z, shape));
  const Blocks map = maps_.storage();
  const Panel M(map.data() + i * state * n, {B, n, n});
  blocks::set_identity(M);
  if (coupling_ == Coupling::first_order) {
    sum_blocks(*J, c.steps, M);
  } else {
    compose(*J, c.steps, M);
  }
}

// M <- I + sum_l (A_l - I)
void ChunkCoupling::sum_blocks(const blocks::Linearisation& J, StepRange steps, Panel M) {
  block_.reserve(M.size());
  for (Index l = steps.first; l < steps.last; ++l) {
    J.blocks({l, l + 1}, Blocks(block_.data(), {1, M.extent(0), M.extent(1), M.extent(2)}));
    for (Index i = 0; i < M.size(); ++i) M.data()[i] += block_[i];
    for (Index b = 0; b < M.extent(0); ++b)
      for (Index j = 0; j < M.extent(1); ++j) M(b, j, j) -= 1;
  }
}

// M <- A_last .. A_first
void ChunkCoupling::compose(const blocks::Linearisation& J, StepRange steps, Panel M) {
  block_.reserve(M.size());
  Panel from = M, to(block_.data(), M.shape());
  for (Index l = steps.first; l < steps.last; ++l, std::swap(from, to))
    J.product(l, Direction::forward, from, to);
  if (from.data() != M.data()) std::copy(from.begin(), from.end(), M.begin());
}

}  // namespace deeppcr::nonlinear
