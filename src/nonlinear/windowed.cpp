#include "deeppcr/nonlinear/windowed.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chain_part.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/nonlinear/collect.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<std::string> kStages{"residual", "linear", "exchange"};

double largest(ConstState x) {
  double size = 0;
  for (const Real value : x) size = std::isnan(value) ? kInfinity : std::max(size, std::abs(value));
  return size;
}

}  // namespace

/// One solve: the window's place, and what is known of the states so far.
class Windowed::Run {
 public:
  Run(Windowed& solver, ChainPart& part, Index batch, Index num_steps, Monitor* monitor)
      : solver_(solver),
        options_(solver.options_),
        comm_(solver.comm_),
        part_(part),
        B_(batch),
        n_(solver.sequence_.width()),
        L_(num_steps),
        monitor_(monitor) {}

  void start(double input_size, Index frozen) {
    size_ = input_size;
    frozen_ = frozen;
    iterate();
  }
  /// All steps at once; in the end their residual is held against the tolerance, and what is above
  /// goes on.
  void start_whole(double input_size);
  /// Collective.
  SolveReport finish(const Stopwatch& watch);

 private:
  /// What one sweep found, over all ranks.
  struct Sweep {
    double residual = 0;
    double correction = 0;
    double size = 0;      ///< of the leading states that have converged
    Index converged = 0;  ///< leading steps with corrections within the tolerance
  };

  void iterate();
  /// The first step whose residual is above the tolerance; L where there is none. Collective.
  Index first_wrong(double input_size);
  StepRange window() const {
    const Index steps = options_.window == 0 ? L_ : options_.window;
    return {frozen_, std::min(L_, frozen_ + steps)};
  }
  States states(Index l, Index count) { return {part_.state(l), {count, B_, n_}}; }
  double limit(double size) const { return options_.atol + options_.rtol * size; }
  /// Corrections up to this leave an error of about limit(size): that of a step adds to those
  /// before it. Newton's leave about their square.
  double largest_correction(double size) const {
    constexpr double kMargin = 0.4, kNewtonMargin = 0.1;
    const double most = kMargin * limit(size);
    return options_.jacobian == Jacobian::dense
               ? std::max(most, kNewtonMargin * std::sqrt(limit(size)))
               : most;
  }

  Sweep sweep();
  /// r = f(z) - z in correction_, of this rank's steps; the largest.
  double residual(const Section& section);
  Sweep correct(const Section& section);
  /// The drift of the last step in the window, on the rank that has it.
  void keep_drift(const Section& section);
  /// Guesses the states of the steps behind `last` that are now in the window. Collective.
  void extrapolate(const Section& before);
  void agree(Sweep& sweep) const;
  void record(const Sweep& sweep);
  void give_up(const std::string& why);

  Windowed& solver_;
  WindowedOptions options_;
  const parallel::Communicator& comm_;
  ChainPart& part_;
  Index B_, n_, L_;
  Monitor* monitor_;
  Index frozen_ = 0;
  double size_ = 0;  ///< largest state in front of the window
  bool interrupted_ = false;
  Buffer<Real> correction_;
  Buffer<Real> drift_;  ///< [B, n]
  StageTimes stages_;
  parallel::Traffic traffic_;
  parallel::TrafficByLevel levels_;
  SolveReport report_;
};

double Windowed::Run::residual(const Section& section) {
  const StageTimer timer(stages_, "residual");
  const Index m = section.mine.size();
  correction_.reserve(m * B_ * n_);
  const States r(correction_.data(), {m, B_, n_});
  solver_.jacobian_->evaluate(section, states(section.mine.first, m), r);
  double size = 0;
  const Real* after = m > 0 ? part_.state(section.mine.first + 1) : nullptr;
  for (Index i = 0; i < r.size(); ++i) r.data()[i] -= after[i];
  for (Index l = 0; l < m; ++l) size = std::max(size, largest(r[l]));
  report_.evaluations += section.window.size();
  ++report_.sequential_evaluations;
  return size;
}

