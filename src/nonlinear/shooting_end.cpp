// How a solve by shooting ends: whether the states are right, and what the report says.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/shooting_run.hpp"

namespace deeppcr::nonlinear {

void ShootingRun::conclude_sweeps() {
  states_.touched();
  report_.path.evaluations += clock_.steps();
  report_.frozen_prefix = exact_steps();
  report_.tolerance = judgement_.tolerance;
  report_.growth = std::max(judgement_.growth, assessed_.growth);
  report_.lyapunov = assessed_.lyapunov;
  recording_.end(states_.states().data());
  report_.residual = judgement_.meets ? judgement_.residual : comm().max(seam_residual());
  traffic_ += conclude(
      {recording_.stopped(), right_ ? "" : why_not_right(), exact_steps(), options_.fallback},
      options_.tolerance, chain_, states_, report_);
}

std::string ShootingRun::why_not_right() const {
  if (!std::isfinite(judgement_.residual) || !std::isfinite(judgement_.tolerance))
    return why_not_finite(fmt::format("sweep {}", report_.iterations + 1));
  if (judgement_.hopeless || assessed_.hopeless || stuck_)
    return why_growth(report_, sweeps_tell_growth() ? judgement_.error : assessed_.error);
  return fmt::format("not converged in {} corrections", report_.iterations);
}

/// This rank's part of max_l ||f_l(z_{l-1}) - z_l||_inf: behind the first step of a chunk only
/// merged states have any. Cost: one step a chunk, one message of B n reals to the right.
/// Collective.
double ShootingRun::seam_residual() {
  const StageTimer timer(stages_, "check");
  const Index B = states_.batch(), n = states_.width(), state = B * n;
  const Real* incoming = starts_.receive_end(traffic_);
  double most = 0;
  Buffer<Real> value(state);
  for (Index i = 0; i < own_.size(); ++i) {
    for (const Seam& seam : sweep_[i].seams) most = std::max(most, seam.size);
    if (is_first_of_chain(i)) continue;
    const Real* left = i == 0 ? incoming : sweep_.end(i - 1).data();
    const Index l = sweep_[i].steps.first;
    chain_.value({l, l + 1}, ConstStates(left, {1, B, n}), States(value.data(), {1, B, n}));
    const Real* z = states_.states()[l - states_.local_range().first].data();
    most = std::max(most, largest_difference(state, value.data(), z));
  }
  return most;
}

/// A wavefront in place of that, where there is one.
SolveReport ShootingRun::solve_by_wavefront() {
  std::string choice = std::move(report_.choice);
  const double predicted = report_.predicted_steps;
  report_ = options_.wavefront->solve(chain_, states_, monitors_);
  report_.choice = std::move(choice);
  report_.predicted_steps = predicted;
  if (comm().is_root()) traffic_ += report_.neighbours;  // it counts those of all ranks
  return finished();
}

/// All steps behind the first ones, which are right already, one after another from there.
SolveReport ShootingRun::solve_sequentially() {
  recording_.end(states_.states().data());
  if (recording_.stopped()) {
    conclude({true, "", 0, false}, options_.tolerance, chain_, states_, report_);
    return finished();
  }
  if (options_.wavefront != nullptr) return solve_by_wavefront();
  parallel::Traffic all;
  {
    const StageTimer timer(stages_, "substitute");
    sequence::propagate(chain_, states_, std::min(probed_, chunks_.steps(0).size() - 1), &all);
  }
  if (comm().is_root()) traffic_ += all;  // it counts those of all ranks
  report_.method = "sequential";
  report_.chunks = 0;
  report_.path.evaluations = static_cast<double>(num_steps());
  report_.evaluations = report_.sequential_evaluations = num_steps();
  end_sequential(comm().max(largest_state(states_)), num_steps(), options_.tolerance, report_);
  return finished();
}

SolveReport ShootingRun::finished() {
  recording_.add_up(stages_, {}, traffic_, report_);
  return std::move(report_);
}

}  // namespace deeppcr::nonlinear
