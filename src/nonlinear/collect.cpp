#include "nonlinear/collect.hpp"

namespace deeppcr::nonlinear {

namespace {

std::vector<double> seconds_of(const StageTimes& times, const std::vector<std::string>& stages) {
  std::vector<double> seconds;
  for (const std::string& stage : stages) seconds.push_back(times.get(stage));
  return seconds;
}

std::map<std::string, double> named(const std::vector<std::string>& stages,
                                    const std::vector<double>& seconds) {
  std::map<std::string, double> result;
  for (std::size_t i = 0; i < stages.size(); ++i) result[stages[i]] = seconds[i];
  return result;
}

}  // namespace

std::map<std::string, double> slowest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages) {
  std::vector<double> seconds = seconds_of(times, stages);
  comm.max(seconds);
  return named(stages, seconds);
}

std::map<std::string, double> fastest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages) {
  std::vector<double> seconds = seconds_of(times, stages);
  comm.min(seconds);
  return named(stages, seconds);
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

}  // namespace deeppcr::nonlinear