/// z <- z + d with d_l = M_l d_{l-1} + r_l.
Windowed::Run::Sweep Windowed::Run::correct(const Section& section) {
  const Index m = section.mine.size(), row = B_ * n_;
  const States d(correction_.data(), {m, B_, n_});
  {
    const StageTimer timer(stages_, "linear");
    solver_.jacobian_->solve(section, d);
  }
  Sweep found;
  double size = size_;
  for (Index l = 0; l < m; ++l) {
    Real* z = part_.state(section.mine.first + l + 1);
    for (Index i = 0; i < row; ++i) z[i] += d.data()[l * row + i];
    const double correction = largest(d[l]);
    found.correction = std::max(found.correction, correction);
    if (found.converged < l) continue;
    // Held against the states up to here: a tail that has blown up must not excuse wrong ones
    // before.
    size = std::max(size, largest({z, {B_, n_}}));
    if (std::isfinite(size) && correction <= largest_correction(size)) {
      ++found.converged;
      found.size = size;
    }
  }
  return found;
}

/// Maxima over ranks, and the steps that have converged on all ranks up to the first that has not.
void Windowed::Run::agree(Sweep& sweep) const {
  const Section section = part_.section(window());
  const Index mine = section.mine.size();
  const bool all = sweep.converged == mine;
  const double reached =
      all ? static_cast<double>(L_) : static_cast<double>(section.mine.first + sweep.converged);
  std::vector<double> values{sweep.residual, sweep.correction, sweep.size, -reached};
  comm_.max(values);
  const Index front = std::min(window().last, static_cast<Index>(-values[3]));
  sweep = {values[0], values[1], values[2], front - frozen_};
}

Windowed::Run::Sweep Windowed::Run::sweep() {
  const Section section = part_.section(window());
  const double size = residual(section);
  if (options_.extrapolate) keep_drift(section);
  Sweep found = correct(section);
  found.residual = size;
  {
    const StageTimer timer(stages_, "exchange");
    part_.exchange(section, traffic_);
    agree(found);
  }
  return found;
}

void Windowed::Run::record(const Sweep& sweep) {
  const auto& levels = solver_.jacobian_->level_traffic();
  if (levels_.size() < levels.size()) levels_.resize(levels.size());
  for (std::size_t k = 0; k < levels.size(); ++k) levels_[k] += levels[k];
  report_.residual = sweep.residual;
  if (monitor_ == nullptr) return;
  IterationRecord entry;
  entry.iteration = report_.iterations;
  entry.residual = sweep.residual;
  entry.step_norm = sweep.correction;
  entry.frozen_prefix = frozen_;
  entry.seconds = slowest(comm_, stages_, kStages);
  entry.seconds_min = fastest(comm_, stages_, kStages);
  entry.levels = total_traffic(comm_, levels);
  for (const auto& [stage, seconds] : entry.seconds) report_.seconds[stage] += seconds;
  stages_ = {};
  interrupted_ = monitor_->iteration(entry, part_.shown()) == Monitor::Action::stop;
}

void Windowed::Run::keep_drift(const Section& section) {
  drift_.reserve(B_ * n_);
  if (comm_.rank() != section.last) return;
  const Index l = section.window.last - 1, row = B_ * n_;
  const Real* r = correction_.data() + (section.mine.size() - 1) * row;
  const Real* after = part_.state(l + 1);
  Buffer<Real> f(row);
  for (Index i = 0; i < row; ++i) f[i] = after[i] + r[i];
  const std::array<Index, 2> shape{B_, n_};
  solver_.sequence_.drift(l, {part_.state(l), shape}, {f.data(), shape}, {drift_.data(), shape});
}

void Windowed::Run::extrapolate(const Section& before) {
  const StepRange entered{before.window.last, window().last};
  if (entered.empty()) return;
  const StageTimer timer(stages_, "exchange");
  const std::array<Index, 2> shape{B_, n_};
  comm_.broadcast(drift_.data(), B_ * n_, before.last);
  solver_.sequence_.extrapolate(entered, {part_.state(entered.first), shape},
                                {drift_.data(), shape}, states(entered.first + 1, entered.size()));
}

