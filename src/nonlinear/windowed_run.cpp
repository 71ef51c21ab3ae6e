#include "nonlinear/windowed_run.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/nonlinear/growth.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

namespace {

const std::vector<std::string> kStages{"residual", "linear", "exchange"};

}  // namespace

WindowedRun::WindowedRun(const parallel::Communicator& comm, const sequence::Sequence& chain,
                         const WindowedOptions& options, ChainPart& part, Size size,
                         const Monitors& monitors)
    : comm_(comm),
      chain_(chain),
      options_(options),
      tolerance_{options.rtol, options.atol},
      jacobian_(make_jacobian(options.jacobian, options.linear, options.seed, comm, chain)),
      part_(part),
      size_(size),
      width_(chain.width()),
      recording_(comm, monitors, kStages) {}

StepRange WindowedRun::window() const {
  const Index steps = options_.window == 0 ? size_.steps : options_.window;
  return {frozen_, std::min(size_.steps, frozen_ + steps)};
}

/// Corrections up to this leave an error of about the limit: that of a step adds to those before
/// it. Newton's leave about their square.
double WindowedRun::largest_correction(double size) const {
  constexpr double kMargin = 0.4, kNewtonMargin = 0.1;
  const double limit = tolerance_.limit(size);
  const double most = kMargin * limit;
  return tighter_ * (options_.jacobian == Jacobian::dense
                         ? std::max(most, kNewtonMargin * std::sqrt(limit))
                         : most);
}

/// r = f(z) - z in correction_, of this rank's steps; the largest.
double WindowedRun::residual(const Section& section) {
  const StageTimer timer(stages_, "residual");
  const Index m = section.mine.size();
  correction_.reserve(m * size_.batch * width_);
  const States r(correction_.data(), {m, size_.batch, width_});
  jacobian_->evaluate(section, states(section.mine.first, m), r);
  double size = 0;
  const Real* after = m > 0 ? part_.state(section.mine.first + 1) : nullptr;
  for (Index i = 0; i < r.size(); ++i) r.data()[i] -= after[i];
  for (Index l = 0; l < m; ++l) size = std::max(size, sequence::largest_entry(r[l]));
  report_.evaluations += section.window.size();
  ++report_.sequential_evaluations;
  return size;
}

/// z <- z + d with d_l = M_l d_{l-1} + r_l.
WindowedRun::Sweep WindowedRun::correct(const Section& section) {
  const Index m = section.mine.size(), row = size_.batch * width_;
  const States d(correction_.data(), {m, size_.batch, width_});
  {
    const StageTimer timer(stages_, "linear");
    jacobian_->solve(section, d);
  }
  Sweep found;
  double size = largest_;
  for (Index l = 0; l < m; ++l) {
    Real* z = part_.state(section.mine.first + l + 1);
    for (Index i = 0; i < row; ++i) z[i] += d.data()[l * row + i];
    const double correction = sequence::largest_entry(d[l]);
    found.correction = std::max(found.correction, correction);
    if (found.converged < l) continue;
    // Held against the states up to here: a tail that has blown up must not excuse wrong ones
    // before.
    size = std::max(size, sequence::largest_entry({z, {size_.batch, width_}}));
    if (std::isfinite(size) && correction <= largest_correction(size)) {
      ++found.converged;
      found.size = size;
    }
  }
  return found;
}

/// Maxima over ranks, and the steps that have converged on all ranks up to the first that has not.
void WindowedRun::agree(Sweep& sweep) const {
  const Section section = part_.section(window());
  const bool all = sweep.converged == section.mine.size();
  const double reached = all ? static_cast<double>(size_.steps)
                             : static_cast<double>(section.mine.first + sweep.converged);
  std::vector<double> values{sweep.residual, sweep.correction, sweep.size, -reached};
  comm_.max(values);
  const Index front = std::min(window().last, static_cast<Index>(-values[3]));
  sweep = {values[0], values[1], values[2], front - frozen_};
}

WindowedRun::Sweep WindowedRun::sweep() {
  const Section section = part_.section(window());
  const double size = residual(section);
  if (options_.extrapolate) keep_drift(section);
  Sweep found = correct(section);
  found.residual = size;
  const StageTimer timer(stages_, "exchange");
  part_.exchange(section, traffic_);
  agree(found);
  return found;
}

void WindowedRun::record(const Sweep& sweep) {
  accumulate(jacobian_->level_traffic(), levels_);
  report_.residual = sweep.residual;
  IterationRecord entry;
  entry.iteration = report_.iterations;
  entry.residual = sweep.residual;
  entry.step_norm = sweep.correction;
  entry.frozen_prefix = frozen_;
  recording_.iteration(std::move(entry), stages_, jacobian_->level_traffic(), part_.shown());
}

