#pragma once

#include <string>
#include <utility>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::nonlinear {

/// How a solve tells its monitor, and its report, what all ranks have done: the same for every
/// method.
class Recording {
 public:
  /// stages: the names of what iterations are made of. The monitor may be missing.
  Recording(const parallel::Communicator& comm, Monitor* monitor, std::vector<std::string> stages)
      : comm_(comm), monitor_(monitor), stages_(std::move(stages)) {}

  /// Whether anybody listens: records that nobody hears need no work.
  bool wanted() const { return monitor_ != nullptr; }

  /// One iteration. entry: what is equal on all ranks; now: this rank's seconds since the solve
  /// began; mine: what this rank has sent in the iteration's linear solve. Collective where it is
  /// wanted().
  void iteration(IterationRecord entry, const StageTimes& now, const parallel::TrafficByLevel& mine,
                 const Real* local_states);
  /// Behind the last iteration, before what nobody hears of.
  void end(const Real* local_states);

  /// Whether the monitor has asked to stop.
  bool stopped() const { return stopped_; }

 private:
  const parallel::Communicator& comm_;
  Monitor* monitor_;
  std::vector<std::string> stages_;
  StageTimes before_;
  bool stopped_ = false;
};

/// Fills report.seconds (stages that took any time, slowest rank), levels and neighbours with those
/// of all ranks, from this rank's. Collective.
void add_up(const parallel::Communicator& comm, const StageTimes& stages,
            const std::vector<std::string>& names, const parallel::TrafficByLevel& levels,
            const parallel::Traffic& neighbours, SolveReport& report);

/// sum[k] += more[k], for levels of any number.
void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum);

}  // namespace deeppcr::nonlinear
