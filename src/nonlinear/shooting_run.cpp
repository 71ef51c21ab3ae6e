#include "nonlinear/shooting_run.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/nonlinear/newton.hpp"
#include "nonlinear/boundary_snes.hpp"

namespace deeppcr::nonlinear {

namespace {

const std::vector<std::string> kStages{"sweep", "couple", "check"};

}  // namespace

ShootingRun::ShootingRun(const sequence::Sequence& chain, sequence::Trajectory& states,
                         const ShootingOptions& options, const Monitors& monitors)
    : options_(options),
      monitors_(monitors),
      work_(chain, states, options),
      recording_(states.comm(), monitors, kStages),
      coupling_(options.coupling),
      clock_(work_.chunks().sizes()) {
  report_.method = "shooting";
  report_.chunks = work_.chunks().size();
}

SolveReport ShootingRun::solve() {
  work_.starts().exchange_guess(work_.traffic);
  if (coupling_ == Coupling::automatic) {
    coupling_ = Coupling::zero;
    if (work_.chunks().size() > 1 && !follow(choose())) return finished();
  }
  shoot();
  conclude_sweeps();
  return finished();
}

/// Sweeps the first steps of all chunks; what their tangents show tells the method.
plan::ChunkPlan::Method ShootingRun::choose() {
  work_.sweep_to(std::min(kProbe, work_.chunks().longest()), true);
  work_.gather();
  plan::ChunkProblem problem = linear::plan_problem(work_.states().layout(), work_.chunks());
  problem.batch = work_.states().batch();
  problem.width = work_.states().width();
  problem.rtol = options_.rtol;
  problem.newton = options_.newton;
  const plan::ChunkPlan plan =
      plan::choose_for_chunks(linear::probed(work_.table().facts()), problem);
  if (comm().is_root()) choice_ = plan::explain(plan, problem);
  return plan.method;
}

/// False when the states have been found otherwise than by shooting. Collective.
bool ShootingRun::follow(plan::ChunkPlan::Method method) {
  using Method = plan::ChunkPlan::Method;
  if (method == Method::identity) coupling_ = Coupling::identity;
  if (method == Method::dense) coupling_ = Coupling::dense;
  if (method == Method::sequential) {
    conclude_sequential();
    return false;
  }
  if (method == Method::newton) {
    by_newton_ = true;
    report_ = Newton(options_.newton_options).solve(work_.chain(), work_.states(), monitors_);
    return false;
  }
  return true;
}

void ShootingRun::shoot() {
  report_.linear = to_string(coupling_);
  if (coupling_ != Coupling::zero && work_.chunks().size() > 1)
    coupler_ =
        make_coupling(coupling_, work_.chain(), work_.states(), work_.chunks(), work_.sweep());
  work_.sweep_to(work_.states().layout().num_steps(), work_.sweeps_tell_growth());
  if (work_.chunks().size() <= 1) {
    work_.gather();
    right_ = is_right();
    record();
    return;
  }
  work_.starts().measure();
  if (options_.acceleration != Acceleration::none) {
    BoundarySnes(*this, options_.acceleration).solve();
    return;
  }
  do {
    propose();
  } while (goes_on(correct()));
}

/// The start of each next chunk: the end of this one, and what the coupling adds.
void ShootingRun::propose() {
  const StageTimer timer(work_.stages, "couple");
  work_.starts().propose(coupler_.get(), work_.judgement().exact_chunks);
  if (!coupler_) return;
  const CriticalPath path = coupler_->path();
  report_.path.evaluations += path.evaluations;
  report_.path.products += path.products;
}

/// New sweeps from the next starts and a new judgement. False when no chunk had anything to sweep.
bool ShootingRun::correct() {
  change_ = work_.starts().send(work_.traffic);
  work_.sweep_changed();
  work_.gather();
  const auto& facts = work_.table().facts();
  clock_.sweep(facts, coupler_ != nullptr);
  ++report_.iterations;
  return std::any_of(facts.begin(), facts.end(), [](const ChunkFacts& f) { return f.swept > 0; });
}

/// Whether another correction is worth it.
bool ShootingRun::goes_on(bool moves) {
  stuck_ = !moves;
  if (!record()) return false;
  right_ = is_right();
  return !right_ && !work_.judgement().hopeless && !assessed_.hopeless && moves &&
         report_.iterations < most_corrections();
}

bool ShootingRun::is_right() {
  if (work_.sweeps_tell_growth()) return work_.judgement().error <= kRightBelow;
  const Judgement& seams = work_.judgement();
  const bool small = seams.residual <= kRightBelow * tighter_ * seams.tolerance;
  return (small || stuck_) && std::isfinite(seams.tolerance) && is_right_along_the_whole();
}

/// Chunks too short to tell by themselves: growth along all steps.
bool ShootingRun::is_right_along_the_whole() {
  if (work_.exact_steps() == work_.states().layout().num_steps()) return true;
  const StageTimer timer(work_.stages, "check");
  work_.states().touched();
  assessed_ = assess(work_.chain(), work_.states(), work_.tolerance(), work_.traffic);
  ++report_.looks;
  tighter_ *= 0.1 / std::max(1.0, assessed_.error);
  return assessed_.right();
}

int ShootingRun::most_corrections() const {
  return options_.max_sweeps > 0 ? options_.max_sweeps : static_cast<int>(work_.chunks().size());
}

ConstStates ShootingRun::following_starts() {
  propose();
  return work_.starts().next();
}

bool ShootingRun::correct_from(ConstStates starts) {
  work_.starts().propose(starts);
  return goes_on(correct());
}

/// Tells the monitor. False when it asks to stop.
bool ShootingRun::record() {
  if (!recording_.wanted()) return true;
  IterationRecord entry;
  entry.iteration = report_.iterations;
  entry.residual = work_.judgement().residual;
  entry.step_norm = comm().max(change_);
  entry.frozen_prefix = work_.exact_steps();
  recording_.iteration(std::move(entry), work_.stages,
                       coupler_ ? coupler_->traffic() : parallel::TrafficByLevel(),
                       work_.states().states().data());
  return !recording_.stopped();
}

}  // namespace deeppcr::nonlinear
