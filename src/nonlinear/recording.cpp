#include "deeppcr/nonlinear/recording.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::nonlinear {

Totals::Totals(parallel::Reduction& together, const StageTimes& times,
               std::vector<std::string> stages, const parallel::TrafficByLevel& levels,
               const parallel::Traffic& neighbours)
    : stages_(std::move(stages)), levels_(static_cast<Index>(levels.size())) {
  for (const std::string& stage : stages_) {
    const Index place = together.max(times.get(stage));
    if (&stage == &stages_.front()) times_ = place;
    together.max(-times.get(stage));
  }
  traffic_ = together.sum(static_cast<double>(neighbours.messages));
  together.sum(static_cast<double>(neighbours.bytes));
  for (const parallel::Traffic& level : levels) {
    together.sum(static_cast<double>(level.messages));
    together.sum(static_cast<double>(level.bytes));
  }
}

std::map<std::string, double> Totals::slowest(const parallel::Reduction& together) const {
  std::map<std::string, double> named;
  Index place = times_;
  for (const std::string& stage : stages_) {
    named[stage] = together.maximum(place);
    place += 2;
  }
  return named;
}

std::map<std::string, double> Totals::fastest(const parallel::Reduction& together) const {
  std::map<std::string, double> named;
  Index place = times_ + 1;
  for (const std::string& stage : stages_) {
    named[stage] = -together.maximum(place);
    place += 2;
  }
  return named;
}

parallel::Traffic Totals::neighbours(const parallel::Reduction& together) const {
  return {static_cast<Index>(together.total(traffic_)),
          static_cast<Index>(together.total(traffic_ + 1))};
}

parallel::TrafficByLevel Totals::levels(const parallel::Reduction& together) const {
  parallel::TrafficByLevel all;
  for (Index k = 1; k <= levels_; ++k)
    all.push_back({static_cast<Index>(together.total(traffic_ + 2 * k)),
                   static_cast<Index>(together.total(traffic_ + 2 * k + 1))});
  return all;
}

void Recording::join(parallel::Reduction& together, double step_norm, const StageTimes& now,
                     const parallel::TrafficByLevel& mine) {
  if (!wanted()) return;
  StageTimes since;
  for (const std::string& stage : stages_) since.add(stage, now.get(stage) - before_.get(stage));
  before_ = now;
  totals_.emplace(together, since, stages_, mine);
  step_norm_ = together.max(step_norm);
}

void Recording::iteration(IterationRecord entry, const parallel::Reduction& together,
                          const Real* local_states) {
  if (!wanted()) return;
  entry.step_norm = together.maximum(step_norm_);
  entry.seconds = totals_->slowest(together);
  entry.seconds_min = totals_->fastest(together);
  entry.levels = totals_->levels(together);
  last_ = std::move(entry);
  Monitor::Action action = Monitor::Action::go_on;
  for (Monitor* monitor : monitors_)
    action = std::max(action, monitor->iteration(last_, local_states));
  follow(action, local_states);
}

void Recording::end(const Real* local_states) {
  if (!wanted() || stopped_) return;
  Monitor::Action action = Monitor::Action::go_on;
  for (Monitor* monitor : monitors_) action = std::max(action, monitor->iterations_end());
  follow(action, local_states);
}

void Recording::add_up(const StageTimes& stages, const parallel::TrafficByLevel& levels,
                       const parallel::Traffic& neighbours, SolveReport& report) const {
  StageTimes all = stages;
  all.add("total", watch_.seconds());
  // A solve may end by substitution, whatever its iterations are made of.
  std::vector<std::string> names = stages_;
  names.insert(names.end(), {"substitute", "total"});
  parallel::Reduction together;
  const Totals totals(together, all, std::move(names), levels, neighbours);
  together.run(comm_);
  for (const auto& [stage, seconds] : totals.slowest(together))
    if (seconds > 0) report.seconds[stage] = seconds;
  report.levels = totals.levels(together);
  report.neighbours = totals.neighbours(together);
}

void Recording::follow(Monitor::Action action, const Real* local_states) {
  stopped_ = action == Monitor::Action::stop;
  if (action == Monitor::Action::go_on) return;
  for (Monitor* monitor : monitors_) monitor->save(last_, local_states);
}

void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum) {
  if (sum.size() < more.size()) sum.resize(more.size());
  for (std::size_t k = 0; k < more.size(); ++k) sum[k] += more[k];
}

}  // namespace deeppcr::nonlinear
