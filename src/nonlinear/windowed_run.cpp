#include "nonlinear/windowed_run.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

WindowedRun::WindowedRun(const sequence::Sequence& chain, sequence::Trajectory& trajectory,
                         const WindowedOptions& options, const Monitors& monitors)
    : chain_(chain),
      trajectory_(trajectory),
      options_(options),
      jacobian_(options, comm(), chain),
      steps_(trajectory.layout().num_steps()),
      batch_(trajectory.batch()),
      width_(trajectory.width()),
      all_here_(options.sampler),
      first_(all_here_ ? 0 : trajectory.local_range().first),
      states_(trajectory.with_front()),
      recording_(comm(), monitors, {"residual", "linear", "exchange"}) {
  DEEPPCR_ASSERT(options.history == 0 || options.sampler, "history {}", options.history);
}

StepRange WindowedRun::window() const {
  const Index steps = options_.sampler && options_.window > 0 ? options_.window : steps_;
  return {frozen_, std::min(steps_, frozen_ + steps)};
}

Section WindowedRun::section_of(StepRange window) const {
  parallel::BlockLayout layout = parallel::BlockLayout::balanced(window.size(), comm().size());
  if (!all_here_) {
    std::vector<Index> first_steps = trajectory_.layout().first_steps();
    for (Index& step : first_steps)
      step = std::clamp(step, window.first, window.last) - window.first;
    layout = parallel::BlockLayout(std::move(first_steps));
  }
  const StepRange mine = layout.range(comm().rank());
  return {window, layout, {window.first + mine.first, window.first + mine.last}};
}

StepRange WindowedRun::corrected(const Section& section) const {
  return all_here_ ? section.window : section.mine;
}

Real* WindowedRun::correction(const Section& section, Index l) {
  return correction_.data() + (l - corrected(section).first) * batch_ * width_;
}

States WindowedRun::corrections(const Section& section, StepRange steps) {
  return {correction(section, steps.first), {steps.size(), batch_, width_}};
}

/// Corrections up to this leave an error of about the limit: that of a step adds to those before
/// it. Newton's leave about their square.
double WindowedRun::largest_correction(double size) const {
  constexpr double kNewtonMargin = 0.1;
  const double limit = options_.tolerance.limit(size);
  const double most = options_.margin * limit;
  return tighter_ * (options_.jacobian == Jacobian::dense
                         ? std::max(most, kNewtonMargin * std::sqrt(limit))
                         : most);
}

/// r = f(z) - z in correction_, of this rank's steps; the largest.
double WindowedRun::residual(const Section& section) {
  const StageTimer timer(stages_, "residual");
  const Index m = section.mine.size();
  correction_.reserve(corrected(section).size() * batch_ * width_);
  const States r = corrections(section, section.mine);
  jacobian_.evaluate(section, states(section.mine.first, m), r);
  double size = 0;
  const Real* after = m > 0 ? state(section.mine.first + 1) : nullptr;
  for (Index i = 0; i < r.size(); ++i) r.data()[i] -= after[i];
  for (Index l = 0; l < m; ++l) size = std::max(size, sequence::largest_entry(r[l]));
  report_.evaluations += section.window.size();
  ++report_.sequential_evaluations;
  return size;
}

/// d_l = M_l d_{l-1} + r_l in place, of a sampler then on all ranks.
void WindowedRun::solve_linear(const Section& section) {
  {
    const StageTimer timer(stages_, "linear");
    jacobian_.solve(section, corrections(section, section.mine));
  }
  if (!all_here_) return;
  const StageTimer timer(stages_, "exchange");
  parallel::gather_rows(comm(), section.layout.first_steps(), correction_.data(), batch_ * width_,
                        traffic_);
}

/// z <- z + d, with d accelerated behind the first state that has not converged.
WindowedRun::Sweep WindowedRun::correct(const Section& section) {
  const StageTimer timer(stages_, "linear");
  const StepRange steps = corrected(section);
  const States d = corrections(section, steps);
  const States z = states(steps.first + 1, steps.size());
  const auto add = [&](StepRange range) {
    const States added = d.slice(range.first, range.last), to = z.slice(range.first, range.last);
    for (Index i = 0; i < added.size(); ++i) to.data()[i] += added.data()[i];
  };
  if (anderson_) anderson_->observe(steps, z, d);
  Sweep found;
  found.correction = sequence::largest_entry({d.data(), {steps.size(), batch_ * width_}});
  // Held against the states up to here: a tail that has blown up must not excuse wrong ones before.
  double size = largest_;
  Index l = 0;
  while (l < steps.size() && found.converged == l) {
    add({l, l + 1});
    size = std::max(size, sequence::largest_entry(z[l]));
    if (std::isfinite(size) && sequence::largest_entry(d[l]) <= largest_correction(size)) {
      ++found.converged;
      found.size = size;
    }
    ++l;
  }
  if (anderson_) anderson_->accelerate(steps.first + l, d);
  add({l, steps.size()});
  return found;
}

