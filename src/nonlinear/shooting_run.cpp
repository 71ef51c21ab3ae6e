#include "shooting_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "boundary_snes.hpp"
#include "deeppcr/nonlinear/collect.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::nonlinear {

namespace {

/// States merge well below the tolerance, near rounding.
constexpr double kMergeBelow = 1e-3, kFinestMerge = 1e-14, kCoarsestMerge = 1e-13;

const std::vector<std::string> kStages{"sweep", "couple", "check"};

double merge_tolerance(double rtol) {
  return std::clamp(kMergeBelow * rtol, kFinestMerge, kCoarsestMerge);
}

std::array<Index, 3> boundary_shape(const sequence::Trajectory& trajectory, Index chunks) {
  return {chunks, trajectory.batch(), trajectory.width()};
}

}  // namespace

ShootingRun::ShootingRun(const sequence::Sequence& sequence, sequence::Trajectory& trajectory,
                         const ShootingOptions& options, Monitor* monitor)
    : sequence_(sequence),
      trajectory_(trajectory),
      comm_(trajectory.comm()),
      options_(options),
      monitor_(monitor),
      chunks_(trajectory.layout(), options.chunks),
      own_(chunks_.of_rank(comm_.rank())),
      sweep_(sequence, trajectory, chunks_, merge_tolerance(options.rtol)),
      coupling_(options.coupling),
      used_(boundary_shape(trajectory, own_.size())),
      next_(used_.shape),
      mismatch_(used_.shape),
      incoming_(trajectory.batch() * trajectory.width()),
      changed_(static_cast<std::size_t>(own_.size()), false),
      clock_(chunks_.sizes()) {
  report_.method = "shooting";
  report_.chunks = chunks_.size();
  for (Index i = 0; i < own_.size(); ++i) {
    const ConstState guess = sweep_.end(i);
    std::copy(guess.begin(), guess.end(), used_.view()[i].begin());
  }
}

SolveReport ShootingRun::solve() {
  // The first chunk of each rank starts from the left neighbour's guess.
  const Index state = incoming_.size();
  parallel::halo(comm_, 0, chunks_.owners().num_active_ranks() - 1, Direction::forward,
                 last_state(used_.view()), incoming_.data(), state, report_.neighbours);
  if (own_.first > 0 && !own_.empty())
    std::copy(incoming_.begin(), incoming_.end(), sweep_.start(0).begin());

  if (coupling_ == Coupling::automatic && !choose()) return finished();
  report_.linear = to_string(coupling_);
  if (coupling_ != Coupling::zero && chunks_.size() > 1)
    coupler_ = make_coupling(coupling_, sequence_, trajectory_, chunks_, sweep_);
  sweep_to(trajectory_.layout().num_steps());
  if (chunks_.size() <= 1) {
    gather();
    record();
  } else {
    measure_mismatch();
    iterate();
  }
  conclude();
  return finished();
}

/// Tries the first steps of all chunks and chooses. False when the states have been found
/// otherwise.
bool ShootingRun::choose() {
  coupling_ = Coupling::zero;
  if (chunks_.size() <= 1) return true;
  const Index probe = std::min(kProbe, chunks_.longest());
  sweep_to(probe);
  gather();
  problem_ = plan_problem(trajectory_.layout(), chunks_);
  problem_.batch = trajectory_.batch();
  problem_.width = trajectory_.width();
  problem_.rtol = options_.rtol;
  problem_.newton = options_.newton;
  plan_ = plan_shooting(table_.facts(), problem_);
  return follow();
}

