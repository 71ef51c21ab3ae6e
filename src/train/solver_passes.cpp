#include "train/solver_passes.hpp"

#include <algorithm>

namespace deeppcr::train {

SolverPasses::SolverPasses(const parallel::ProcessGrid& grid, const Chain& chain,
                           const parallel::BlockLayout& layout, Index batch,
                           const PassMethods& methods, Index kept)
    : grid_(grid),
      chain_(chain.steps),
      iterates_(nonlinear::find(methods.forward).iterates),
      trajectory_(grid.depth(), layout, batch, chain_.width()),
      forward_(nonlinear::find(methods.forward).make(methods.settings)),
      adjoint_(chain.differentiated, trajectory_, methods.make_backward()),
      kept_samples_(iterates_ ? kept : 0),
      kept_(trajectory_.local_steps().size() * kept_samples_ * (chain_.width() + 1)) {}

template <typename Visit>
void SolverPasses::for_each_kept(const Index* samples, const Visit& visit) {
  const Index kept = kept_samples_, n = chain_.width();
  if (kept == 0 || samples == nullptr) return;
  const States z = trajectory_.states();
  for (Index i = 0; i < z.extent(0); ++i) {
    Real* row = kept_.data() + i * kept * (n + 1);
    for (Index b = 0; b < z.extent(1); ++b)
      if (samples[b] < kept) visit(row[samples[b]], row + kept + samples[b] * n, &z(i, b, 0));
  }
}

nonlinear::SolveReport SolverPasses::forward(const Index* samples) {
  const Index n = chain_.width();
  if (iterates_) trajectory_.fill_with_input();
  for_each_kept(samples, [n](Real known, const Real* kept, Real* state) {
    if (known != 0) std::copy_n(kept, n, state);
  });
  trajectory_.touched();
  nonlinear::SolveReport report = forward_->solve(chain_, trajectory_);
  if (report.status == nonlinear::Status::failed) return report;
  for_each_kept(samples, [n](Real& known, Real* kept, const Real* state) {
    known = 1;
    std::copy_n(state, n, kept);
  });
  return report;
}

States SolverPasses::loss_gradient(Index rows) {
  loss_rows_ = rows;
  loss_gradient_.reserve(rows * trajectory_.input().size());
  return {loss_gradient_.data(), {rows, trajectory_.batch(), trajectory_.width()}};
}

void SolverPasses::backward(sequence::ParameterGradients& parameters,
                            const nonlinear::Adjoint::Ready& ready) {
  adjoint_.solve(loss_gradient(loss_rows_), &parameters, ready);
}

std::optional<StoredArray> SolverPasses::kept() {
  if (kept_samples_ == 0) return std::nullopt;
  const Index steps = chain_.num_steps();
  return StoredArray{"trajectories",
                     grid_.data().size() * steps,
                     kept_samples_ * (chain_.width() + 1),
                     trajectory_.local_steps().shifted(grid_.data().rank() * steps),
                     kept_.data(),
                     "for each data rank and step: which samples are known, then their states",
                     true};
}

}  // namespace deeppcr::train
