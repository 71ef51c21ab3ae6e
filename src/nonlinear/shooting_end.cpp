// How a solve by shooting ends: whether the states are right, and what the report says.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/sequence/propagate.hpp"
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
  const bool first_try = right_ && !recording_.stopped();
  const parallel::Traffic sent = conclude(
      {recording_.stopped(), right_ ? "" : why_not_right(), work_.exact_steps(), options_.fallback},
      work_.tolerance(), work_.chain(), states, report_);
  work_.traffic += sent;
  if (report_.status == Status::fell_back || !std::isfinite(report_.residual))
    residual_here_ = report_.residual;
  all_is_told_ = first_try && work_.nothing_at_seams() && work_.sweeps_tell_growth() &&
                 options_.acceleration == Acceleration::none;
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
  const Index L = work_.states().layout().num_steps(), right = probe_.right_steps();
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
  report_.choice = probe_.sentence();
  // Newton's method has added up its own.
  if (by_newton_) return std::move(report_);
  if (!all_is_told_) {
    add_up_here();
    return std::move(report_);
  }
  const RankFacts& all = work_.table().all_ranks();
  report_.residual = residual_here_;
  report_.neighbours = {static_cast<Index>(all.messages), static_cast<Index>(all.bytes)};
  const std::pair<const char*, double> stages[] = {{"sweep", all.sweep_seconds},
                                                   {"couple", all.couple_seconds},
                                                   {"check", work_.stages.get("check")},
                                                   {"total", watch_.seconds()}};
  for (const auto& [stage, seconds] : stages)
    if (seconds > 0) report_.seconds[stage] = seconds;
  return std::move(report_);
}

/// What is known of all ranks together, in one call: near the end of a short solve others count.
void ShootingRun::add_up_here() {
  const std::vector<std::string> stages{"sweep", "couple", "check", "substitute", "total"};
  work_.stages.add("total", watch_.seconds());
  std::vector<double> maxima{residual_here_, largest_here_};
  for (const std::string& stage : stages) maxima.push_back(work_.stages.get(stage));
  std::vector<double> sums{static_cast<double>(work_.traffic.messages),
                           static_cast<double>(work_.traffic.bytes)};
  comm().max_and_sum(maxima, sums);
  report_.residual = maxima[0];
  if (one_by_one_)
    end_sequential(maxima[1], work_.states().layout().num_steps(), work_.tolerance(), report_);
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (maxima[2 + i] > 0) report_.seconds[stages[i]] = maxima[2 + i];
  report_.neighbours = {static_cast<Index>(sums[0]), static_cast<Index>(sums[1])};
}

}  // namespace deeppcr::nonlinear