/// Maxima over ranks, and the steps that have converged on all ranks up to the first that has not;
/// with what a record needs of them.
void WindowedRun::agree(Sweep& sweep) {
  const Section section = section_of(window());
  const StepRange steps = corrected(section);
  const bool all = sweep.converged == steps.size();
  const double reached =
      all ? static_cast<double>(steps_) : static_cast<double>(steps.first + sweep.converged);
  together_ = {};
  recording_.join(together_, sweep.correction, stages_, jacobian_.level_traffic());
  const Index residual = together_.max(sweep.residual),
              correction = together_.max(sweep.correction), size = together_.max(sweep.size),
              first_left = together_.max(-reached);
  together_.run(comm());
  const Index front = std::min(window().last, static_cast<Index>(-together_.maximum(first_left)));
  sweep = {together_.maximum(residual), together_.maximum(correction), together_.maximum(size),
           front - frozen_};
}

WindowedRun::Sweep WindowedRun::sweep() {
  const Section section = section_of(window());
  const double size = residual(section);
  if (options_.extrapolate) keep_drift(section);
  solve_linear(section);
  Sweep found = correct(section);
  found.residual = size;
  const StageTimer timer(stages_, "exchange");
  if (!all_here_) trajectory_.starts(traffic_);
  agree(found);
  return found;
}

void WindowedRun::record(const Sweep& sweep) {
  accumulate(jacobian_.level_traffic(), levels_);
  report_.residual = sweep.residual;
  recording_.iteration({report_.iterations, sweep.residual, 0, frozen_}, together_,
                       trajectory_.states().data());
}

/// The drift of the last step in the window, on the rank that has it.
void WindowedRun::keep_drift(const Section& section) {
  drift_.reserve(batch_ * width_);
  if (comm().rank() != section.layout.num_active_ranks() - 1) return;
  const Index l = section.window.last - 1, row = batch_ * width_;
  const Real* r = correction(section, l);
  const Real* after = state(l + 1);
  Buffer<Real> f(row);
  for (Index i = 0; i < row; ++i) f[i] = after[i] + r[i];
  const std::array<Index, 2> shape{batch_, width_};
  chain_.drift(l, {state(l), shape}, {f.data(), shape}, {drift_.data(), shape});
}

/// Guesses the states of the steps behind `before` that are now in the window. Collective.
void WindowedRun::extrapolate(const Section& before) {
  const StepRange entered{before.window.last, window().last};
  if (entered.empty()) return;
  const StageTimer timer(stages_, "exchange");
  const std::array<Index, 2> shape{batch_, width_};
  comm().broadcast(drift_.data(), batch_ * width_, before.layout.num_active_ranks() - 1);
  chain_.extrapolate(entered, {state(entered.first), shape}, {drift_.data(), shape},
                     states(entered.first + 1, entered.size()));
}

/// Whether the residual has stopped falling, and so few steps become right meanwhile that the
/// sweeps allowed cannot suffice. The window of a sampler moves on, and its residual need not fall.
bool WindowedRun::stalls(double residual) {
  constexpr int kPatience = 16;
  if (residual <= 0.5 * best_residual_) {
    best_residual_ = residual;
    since_best_ = 0;
    frozen_at_best_ = frozen_;
  }
  if (options_.sampler || ++since_best_ <= kPatience) return false;
  const double rate = static_cast<double>(frozen_ - frozen_at_best_) / since_best_;
  const double left = static_cast<double>(steps_ - frozen_);
  if (left <= rate * (options_.max_iterations - report_.iterations)) return false;
  why_not_ = fmt::format(
      "the residual has not fallen for {} sweeps, and {} of {} steps are right after {}",
      since_best_, frozen_, steps_, report_.iterations);
  return true;
}