/// False when the states have been found otherwise than by shooting. Collective.
bool ShootingRun::follow() {
  using Method = ShootingPlan::Method;
  if (plan_->method == Method::identity) coupling_ = Coupling::identity;
  if (plan_->method == Method::dense) coupling_ = Coupling::dense;
  if (plan_->method == Method::sequential) {
    // What the first chunk has been swept through is right already: its rank goes on from there.
    // The others only ask whether something is left for the ranks behind it.
    const Index size = chunks_.steps(0).size(), probed = std::min(kProbe, size);
    const bool first = !own_.empty() && is_first_of_chain(0);
    largest_here_ = substitute(std::min(first ? sweep_[0].done : probed, size - 1));
    report_.method = "sequential";
    return false;
  }
  if (plan_->method == Method::newton) {
    // The guess must not depend on how far there was time to sweep.
    if (!own_.empty() && is_first_of_chain(0)) sweep_.advance(0, sweep_[0].steps.size(), false);
    report_ = Newton(comm_, sequence_, options_.newton_options).solve(trajectory_, monitor_);
    by_newton_ = true;
    return false;
  }
  return true;
}

void ShootingRun::sweep_to(Index steps) {
  const StageTimer timer(stages_, "sweep");
  for (Index i = 0; i < own_.size(); ++i) sweep_.advance(i, steps, !is_first_of_chain(i));
}

/// end of each chunk - start of the next one; zero at the end of the chain.
void ShootingRun::measure_mismatch() {
  const Index state = incoming_.size();
  for (Index i = 0; i < own_.size(); ++i) {
    Real* r = mismatch_.values.data() + i * state;
    const Real* used = used_.values.data() + i * state;
    const Real* end = sweep_.end(i).data();
    const bool last = own_.first + i + 1 == chunks_.size();
    for (Index j = 0; j < state; ++j) r[j] = last ? 0.0 : end[j] - used[j];
  }
}

/// The start of each next chunk: the end of this one, and what the coupling adds.
void ShootingRun::next_starts() {
  const StageTimer timer(stages_, "couple");
  const Index state = incoming_.size();
  if (coupler_) {
    coupler_->solve(mismatch_.view(), next_.view(), judgement_.exact_chunks);
    const CriticalPath path = coupler_->path();
    report_.path.evaluations += path.evaluations;
    report_.path.products += path.products;
  } else {
    std::fill(next_.values.begin(), next_.values.end(), 0.0);
  }
  for (Index i = 0; i < own_.size(); ++i) {
    Real* next = next_.values.data() + i * state;
    const Real* end = sweep_.end(i).data();
    for (Index j = 0; j < state; ++j) next[j] += end[j];
  }
}

// rank 0 [chunks ..] --start--> rank 1 [chunks ..] --start--> rank 2 ..
// Both sides of a boundary compare with the start used before, and so agree on whether it changes.
void ShootingRun::send_starts() {
  const Index state = incoming_.size();
  const int active = chunks_.owners().num_active_ranks();
  parallel::halo(comm_, 0, active - 1, Direction::forward, last_state(next_.view()),
                 incoming_.data(), own_.empty() ? 0 : state, report_.neighbours);
  step_norm_ = 0;
  std::fill(changed_.begin(), changed_.end(), false);
  if (own_.empty()) return;
  const auto take = [&](Index i, const Real* start) {
    if (sweep_.same(start, sweep_.start(i).data())) return;
    std::copy_n(start, state, sweep_.start(i).data());
    changed_[static_cast<std::size_t>(i)] = true;
  };
  if (own_.first > 0) take(0, incoming_.data());
  for (Index i = 0; i < own_.size(); ++i) {
    if (own_.first + i + 1 == chunks_.size()) break;
    const Real* next = next_.values.data() + i * state;
    Real* used = used_.values.data() + i * state;
    if (i + 1 < own_.size()) take(i + 1, next);
    if (sweep_.same(next, used)) continue;
    step_norm_ = std::max(step_norm_, largest_difference(state, next, used));
    std::copy_n(next, state, used);
  }
}

void ShootingRun::sweep_changed() {
  const StageTimer timer(stages_, "sweep");
  sweep_.rest();
  for (Index i = 0; i < own_.size(); ++i)
    if (changed_[static_cast<std::size_t>(i)]) sweep_.again(i);
}

