#include "nonlinear/shooting_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "nonlinear/pipeline_plan.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Steps in which a tangent turns into the direction that grows, with some to spare.
constexpr Index kTellingSteps = 2 * ChunkSweep::kBlock;

/// States merge well below the tolerance, near rounding.
double merge_tolerance(double rtol) {
  constexpr double kMergeBelow = 1e-3, kFinestMerge = 1e-14, kCoarsestMerge = 1e-13;
  return std::clamp(kMergeBelow * rtol, kFinestMerge, kCoarsestMerge);
}

/// Behind a first sweep of all of each chunk.
linear::PathClock behind_first_sweep(const Chunks& chunks, StepRange own) {
  std::vector<double> steps;
  for (Index c = own.first; c < own.last; ++c)
    steps.push_back(static_cast<double>(chunks.steps(c).size()));
  const Index before = own.first == 0 || own.empty() ? 0 : chunks.steps(own.first - 1).size();
  return linear::PathClock(std::move(steps), static_cast<double>(before),
                           static_cast<double>(chunks.longest()));
}

}  // namespace

ShootingRun::ShootingRun(const sequence::Sequence& chain, sequence::Trajectory& states,
                         const ShootingOptions& options, const Monitors& monitors)
    : chain_(chain),
      states_(states),
      options_(options),
      monitors_(monitors),
      chunks_(states.layout(), options.chunks),
      own_(chunks_.of_rank(states.comm().rank())),
      sweep_(chain, states, chunks_, merge_tolerance(options.tolerance.rtol)),
      starts_(states, chunks_, sweep_),
      place_{states.comm(), chunks_.owners().num_active_ranks(), Direction::forward, own_.first,
             chunks_.size()},
      recording_(states.comm(), monitors, {"sweep", "couple", "check"}),
      coupling_(options.coupling),
      clock_(behind_first_sweep(chunks_, own_)) {
  report_.method = "shooting";
  report_.chunks = chunks_.size();
}

SolveReport ShootingRun::solve() {
  starts_.exchange_guess(traffic_);
  if (coupling_ == Coupling::automatic) {
    coupling_ = Coupling::zero;
    const Method method = chunks_.size() > 1 ? choose() : Method::zero;
    if (method == Method::newton) return solve_by_newton();
    if (method == Method::sequential) return solve_sequentially();
    if (method == Method::identity) coupling_ = Coupling::identity;
    if (method == Method::dense) coupling_ = Coupling::dense;
  }
  shoot();
  conclude_sweeps();
  return finished();
}

/// Sweeps the first steps of all chunks, where that could help; what their tangents show tells the
/// method.
ShootingRun::Method ShootingRun::choose() {
  plan::ChunkProblem problem = linear::plan_problem(states_.layout(), chunks_, states_.batch(),
                                                    states_.width(), chain_.products());
  problem.rtol = options_.tolerance.rtol;
  problem.newton = options_.newton;
  if (options_.wavefront != nullptr) {
    const Problem stack = problem_of(states_, static_cast<int>(chain_.layers().size()));
    const Cost cost = options_.wavefront->cost(stack, {});
    problem.wavefront = cost.path.evaluations + cost.network / problem.step_seconds;
  }
  problem.tangent = chain_.tangent_work() / static_cast<double>(problem.batch);
  if (const plan::ChunkPlan best = plan::best_case(problem); best.method == Method::sequential) {
    if (comm().is_root()) report_.choice = "not looked at; even if " + plan::explain(best, problem);
    report_.predicted_steps = best.cost(best.method);
    return best.method;
  }
  probed_ = steps_to_probe(problem.tangent);
  if (probed_ == 0) {
    if (comm().is_root())
      report_.choice = fmt::format("a look would take long against {} steps", num_steps());
    report_.predicted_steps = static_cast<double>(num_steps());
    return Method::sequential;
  }
  first_sweep(probed_, true);
  collect();
  parallel::Reduction together;
  const plan::ChunkPlan plan =
      plan::choose_for_chunks(linear::probe(place_, facts_, together), problem);
  if (comm().is_root()) report_.choice = plan::explain(plan, problem);
  report_.predicted_steps = plan.cost(plan.method);
  return plan.method;
}

/// First steps of each chunk to look at. What dear tangents add may take a tenth of sequential
/// execution; 0 where that is too little to tell anything.
Index ShootingRun::steps_to_probe(double tangent) const {
  const Index wanted = std::min(kProbe, chunks_.longest());
  if (tangent < 1) return wanted;
  const auto affordable = static_cast<Index>(0.1 * static_cast<double>(num_steps()) / tangent);
  return affordable < kTellingSteps ? 0 : std::min(wanted, affordable);
}