/// The drift of the last step in the window, on the rank that has it.
void WindowedRun::keep_drift(const Section& section) {
  drift_.reserve(size_.batch * width_);
  if (comm_.rank() != section.last) return;
  const Index l = section.window.last - 1, row = size_.batch * width_;
  const Real* r = correction_.data() + (section.mine.size() - 1) * row;
  const Real* after = part_.state(l + 1);
  Buffer<Real> f(row);
  for (Index i = 0; i < row; ++i) f[i] = after[i] + r[i];
  const std::array<Index, 2> shape{size_.batch, width_};
  chain_.drift(l, {part_.state(l), shape}, {f.data(), shape}, {drift_.data(), shape});
}

/// Guesses the states of the steps behind `before` that are now in the window. Collective.
void WindowedRun::extrapolate(const Section& before) {
  const StepRange entered{before.window.last, window().last};
  if (entered.empty()) return;
  const StageTimer timer(stages_, "exchange");
  const std::array<Index, 2> shape{size_.batch, width_};
  comm_.broadcast(drift_.data(), size_.batch * width_, before.last);
  chain_.extrapolate(entered, {part_.state(entered.first), shape}, {drift_.data(), shape},
                     states(entered.first + 1, entered.size()));
}

void WindowedRun::iterate(double largest_before, Index frozen) {
  largest_ = largest_before;
  frozen_ = frozen;
  if (report_.iterations == 0) recording_.begin_behind(frozen);
  while (frozen_ < size_.steps && !recording_.stopped()) {
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
    const Section before = part_.section(window());
    frozen_ += std::max<Index>(1, found.converged);
    if (options_.extrapolate) extrapolate(before);
    record(found);
    largest_ = std::max(largest_, found.size);
  }
}

// Corrections at the tolerance leave residuals that may grow: they are held against their growth
// along the states found, and made smaller until that is right or no longer helps.
void WindowedRun::iterate_until_right(sequence::Trajectory& states, OwnSteps& part) {
  const double input = sequence::largest_entry(states.input());
  part_.exchange(part_.section({0, size_.steps}), traffic_);
  iterate(input, 0);
  Index exact = 0;
  double before = std::numeric_limits<double>::infinity();
  while (why_not_.empty() && !recording_.stopped()) {
    part.give();
    const Assessment found = [&] {
      const StageTimer timer(stages_, "residual");
      return assess(chain_, states, tolerance_, traffic_);
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
  part.give();
  recording_.end(part_.shown());
  report_.frozen_prefix = frozen_;
  report_.tolerance = tolerance_.limit(largest_);
  traffic_ += conclude({recording_.stopped(), why_not_, exact, options_.fallback}, tolerance_,
                       chain_, states, report_);
  if (report_.status == Status::fell_back || report_.status == Status::failed) part.take();
}

/// log of the most that an error grows to behind where it is made, were the data Gaussian: no
/// evaluation. 0 where the model does not know.
double WindowedRun::known_growth() const {
  Buffer<Real> known(size_.steps * width_);
  if (size_.steps == 0 ||
      !chain_.known_diagonals(sequence::KnownDiagonal::gaussian, {0, size_.steps},
                              {known.data(), {size_.steps, width_}}))
    return 0;
  double most = 0;
  for (Index i = 0; i < width_; ++i) {
    double grown = 0;  // of the worst of the errors so far
    for (Index l = 0; l < size_.steps; ++l) {
      grown = std::max(0.0, grown + std::log(std::abs(known[l * width_ + i])));
      most = std::max(most, grown);
    }
  }
  return most;
}

void WindowedRun::end_sampling(sequence::Trajectory& states) {
  states.touched();
  report_.frozen_prefix = frozen_;
  report_.tolerance = tolerance_.limit(largest_);
  report_.growth = known_growth();
  recording_.end(part_.shown());
  // The frozen steps are within the tolerance, and nothing behind them grows beyond that.
  Conclusion conclusion{recording_.stopped(), why_not_, frozen_, options_.fallback};
  conclusion.measures_growth = false;
  const Index left = size_.steps - frozen_;
  traffic_ += conclude(conclusion, tolerance_, chain_, states, report_);
  if (report_.status != Status::fell_back) return;
  report_.evaluations += left;
  report_.sequential_evaluations += left;
}

SolveReport WindowedRun::finish(const Stopwatch& watch) {
  report_.method = "windowed";
  report_.linear = name(options_.jacobian);
  stages_.add("total", comm_.max(watch.seconds()));
  std::vector<std::string> stages = kStages;
  stages.emplace_back("total");
  add_up(comm_, stages_, stages, levels_, traffic_, report_);
  return std::move(report_);
}

}  // namespace deeppcr::nonlinear