/// A block of the chain's first chunk, which is right whatever is chosen; for the time in which the
/// others still push their tangents. False at the end of what may be done. Whole blocks: those
/// between which the states are looked at.
bool ShootingRun::sweep_on() {
  if (own_.empty() || !is_first_of_chain(0)) return false;
  const Index next = sweep_[0].done + ChunkSweep::kBlock;
  if (next >= sweep_[0].steps.size()) return false;
  sweep_.advance(0, next, false);
  return true;
}

/// All ranks learn the facts of all chunks.
void ShootingRun::gather() {
  measure_mismatch();
  const Index state = incoming_.size();
  std::vector<ChunkFacts> mine;
  for (Index i = 0; i < own_.size(); ++i) {
    const Buffer<Real> zero(state);
    mine.push_back(facts_of(
        sweep_[i], largest_difference(state, mismatch_.values.data() + i * state, zero.data())));
  }
  const RankFacts rank{stages_.get("sweep"), stages_.get("couple"),
                       static_cast<double>(report_.neighbours.messages),
                       static_cast<double>(report_.neighbours.bytes)};
  table_ = ChunkTable::gather(comm_, chunks_, mine, rank, [this] {
    if (sweep_on()) return true;
    say_why();
    return false;
  });
  judgement_ = table_.judge(options_.rtol, options_.atol);
}

/// The root puts what was chosen into words, once it is: while it waits for others anyway.
void ShootingRun::say_why() {
  if (plan_ && comm_.is_root() && report_.choice.empty())
    report_.choice = explain(*plan_, problem_);
}

bool ShootingRun::is_right() const { return judgement_.error <= kRightBelow; }

/// New sweeps from next_ and a new judgement. False when no chunk had anything to sweep.
bool ShootingRun::correct() {
  send_starts();
  sweep_changed();
  gather();
  clock_.sweep(table_.facts(), coupler_ != nullptr);
  ++report_.iterations;
  const auto& facts = table_.facts();
  return std::any_of(facts.begin(), facts.end(), [](const ChunkFacts& f) { return f.swept > 0; });
}

/// Whether another correction is worth it.
bool ShootingRun::goes_on(bool moves) {
  stuck_ = !moves;
  return record() && !is_right() && !judgement_.hopeless && moves &&
         report_.iterations < most_corrections();
}

int ShootingRun::most_corrections() const {
  return options_.max_sweeps > 0 ? options_.max_sweeps : static_cast<int>(chunks_.size());
}

void ShootingRun::iterate() {
  if (options_.acceleration != Acceleration::none) {
    BoundarySnes(*this, options_.acceleration).solve();
    return;
  }
  do {
    next_starts();
  } while (goes_on(correct()));
}

ConstStates ShootingRun::following_starts() {
  next_starts();
  return next_.view();
}

bool ShootingRun::correct_from(ConstStates starts) {
  std::copy(starts.begin(), starts.end(), next_.values.data());
  return goes_on(correct());
}

/// Tells the monitor. False when it asks to stop.
bool ShootingRun::record() {
  if (monitor_ == nullptr) return true;
  IterationRecord entry;
  entry.iteration = report_.iterations;
  entry.residual = judgement_.residual;
  entry.step_norm = comm_.max(step_norm_);
  entry.frozen_prefix = exact_steps();
  StageTimes since;
  for (const std::string& stage : kStages)
    since.add(stage, stages_.get(stage) - stages_before_.get(stage));
  stages_before_ = stages_;
  entry.seconds = slowest(comm_, since, kStages);
  entry.seconds_min = fastest(comm_, since, kStages);
  if (coupler_) entry.levels = total_traffic(comm_, coupler_->traffic());
  interrupted_ = monitor_->iteration(entry, trajectory_.states().data()) == Monitor::Action::stop;
  return !interrupted_;
}

}  // namespace deeppcr::nonlinear
