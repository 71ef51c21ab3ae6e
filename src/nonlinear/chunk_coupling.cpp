#include "nonlinear/chunk_coupling.hpp"

#include <algorithm>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::nonlinear {

namespace {

/// M = I: v_c = sum of r before c.
class IdentityCoupling final : public ChunkCoupling {
 public:
  IdentityCoupling(const sequence::Trajectory& trajectory, const Chunks& chunks)
      : comm_(trajectory.comm()), active_(chunks.owners().num_active_ranks()) {}

  void solve(ConstStates r, States v, Index) override {
    linear::sums_before(comm_, active_, Direction::forward, r, v, traffic_);
  }
  parallel::TrafficByLevel traffic() const override { return traffic_; }
  CriticalPath path() const override { return {}; }

 private:
  const parallel::Communicator& comm_;
  int active_;
  parallel::TrafficByLevel traffic_;
};

/// M from the Jacobians at the states of the last sweep; the chain of chunks is solved by hybrid.
class MatrixCoupling final : public ChunkCoupling {
 public:
  MatrixCoupling(bool first_order, const sequence::Sequence& sequence,
                 const sequence::Trajectory& trajectory, const Chunks& chunks, ChunkSweep& sweep)
      : first_order_(first_order),
        sequence_(sequence),
        trajectory_(trajectory),
        chunks_(chunks),
        sweep_(sweep),
        own_(chunks.of_rank(trajectory.comm().rank())),
        maps_(own_, trajectory.batch(), trajectory.width()),
        chain_(trajectory.comm(), chunks.owners(), trajectory.batch(), trajectory.width()),
        solver_(linear::find("hybrid").make()) {}

  void solve(ConstStates r, States v, Index exact) override {
    const Index B = trajectory_.batch(), n = trajectory_.width();
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
    halo_ = {};
    parallel::halo(trajectory_.comm(), 0, chunks_.owners().num_active_ranks() - 1,
                   Direction::forward, e.data() + (own_.size() - 1) * B * n, left.data(), B * n,
                   halo_);
    for (Index i = 0; i < own_.size(); ++i) {
      const Real* before = i == 0 ? left.data() : e[i - 1].data();
      maps_.product(own_.first + i, Direction::forward, ConstPanel(before, {B, 1, n}),
                    Panel(v[i].data(), {B, 1, n}));
    }
  }

  parallel::TrafficByLevel traffic() const override {
    parallel::TrafficByLevel all = solver_->level_traffic();
    all.push_back(halo_);
    all.back() += solver_->neighbour_traffic();
    return all;
  }

  CriticalPath path() const override {
    const auto steps = static_cast<double>(chunks_.longest());
    const double levels = parallel::ceil_log2(chunks_.size());
    // Linearise; then n columns through the steps, or a block of each (no product for one layer).
    return {steps + 1, steps + levels};
  }

 private:
  // M_c, from the Jacobians at the states of the chunk.
  void form(Index i) {
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
    std::fill(M.begin(), M.end(), 0.0);
    for (Index b = 0; b < B; ++b)
      for (Index j = 0; j < n; ++j) M(b, j, j) = 1;
    if (first_order_) {
      sum_blocks(*J, c.steps, M);
    } else {
      compose(*J, c.steps, M);
    }
  }

  // M <- I + sum_l (A_l - I)
  void sum_blocks(const blocks::Linearisation& J, StepRange steps, Panel M) {
    block_.reserve(M.size());
    for (Index l = steps.first; l < steps.last; ++l) {
      J.blocks({l, l + 1}, Blocks(block_.data(), {1, M.extent(0), M.extent(1), M.extent(2)}));
      for (Index i = 0; i < M.size(); ++i) M.data()[i] += block_[i];
      for (Index b = 0; b < M.extent(0); ++b)
        for (Index j = 0; j < M.extent(1); ++j) M(b, j, j) -= 1;
    }
  }

  // M <- A_last .. A_first
  void compose(const blocks::Linearisation& J, StepRange steps, Panel M) {
    block_.reserve(M.size());
    Panel from = M, to(block_.data(), M.shape());
    for (Index l = steps.first; l < steps.last; ++l, std::swap(from, to))
      J.product(l, Direction::forward, from, to);
    if (from.data() != M.data()) std::copy(from.begin(), from.end(), M.begin());
  }

  bool first_order_;
  const sequence::Sequence& sequence_;
  const sequence::Trajectory& trajectory_;
  const Chunks& chunks_;
  ChunkSweep& sweep_;
  StepRange own_;
  blocks::DenseLinearisation maps_;
  blocks::BlockBidiagonal chain_;
  std::unique_ptr<linear::LinearSolver> solver_;
  parallel::Traffic halo_;
  Buffer<Real> starts_, block_;
};

}  // namespace

std::unique_ptr<ChunkCoupling> make_coupling(Coupling coupling, const sequence::Sequence& sequence,
                                             const sequence::Trajectory& trajectory,
                                             const Chunks& chunks, ChunkSweep& sweep) {
  if (coupling == Coupling::identity) return std::make_unique<IdentityCoupling>(trajectory, chunks);
  DEEPPCR_ASSERT(coupling == Coupling::first_order || coupling == Coupling::dense, "coupling {}",
                 to_string(coupling));
  return std::make_unique<MatrixCoupling>(coupling == Coupling::first_order, sequence, trajectory,
                                          chunks, sweep);
}

}  // namespace deeppcr::nonlinear