SolveReport ShootingRun::solve_by_newton() {
  SolveReport report = Newton(options_.newton_options).solve(chain_, states_, monitors_);
  report.choice = report_.choice;
  report.predicted_steps = report_.predicted_steps;
  return report;
}

void ShootingRun::shoot() {
  report_.linear = couplings().of(coupling_);
  if (coupling_ != Coupling::zero && chunks_.size() > 1)
    coupler_.emplace(coupling_, chain_, states_, chunks_, sweep_);
  first_sweep(num_steps(), sweeps_tell_growth());
  if (chunks_.size() <= 1) {
    collect();
    judge();
    right_ = is_right();
    record();
    return;
  }
  starts_.measure();
  propose();
  if (options_.accelerate != "none") return accelerate();
  while (goes_on(correct())) propose();
}

/// Goes on with the first sweep of all chunks up to so many steps of each.
void ShootingRun::first_sweep(Index steps, bool with_tangents) {
  const StageTimer timer(stages_, "sweep");
  for (Index i = 0; i < own_.size(); ++i)
    sweep_.advance(i, steps, with_tangents && !is_first_of_chain(i));
}

/// The facts of this rank's chunks.
void ShootingRun::collect() {
  const std::vector<double>& mismatches = starts_.measure();
  facts_.clear();
  for (Index i = 0; i < own_.size(); ++i)
    facts_.push_back(facts_of(sweep_[i], mismatches[static_cast<std::size_t>(i)]));
}

/// From the facts of all ranks, with what a record needs of them. Collective.
void ShootingRun::judge() {
  together_ = {};
  recording_.join(together_, change_, stages_,
                  coupler_ ? coupler_->traffic() : parallel::TrafficByLevel());
  judgement_ = linear::judge(place_, facts_, options_.tolerance.rtol, options_.tolerance.atol,
                             clock_, together_);
}

/// The start of each next chunk: the end of this one, and what the coupling adds.
void ShootingRun::propose() {
  const StageTimer timer(stages_, "couple");
  starts_.propose(coupler_ ? &*coupler_ : nullptr, judgement_.exact_chunks);
  if (!coupler_) return;
  const CriticalPath path = coupler_->path();
  report_.path.evaluations += path.evaluations;
  report_.path.products += path.products;
}

/// New sweeps from the next starts and a new judgement. False when no chunk had anything to sweep.
bool ShootingRun::correct() {
  change_ = starts_.send(traffic_);
  {
    const StageTimer timer(stages_, "sweep");
    sweep_.rest();
    for (Index i = 0; i < own_.size(); ++i)
      if (starts_.changed()[static_cast<std::size_t>(i)]) sweep_.again(i);
  }
  collect();
  clock_.sweep(facts_, coupler_.has_value());
  judge();
  ++report_.iterations;
  return judgement_.moves;
}

/// Whether another correction is worth it.
bool ShootingRun::goes_on(bool moves) {
  stuck_ = !moves;
  record();
  if (recording_.stopped()) return false;
  right_ = is_right();
  return !right_ && !judgement_.hopeless && !assessed_.hopeless && moves &&
         report_.iterations < most_corrections();
}

bool ShootingRun::sweeps_tell_growth() const {
  return chunks_.size() <= 1 || chunks_.longest() >= kTellingSteps;
}

bool ShootingRun::is_right() {
  if (sweeps_tell_growth()) return judgement_.error <= linear::kRightBelow;
  const bool small = judgement_.residual <= linear::kRightBelow * tighter_ * judgement_.tolerance;
  return (small || stuck_) && std::isfinite(judgement_.tolerance) && is_right_along_the_whole();
}

/// Chunks too short to tell by themselves: growth along all steps.
bool ShootingRun::is_right_along_the_whole() {
  if (exact_steps() == num_steps()) return true;
  const StageTimer timer(stages_, "check");
  states_.touched();
  assessed_ = assess(chain_, states_, options_.tolerance, traffic_);
  ++report_.looks;
  tighter_ *= 0.1 / std::max(1.0, assessed_.error);
  return assessed_.right();
}

int ShootingRun::most_corrections() const {
  return options_.max_iterations > 0 ? options_.max_iterations : static_cast<int>(chunks_.size());
}

Index ShootingRun::exact_steps() const {
  return judgement_.exact_chunks == 0 ? 0 : chunks_.steps(judgement_.exact_chunks - 1).last;
}

void ShootingRun::record() {
  recording_.iteration({report_.iterations, judgement_.residual, 0, exact_steps()}, together_,
                       states_.states().data());
}

}  // namespace deeppcr::nonlinear
