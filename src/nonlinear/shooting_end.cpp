// How a solve by shooting ends: whether the states are right, and what the report says.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/collect.hpp"
#include "nonlinear/shooting_run.hpp"

namespace deeppcr::nonlinear {

void ShootingRun::conclude_sweeps() {
  sequence::Trajectory& states = work_.states();
  states.touched();
  report_.path.evaluations += clock_.steps();
  report_.frozen_prefix = work_.exact_steps();
  report_.tolerance = work_.judgement().tolerance;
  report_.growth = std::max(work_.table().growth(), assessed_.growth);
  report_.lyapunov = assessed_.lyapunov;
  recording_.end(states.states().data());
  residual_here_ = work_.seam_residual();
  report_.residual = work_.judgement().residual;
  const parallel::Traffic sent = conclude(
      {recording_.stopped(), right_ ? "" : why_not_right(), work_.exact_steps(), options_.fallback},
      work_.tolerance(), work_.chain(), states, report_);
  work_.traffic += sent;
  if (report_.status == Status::fell_back || !std::isfinite(report_.residual))
    residual_here_ = report_.residual;
}

std::string ShootingRun::why_not_right() const {
  const Judgement& found = work_.judgement();
  if (!std::isfinite(found.residual) || !std::isfinite(found.tolerance))
    return why_not_finite(fmt::format("sweep {}", report_.iterations + 1));
  const double error = work_.sweeps_tell_growth() ? found.error : assessed_.error;
  if (found.hopeless || assessed_.hopeless || stuck_) {
    SolveReport told = report_;
    told.residual = found.residual;
    return why_growth(told, error);
  }
  return fmt::format("not converged in {} corrections", report_.iterations);
}

/// All steps behind the first ones, which are right already, one after another from there.
void ShootingRun::conclude_sequential() {
  const Index L = work_.states().layout().num_steps();
  const Index right = std::min(kProbe, work_.chunks().steps(0).size() - 1);
  recording_.end(work_.states().states().data());
  if (recording_.stopped()) {
    conclude({true, "", 0, false}, work_.tolerance(), work_.chain(), work_.states(), report_);
    return;
  }
  parallel::Traffic all;
  {
    const StageTimer timer(work_.stages, "substitute");
    sequence::propagate(work_.chain(), work_.states(), right, &all);
    largest_here_ = largest_state(work_.states());
  }
  if (comm().is_root()) work_.traffic += all;  // it counts those of all ranks
  one_by_one_ = true;
  report_.method = "sequential";
  report_.chunks = 0;
  report_.path.evaluations = static_cast<double>(L);
  report_.evaluations = report_.sequential_evaluations = L;
}

SolveReport ShootingRun::finished() {
  // Newton's method has added up its own.
  if (!by_newton_) add_up_here();
  report_.choice = choice_;
  return std::move(report_);
}

/// What is known of all ranks together.
void ShootingRun::add_up_here() {
  const std::vector<std::string> stages{"sweep", "couple", "check", "substitute", "total"};
  work_.stages.add("total", watch_.seconds());
  std::vector<double> largest{residual_here_, largest_here_};
  comm().max(largest);
  report_.residual = largest[0];
  if (one_by_one_)
    end_sequential(largest[1], work_.states().layout().num_steps(), work_.tolerance(), report_);
  for (const auto& [stage, seconds] : slowest(comm(), work_.stages, stages))
    if (seconds > 0) report_.seconds[stage] = seconds;
  report_.neighbours = total_traffic(comm(), work_.traffic);
}

}  // namespace deeppcr::nonlinear
