#include "deeppcr/nonlinear/recording.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::nonlinear {

void Recording::iteration(IterationRecord entry, const StageTimes& now,
                          const parallel::TrafficByLevel& mine, const Real* local_states) {
  if (!wanted()) return;
  StageTimes since;
  for (const std::string& stage : stages_) since.add(stage, now.get(stage) - before_.get(stage));
  before_ = now;
  StageTimes negative;
  for (const std::string& stage : stages_) negative.add(stage, -since.get(stage));
  entry.seconds = slowest(comm_, since, stages_);
  entry.seconds_min = slowest(comm_, negative, stages_);
  for (auto& [stage, seconds] : entry.seconds_min) seconds = -seconds;
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

void Recording::add_up(const StageTimes& stages, const parallel::TrafficByLevel& levels,
                       const parallel::Traffic& neighbours, SolveReport& report) const {
  StageTimes all = stages;
  all.add("total", watch_.seconds());
  // A solve may end by substitution, whatever its iterations are made of.
  std::vector<std::string> names = stages_;
  names.insert(names.end(), {"substitute", "total"});
  for (const auto& [stage, seconds] : slowest(comm_, all, names))
    if (seconds > 0) report.seconds[stage] = seconds;
  report.levels = total_traffic(comm_, levels);
  report.neighbours = total_traffic(comm_, neighbours);
}

void Recording::follow(Monitor::Action action, const Real* local_states) {
  stopped_ = action == Monitor::Action::stop;
  if (action == Monitor::Action::go_on) return;
  for (Monitor* monitor : monitors_) monitor->save(last_, local_states);
}

std::map<std::string, double> slowest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages) {
  std::vector<double> seconds;
  for (const std::string& stage : stages) seconds.push_back(times.get(stage));
  comm.max(seconds);
  std::map<std::string, double> named;
  for (std::size_t i = 0; i < stages.size(); ++i) named[stages[i]] = seconds[i];
  return named;
}

parallel::TrafficByLevel total_traffic(const parallel::Communicator& comm,
                                       const parallel::TrafficByLevel& mine) {
  // A rank without steps may know of fewer levels.
  const Index levels = comm.max(static_cast<Index>(mine.size()));
  std::vector<Index> counts(static_cast<std::size_t>(2 * levels), 0);
  for (std::size_t k = 0; k < mine.size(); ++k) {
    counts[2 * k] = mine[k].messages;
    counts[2 * k + 1] = mine[k].bytes;
  }
  comm.sum(counts);
  parallel::TrafficByLevel total;
  for (std::size_t k = 0; k < static_cast<std::size_t>(levels); ++k)
    total.push_back({counts[2 * k], counts[2 * k + 1]});
  return total;
}

parallel::Traffic total_traffic(const parallel::Communicator& comm, const parallel::Traffic& mine) {
  std::vector<Index> counts{mine.messages, mine.bytes};
  comm.sum(counts);
  return {counts[0], counts[1]};
}

void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum) {
  if (sum.size() < more.size()) sum.resize(more.size());
  for (std::size_t k = 0; k < more.size(); ++k) sum[k] += more[k];
}

}  // namespace deeppcr::nonlinear
