#include "sweeps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace outside {

using namespace deeppcr;
using namespace deeppcr::nonlinear;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// One solve.
class Run {
 public:
  Run(const Settings& settings, const sequence::Sequence& chain, sequence::Trajectory& states,
      const Monitors& monitors, const std::vector<std::string>& stages)
      : settings_(settings),
        chain_(chain),
        states_(states),
        steps_(states.layout().num_steps()),
        next_(states.states().size()),
        recording_(states.comm(), monitors, stages) {
    end_.fallback = settings.fallback;
  }

  SolveReport solve();

 private:
  struct Change {
    double largest = 0;  ///< max |f_l(z_{l-1}) - z_l|
    double size = 0;     ///< of the largest state
    bool any = false;    ///< of a single bit
  };
  Change sweep();
  void judge(const Change& change);
  void record(const Change& change);

  const Settings& settings_;
  const sequence::Sequence& chain_;
  sequence::Trajectory& states_;
  Index steps_;
  Buffer<Real> next_;  ///< [L_local, B, n]
  Recording recording_;
  deeppcr::parallel::Reduction together_;  // of the sweep at hand
  Conclusion end_;
  SolveReport report_;
  StageTimes times_;
  parallel::Traffic sent_;
  double look_below_ = kInfinity;  ///< changes that are worth a look at what they grow to
  bool done_ = false;
};

/// Behind the exact states, which a sweep would not change. Collective.
Run::Change Run::sweep() {
  const StageTimer timer(times_, "sweep");
  const StepRange local = states_.local_range();
  const StepRange open{std::clamp(end_.exact, local.first, local.last), local.last};
  const Index skipped = open.first - local.first;
  const States z = states_.states().slice(skipped, local.size());
  const ConstStates starts = states_.starts(sent_).slice(skipped, local.size());
  const States next(next_.data(), z.shape());
  chain_.value(open, starts, next);

  Change mine;
  for (Index i = 0; i < z.size(); ++i) {
    const double difference = std::abs(next.data()[i] - z.data()[i]);
    mine.largest = std::max(mine.largest, difference == difference ? difference : kInfinity);
  }
  mine.any = z.size() > 0 && std::memcmp(next.data(), z.data(), z.size() * sizeof(Real)) != 0;
  std::copy(next.begin(), next.end(), z.begin());
  states_.touched();
  mine.size = sequence::largest_entry(states_.input());
  for (Index l = 0; l < local.size(); ++l)
    mine.size = std::max(mine.size, sequence::largest_entry(states_.states()[l]));

  report_.evaluations += steps_ - end_.exact;
  ++report_.sequential_evaluations;
  report_.path.evaluations += static_cast<double>(states_.layout().longest());
  together_ = {};
  recording_.join(together_, mine.largest, times_, {});
  const Index largest = together_.max(mine.largest), size = together_.max(mine.size),
              any = together_.max(mine.any ? 1 : 0);
  together_.run(states_.comm());
  return {together_.maximum(largest), together_.maximum(size), together_.maximum(any) != 0};
}

/// What small changes may grow to further on decides, by the library's one rule. Collective.
void Run::judge(const Change& change) {
  if (change.largest > std::min(look_below_, settings_.tolerance.limit(change.size))) return;
  const StageTimer timer(times_, "judge");
  const Assessment found = assess(chain_, states_, settings_.tolerance, sent_);
  ++report_.looks;
  report_.residual = found.residual;
  report_.lyapunov = found.lyapunov;
  report_.growth = found.growth;
  done_ = found.right();
  if (done_) end_.exact = found.identical;
  // Where no residual would do, sweeps go on until no bit changes.
  look_below_ = found.hopeless ? 0 : 0.1 * change.largest / std::max(1.0, found.error);
}

void Run::record(const Change& change) {
  recording_.iteration({report_.iterations, change.largest, 0, end_.exact}, together_,
                       states_.states().data());
}

SolveReport Run::solve() {
  const int most = settings_.max_iterations;
  Change change{0, sequence::largest_entry(states_.input()), false};
  while (end_.exact < steps_ && !done_ && !recording_.stopped() && end_.why_not.empty()) {
    if (most >= 0 && report_.iterations >= most) {
      end_.why_not = fmt::format("not converged in {} sweeps", most);
      break;
    }
    change = sweep();
    ++report_.iterations;
    ++end_.exact;  // its start was right
    report_.residual = change.largest;
    if (!change.any) {
      end_.exact = steps_;
    } else if (!std::isfinite(change.size)) {
      end_.why_not = why_not_finite(fmt::format("sweep {}", report_.iterations));
    } else if (end_.exact < steps_) {
      judge(change);
    }
    record(change);
  }
  if (!recording_.stopped()) recording_.end(states_.states().data());
  end_.interrupted = recording_.stopped();
  report_.method = "sweeps";
  report_.frozen_prefix = end_.exact;
  report_.tolerance = settings_.tolerance.limit(change.size);
  if (end_.exact == steps_ && end_.why_not.empty())
    take_sequential(change.size, steps_, settings_.tolerance, report_);
  sent_ += conclude(end_, settings_.tolerance, chain_, states_, report_);
  recording_.add_up(times_, {}, sent_, report_);
  return std::move(report_);
}

}  // namespace

SolveReport Sweeps::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                          const Monitors& monitors) {
  return Run(settings_, chain, states, monitors, stages()).solve();
}

Cost Sweeps::cost(const Problem& problem, const Effort& effort) const {
  const parallel::BlockLayout ranks = layout(problem);
  // A halo a sweep, and two messages a look.
  const Index sends = effort.iterations + 2 * effort.looks;
  const Index messages = sends * std::max(0, ranks.num_active_ranks() - 1);
  Cost cost;
  cost.path.evaluations = static_cast<double>(sends * ranks.longest());
  cost.neighbours = {messages, messages * problem.state_bytes()};
  return cost;
}

double Sweeps::memory(const Problem& problem) const {
  constexpr double kArrays = 2;  // the next states, and what a look holds
  return kArrays * static_cast<double>(layout(problem).longest() * problem.state_bytes());
}

Index Sweeps::most_iterations(const Problem& problem) const {
  return settings_.max_iterations >= 0 ? settings_.max_iterations : problem.steps;
}

CatalogueEntry sweeps_entry() {
  CatalogueEntry entry;
  entry.name = "sweeps";
  entry.help = "all steps at once, each from the state before it, until none changes";
  entry.make_with = [](const Settings& settings) { return std::make_unique<Sweeps>(settings); };
  return entry;
}

}  // namespace outside
