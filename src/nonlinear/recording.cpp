#include "deeppcr/nonlinear/recording.hpp"

#include <algorithm>
#include <utility>

#include "nonlinear/collect.hpp"

namespace deeppcr::nonlinear {

void Recording::iteration(IterationRecord entry, const StageTimes& now,
                          const parallel::TrafficByLevel& mine, const Real* local_states) {
  if (!wanted()) return;
  StageTimes since;
  for (const std::string& stage : stages_) since.add(stage, now.get(stage) - before_.get(stage));
  before_ = now;
  entry.seconds = slowest(comm_, since, stages_);
  entry.seconds_min = fastest(comm_, since, stages_);
  entry.levels = total_traffic(comm_, mine);
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

void Recording::follow(Monitor::Action action, const Real* local_states) {
  stopped_ = action == Monitor::Action::stop;
  if (action == Monitor::Action::go_on) return;
  for (Monitor* monitor : monitors_) monitor->save(last_, local_states);
}

void add_up(const parallel::Communicator& comm, const StageTimes& stages,
            const std::vector<std::string>& names, const parallel::TrafficByLevel& levels,
            const parallel::Traffic& neighbours, SolveReport& report) {
  for (const auto& [stage, seconds] : slowest(comm, stages, names))
    if (seconds > 0) report.seconds[stage] = seconds;
  report.levels = total_traffic(comm, levels);
  report.neighbours = total_traffic(comm, neighbours);
}

void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum) {
  if (sum.size() < more.size()) sum.resize(more.size());
  for (std::size_t k = 0; k < more.size(); ++k) sum[k] += more[k];
}

}  // namespace deeppcr::nonlinear
