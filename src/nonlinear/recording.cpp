#include "deeppcr/nonlinear/recording.hpp"

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
  stopped_ = monitor_->iteration(entry, local_states) == Monitor::Action::stop;
}

void Recording::end(const Real* local_states) {
  if (!wanted() || stopped_) return;
  stopped_ = monitor_->iterations_end(local_states) == Monitor::Action::stop;
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