void WindowedRun::iterate(double largest_before, Index frozen) {
  largest_ = largest_before;
  frozen_ = frozen;
  if (options_.history > 0) anderson_.emplace(options_.history, window().size(), batch_, width_);
  best_residual_ = std::numeric_limits<double>::infinity();
  since_best_ = 0;
  if (report_.iterations == 0) recording_.begin_behind(frozen);
  while (frozen_ < steps_ && !recording_.stopped()) {
    if (report_.iterations >= options_.max_iterations) {
      why_not_ = fmt::format("not converged in {} sweeps", report_.iterations);
      return;
    }
    const Sweep found = sweep();
    ++report_.iterations;
    if (!std::isfinite(found.correction)) {
      why_not_ = why_not_finite(fmt::format("sweep {}", report_.iterations));
      return;
    }
    // The first step started from a right state: it is exact.
    const Section before = section_of(window());
    frozen_ += std::max<Index>(1, found.converged);
    if (options_.extrapolate) extrapolate(before);
    record(found);
    largest_ = std::max(largest_, found.size);
    if (stalls(found.residual)) return;
  }
}

// Corrections at the tolerance leave residuals that may grow: they are held against their growth
// along the states found, and made smaller until that is right or no longer helps.
SolveReport WindowedRun::solve() {
  const petsc::LogEvent event("nonlinear.windowed");
  const double input = sequence::largest_entry(trajectory_.input());
  trajectory_.starts(traffic_);
  iterate(input, 0);
  Index exact = 0;
  double before = std::numeric_limits<double>::infinity();
  while (why_not_.empty() && !recording_.stopped()) {
    trajectory_.touched();
    const Assessment found = [&] {
      const StageTimer timer(stages_, "residual");
      return assess(chain_, trajectory_, options_.tolerance, traffic_);
    }();
    ++report_.looks;
    report_.residual = found.residual;
    report_.lyapunov = found.lyapunov;
    report_.growth = found.growth;
    exact = found.identical;
    if (found.right()) break;
    if (found.hopeless || !(found.error <= 0.5 * before)) {
      why_not_ = why_growth(report_, found.error);
      break;
    }
    before = found.error;
    tighter_ *= 0.1 / std::max(1.0, found.error);
    iterate(input, exact);
  }
  end(exact, true);
  // A look walks the steps once more, with a tangent.
  report_.path.evaluations += static_cast<double>((report_.iterations + 2 * report_.looks) *
                                                  trajectory_.layout().longest());
  return finish();
}

/// Shows the monitors the last states, and concludes: behind the exact ones, where they are not
/// right.
void WindowedRun::end(Index exact, bool measures_growth) {
  trajectory_.touched();
  recording_.end(trajectory_.states().data());
  report_.frozen_prefix = frozen_;
  report_.tolerance = options_.tolerance.limit(largest_);
  Conclusion conclusion{recording_.stopped(), why_not_, exact, options_.fallback};
  conclusion.measures_growth = measures_growth;
  traffic_ += conclude(conclusion, options_.tolerance, chain_, trajectory_, report_);
}

/// log of the most that an error grows to behind where it is made, were the data Gaussian: no
/// evaluation. 0 where the model does not know.
double WindowedRun::known_growth() const {
  Buffer<Real> known(steps_ * width_);
  if (steps_ == 0 || !chain_.known_diagonals(sequence::KnownDiagonal::gaussian, {0, steps_},
                                             {known.data(), {steps_, width_}}))
    return 0;
  double most = 0;
  for (Index i = 0; i < width_; ++i) {
    double grown = 0;  // of the worst of the errors so far
    for (Index l = 0; l < steps_; ++l) {
      grown = std::max(0.0, grown + std::log(std::abs(known[l * width_ + i])));
      most = std::max(most, grown);
    }
  }
  return most;
}

SolveReport WindowedRun::sample(Index frozen) {
  const petsc::LogEvent event("nonlinear.windowed");
  double largest = 0;
  for (Index l = 0; l <= frozen; ++l)
    largest = std::max(largest, sequence::largest_entry(states(l, 1)[0]));
  iterate(largest, frozen);
  report_.growth = known_growth();
  // The frozen steps are within the tolerance, and nothing behind them grows beyond that.
  end(frozen_, false);
  if (report_.status == Status::fell_back) {
    report_.evaluations += steps_ - frozen_;
    report_.sequential_evaluations += steps_ - frozen_;
  }
  return finish();
}

SolveReport WindowedRun::finish() {
  report_.method = "windowed";
  report_.linear = name(options_.jacobian);
  recording_.add_up(stages_, levels_, traffic_, report_);
  return std::move(report_);
}

}  // namespace deeppcr::nonlinear
