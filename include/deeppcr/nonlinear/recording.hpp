#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::nonlinear {

/// How a solve shows its monitors what all ranks have done: the same for every method.
class Recording {
 public:
  /// stages: the names of what iterations are made of.
  Recording(const parallel::Communicator& comm, Monitors monitors, std::vector<std::string> stages)
      : comm_(comm), monitors_(std::move(monitors)), stages_(std::move(stages)) {}

  /// Whether anybody listens: records that nobody hears need no work.
  bool wanted() const { return !monitors_.empty(); }

  /// One iteration. entry: what is equal on all ranks; now: this rank's seconds since the solve
  /// began; mine: what this rank has sent in the iteration's linear solve. Collective where it is
  /// wanted().
  void iteration(IterationRecord entry, const StageTimes& now, const parallel::TrafficByLevel& mine,
                 const Real* local_states);
  /// Behind the last iteration, before what nobody hears of. Collective where it is wanted().
  void end(const Real* local_states);

  /// In the end: fills report.seconds (stages that took any time, slowest rank; "total" since the
  /// recording began), levels and neighbours with those of all ranks, from this rank's. Collective.
  void add_up(const StageTimes& stages, const parallel::TrafficByLevel& levels,
              const parallel::Traffic& neighbours, SolveReport& report) const;

  /// Whether a monitor has asked to stop.
  bool stopped() const { return stopped_; }

  /// Of a solve that goes on behind so many right steps.
  void begin_behind(Index frozen_prefix) { last_.frozen_prefix = frozen_prefix; }

 private:
  /// Does what the strongest of the answers asks for.
  void follow(Monitor::Action action, const Real* local_states);

  const parallel::Communicator& comm_;
  Monitors monitors_;
  std::vector<std::string> stages_;
  Stopwatch watch_;
  StageTimes before_;
  IterationRecord last_;
  bool stopped_ = false;
};

/// Maximum over ranks of the seconds of the stages named; the names must be the same on all ranks.
/// Collective.
std::map<std::string, double> slowest(const parallel::Communicator& comm, const StageTimes& times,
                                      const std::vector<std::string>& stages);

/// Messages and bytes of all ranks together. Collective.
parallel::Traffic total_traffic(const parallel::Communicator& comm, const parallel::Traffic& mine);
parallel::TrafficByLevel total_traffic(const parallel::Communicator& comm,
                                       const parallel::TrafficByLevel& mine);
/// sum[k] += more[k], for levels of any number.
void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum);

}  // namespace deeppcr::nonlinear