void Windowed::Run::iterate() {
  while (frozen_ < L_) {
    if (report_.iterations >= options_.max_iterations)
      return give_up(fmt::format("not converged in {} sweeps", report_.iterations));
    const Sweep found = sweep();
    ++report_.iterations;
    if (!std::isfinite(found.correction))
      return give_up(
          fmt::format("the states became infinite or NaN in sweep {}", report_.iterations));
    // The first step started from a right state: it is exact.
    const Section before = part_.section(window());
    frozen_ += std::max<Index>(1, found.converged);
    if (options_.extrapolate) extrapolate(before);
    record(found);
    if (interrupted_) {
      report_.status = Status::interrupted;
      report_.reason = "stopped on request";
      return;
    }
    size_ = std::max(size_, found.size);
  }
  report_.status = Status::converged;
}

void Windowed::Run::give_up(const std::string& why) {
  report_.status = Status::failed;
  report_.reason = why;
  if (!options_.fallback) return;
  const Stopwatch watch;
  part_.propagate(frozen_, traffic_);
  report_.evaluations += L_ - frozen_;
  report_.sequential_evaluations += L_ - frozen_;
  report_.seconds["fallback"] = comm_.max(watch.seconds());
  report_.status = Status::fell_back;
  report_.reason += fmt::format("; sequential substitution from step {} on", frozen_);
  frozen_ = L_;
}

Index Windowed::Run::first_wrong(double input_size) {
  const Section section = part_.section({0, L_});
  report_.residual = comm_.max(residual(section));
  const Index m = section.mine.size(), row = B_ * n_;
  std::vector<double> sizes(static_cast<std::size_t>(m));
  double local = 0;
  for (Index l = 0; l < m; ++l) {
    local = std::max(local, largest({part_.state(section.mine.first + l + 1), {B_, n_}}));
    sizes[static_cast<std::size_t>(l)] = local;
  }
  const double before = comm_.max_before(local, input_size);
  Index wrong = L_;
  for (Index l = m - 1; l >= 0; --l) {
    const double most = limit(std::max(before, sizes[static_cast<std::size_t>(l)]));
    const double size = largest({correction_.data() + l * row, {B_, n_}});
    if (!std::isfinite(most) || size > most) wrong = section.mine.first + l;
  }
  return comm_.min(wrong);
}

void Windowed::Run::start_whole(double input_size) {
  options_.window = 0;
  size_ = input_size;
  part_.exchange(part_.section({0, L_}), traffic_);
  iterate();
  while (report_.status == Status::converged || report_.status == Status::fell_back) {
    const Index wrong = first_wrong(input_size);
    if (wrong == L_) return;
    if (report_.status == Status::fell_back) {
      report_.status = Status::failed;
      report_.reason += "; its states are infinite, NaN or not reproducible to the tolerance";
      return;
    }
    frozen_ = wrong;
    iterate();
  }
}

SolveReport Windowed::Run::finish(const Stopwatch& watch) {
  report_.tolerance = limit(size_);
  report_.frozen_prefix = frozen_;
  report_.method = "newton";
  report_.linear = name(options_.jacobian);
  report_.levels = total_traffic(comm_, levels_);
  report_.neighbours = total_traffic(comm_, traffic_);
  report_.seconds["total"] = comm_.max(watch.seconds());
  return report_;
}

Windowed::Windowed(const parallel::Communicator& comm, const sequence::Sequence& sequence,
                   WindowedOptions options)
    : comm_(comm),
      sequence_(sequence),
      options_(std::move(options)),
      jacobian_(make_jacobian(options_.jacobian, options_.linear, options_.seed, comm, sequence)) {}

Windowed::~Windowed() = default;

SolveReport Windowed::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  const Stopwatch watch;
  DEEPPCR_ASSERT(options_.jacobian != Jacobian::dense, "Newton is for dense Jacobians");
  OwnSteps part(sequence_, trajectory);
  Run run(*this, part, trajectory.batch(), trajectory.layout().num_steps(), monitor);
  run.start_whole(largest(trajectory.input()));
  part.give();
  return run.finish(watch);
}

SolveReport Windowed::solve_shared(States states, Index frozen, Monitor* monitor) {
  const Stopwatch watch;
  SharedSteps part(comm_, sequence_, states);
  double size = 0;
  for (Index l = 0; l <= frozen; ++l) size = std::max(size, largest(states[l]));
  Run run(*this, part, states.extent(1), states.extent(0) - 1, monitor);
  run.start(size, frozen);
  return run.finish(watch);
}

}  // namespace deeppcr::nonlinear
