// How a solve by shooting ends: whether the states are right, and what is done where they are not.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/core/cache.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "shooting_run.hpp"

namespace deeppcr::nonlinear {

/// Leading steps whose states are those of sequential execution.
Index ShootingRun::exact_steps() const {
  return judgement_.exact_chunks == 0 ? 0 : chunks_.steps(judgement_.exact_chunks - 1).last;
}

void ShootingRun::conclude() {
  trajectory_.touched();
  report_.path.evaluations += clock_.steps();
  report_.frozen_prefix = exact_steps();
  report_.tolerance = judgement_.tolerance;
  if (monitor_ != nullptr && !interrupted_)
    interrupted_ = monitor_->iterations_end(trajectory_.states().data()) == Monitor::Action::stop;
  residual_here_ = seam_residual();
  if (interrupted_) {
    report_.status = Status::interrupted;
    report_.reason = "stopped on request";
    return;
  }
  report_.reason = why_not_right();
  report_.status = report_.reason.empty() ? Status::converged : Status::failed;
  if (report_.reason.empty()) {
    all_is_told_ = nothing_at_seams() && options_.acceleration == Acceleration::none;
    return;
  }
  if (!options_.fallback) return;
  const Index from = exact_steps();
  const Stopwatch watch;
  take_substituted(comm_.max(substitute(from)), from);
  report_.seconds["fallback"] = comm_.max(watch.seconds());
  if (std::isfinite(report_.tolerance)) {
    report_.status = Status::fell_back;
    report_.reason += fmt::format("; sequential substitution from step {} on", from);
  } else {
    report_.reason += "; sequential execution gives infinite or NaN states as well";
  }
}

/// Empty when the states are right to the tolerance.
std::string ShootingRun::why_not_right() const {
  if (is_right()) return "";
  if (!std::isfinite(judgement_.residual) || !std::isfinite(judgement_.tolerance))
    return fmt::format("the states became infinite or NaN after sweep {}", report_.iterations + 1);
  if (judgement_.hopeless)
    return "the chain expands: what is left at the seams of the chunks would grow";
  if (stuck_)
    return fmt::format(
        "the seams between merged states are small ({:.1e}), but may grow to {:.1e} tolerances",
        judgement_.residual, judgement_.error);
  return fmt::format("not converged in {} corrections", report_.iterations);
}

/// The steps behind the exact ones, one after another. Largest value of this rank's states, looked
/// at now and then: a NaN stays one.
double ShootingRun::substitute(Index exact) {
  const StageTimer timer(stages_, "substitute");
  // It counts the messages of all ranks; finished() adds up what each has counted.
  sequence::propagate(sequence_, trajectory_, exact,
                      comm_.is_root() ? &report_.neighbours : nullptr);
  const States z = trajectory_.states();
  double most = 0;
  const Index state = incoming_.size(), bytes = state * Index{sizeof(Real)};
  const auto looked_at = [&](Index i) { return z.data() + (i - 1) * state; };
  // They have left the cache, each by itself: some are under way while one is looked at.
  constexpr Index kAhead = 8 * ChunkSweep::kBlock;
  for (Index i = z.extent(0); i > 0; i -= ChunkSweep::kBlock) {
    if (i > kAhead) prefetch(looked_at(i - kAhead), bytes);
    most = std::max(most, largest(state, looked_at(i)));
  }
  return most;
}

/// The states behind the exact ones are those of sequential execution, the largest as given.
void ShootingRun::take_substituted(double most, Index exact) {
  const Index L = trajectory_.layout().num_steps();
  report_.tolerance = options_.atol + options_.rtol * most;
  // Each state is the value of the one before it.
  residual_here_ = std::isfinite(most) ? 0 : most;
  report_.frozen_prefix = std::isfinite(most) ? L : exact;
  report_.path.evaluations += static_cast<double>(L - exact);
}

/// Whether each chunk was swept from the very state that the one before it ends with.
bool ShootingRun::nothing_at_seams() const {
  const auto& facts = table_.facts();
  return std::all_of(facts.begin(), facts.end(),
                     [](const ChunkFacts& chunk) { return chunk.mismatch == 0; });
}

/// This rank's part of max_l ||f_l(z_{l-1}) - z_l||_inf: behind the first step of a chunk only
/// merged states have any. Cost: one step a chunk, one message of B n reals to the right; nothing
/// where each chunk was swept from the very state that the one before it ends with.
double ShootingRun::seam_residual() {
  const StageTimer timer(stages_, "check");
  if (nothing_at_seams()) return judgement_.residual;
  const Index state = incoming_.size(), B = trajectory_.batch(), n = trajectory_.width();
  const Real* last = own_.empty() ? nullptr : sweep_.end(own_.size() - 1).data();
  parallel::halo(comm_, 0, chunks_.owners().num_active_ranks() - 1, Direction::forward, last,
                 incoming_.data(), state, report_.neighbours);
  double largest = 0;
  Buffer<Real> value(state);
  for (Index i = 0; i < own_.size(); ++i) {
    for (const Seam& seam : sweep_[i].seams) largest = std::max(largest, seam.size);
    if (is_first_of_chain(i)) continue;
    const Real* left = i == 0 ? incoming_.data() : sweep_.end(i - 1).data();
    const Index l = sweep_[i].steps.first;
    sequence_.value({l, l + 1}, ConstStates(left, {1, B, n}), States(value.data(), {1, B, n}));
    const Real* z = trajectory_.states()[l - trajectory_.local_range().first].data();
    largest = std::max(largest, largest_difference(state, value.data(), z));
  }
  return largest;
}

/// Where all steps have been done one after another from the start.
void ShootingRun::conclude_sequential(double most) {
  const Index probed = std::min(kProbe, chunks_.steps(0).size());
  take_substituted(most, probed);
  report_.path.evaluations = static_cast<double>(trajectory_.layout().num_steps());
  report_.chunks = 0;
  const bool finite = std::isfinite(report_.tolerance);
  report_.status = finite ? Status::converged : Status::failed;
  if (!finite) report_.reason = "the chain itself overflows or meets a value that is no number";
}

SolveReport ShootingRun::finished() {
  say_why();
  if (all_is_told_) {
    const RankFacts& all = table_.all_ranks();
    report_.residual = residual_here_;
    report_.neighbours = {static_cast<Index>(all.messages), static_cast<Index>(all.bytes)};
    const std::pair<const char*, double> stages[] = {{"sweep", all.sweep_seconds},
                                                     {"couple", all.couple_seconds},
                                                     {"check", stages_.get("check")},
                                                     {"total", watch_.seconds()}};
    for (const auto& [stage, seconds] : stages)
      if (seconds > 0) report_.seconds[stage] = seconds;
  } else {
    add_up();
  }
  return std::move(report_);
}

/// What is known of all ranks together, in one call: near the end of a short solve others count.
void ShootingRun::add_up() {
  const std::vector<std::string> stages{"sweep", "couple", "check", "substitute", "total"};
  stages_.add("total", watch_.seconds());
  std::vector<double> maxima{residual_here_, largest_here_};
  for (const std::string& stage : stages) maxima.push_back(stages_.get(stage));
  std::vector<double> sums{static_cast<double>(report_.neighbours.messages),
                           static_cast<double>(report_.neighbours.bytes)};
  comm_.max_and_sum(maxima, sums);
  if (report_.method == "sequential") {
    conclude_sequential(maxima[1]);
    report_.residual = residual_here_;
  } else if (!by_newton_) {
    report_.residual = maxima[0];
  }
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (maxima[2 + i] > 0) report_.seconds[stages[i]] = maxima[2 + i];
  // Newton's method has added up its own.
  if (!by_newton_) report_.neighbours = {static_cast<Index>(sums[0]), static_cast<Index>(sums[1])};
}

}  // namespace deeppcr::nonlinear
