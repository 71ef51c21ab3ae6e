#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/reduction.hpp"

namespace deeppcr::nonlinear {

/// What ranks have spent and sent, of all of them together: put into a reduction, and read behind
/// it. Stages, and the number of levels, must be the same on all ranks.
class Totals {
 public:
  Totals(parallel::Reduction& together, const StageTimes& times, std::vector<std::string> stages,
         const parallel::TrafficByLevel& levels = {}, const parallel::Traffic& neighbours = {});

  /// Seconds of the stages, the most and the least of any rank.
  std::map<std::string, double> slowest(const parallel::Reduction& together) const;
  std::map<std::string, double> fastest(const parallel::Reduction& together) const;
  /// Messages and bytes of all ranks.
  parallel::TrafficByLevel levels(const parallel::Reduction& together) const;
  parallel::Traffic neighbours(const parallel::Reduction& together) const;

 private:
  std::vector<std::string> stages_;
  Index times_ = 0;    ///< place of the first stage's maximum; its minimum, negated, is behind it
  Index traffic_ = 0;  ///< place of the first sum
  Index levels_ = 0;
};

/// How a solve shows its monitors what all ranks have done: the same for every method.
class Recording {
 public:
  /// stages: the names of what iterations are made of.
  Recording(const parallel::Communicator& comm, Monitors monitors, std::vector<std::string> stages)
      : comm_(comm), monitors_(std::move(monitors)), stages_(std::move(stages)) {}

  /// Whether anybody listens: records that nobody hears need no work.
  bool wanted() const { return !monitors_.empty(); }

  /// Puts what a record needs of all ranks into the reduction of an iteration, where it is
  /// wanted(). step_norm: the largest of this rank; now: this rank's seconds since the solve began;
  /// mine: what this rank has sent in the iteration's linear solve.
  void join(parallel::Reduction& together, double step_norm, const StageTimes& now,
            const parallel::TrafficByLevel& mine);
  /// One iteration, behind that reduction. entry: what is equal on all ranks; the rest is filled
  /// in. Collective where it is wanted().
  void iteration(IterationRecord entry, const parallel::Reduction& together,
                 const Real* local_states);
  /// Behind the last iteration, before what nobody hears of. Collective where it is wanted().
  void end(const Real* local_states);

  /// In the end: fills report.seconds (stages that took any time, slowest rank; "total" since the
  /// recording began), levels and neighbours with those of all ranks, from this rank's. Collective:
  /// one reduction.
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
  std::optional<Totals> totals_;  ///< of the iteration at hand
  Index step_norm_ = 0;           ///< its place
  IterationRecord last_;
  bool stopped_ = false;
};

/// sum[k] += more[k], for levels of any number.
void accumulate(const parallel::TrafficByLevel& more, parallel::TrafficByLevel& sum);

}  // namespace deeppcr::nonlinear
