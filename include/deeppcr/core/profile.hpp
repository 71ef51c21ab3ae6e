#pragma once

#include <map>
#include <string>

namespace deeppcr {

/// The program's one clock: seconds since some moment, never falling.
double clock_seconds();
/// Goes on by another one: MPI's, which a simulator answers with simulated time. Watches that run
/// already stay right.
void use_clock(double (*seconds)());

/// Seconds since construction or the last restart().
class Stopwatch {
 public:
  double seconds() const { return clock_seconds() - start_; }
  void restart() { start_ = clock_seconds(); }

 private:
  double start_ = clock_seconds();
};

/// Seconds by named stage on this rank.
class StageTimes {
 public:
  void add(const std::string& stage, double seconds) { seconds_[stage] += seconds; }
  double get(const std::string& stage) const {
    const auto found = seconds_.find(stage);
    return found == seconds_.end() ? 0.0 : found->second;
  }
  const std::map<std::string, double>& all() const { return seconds_; }

 private:
  std::map<std::string, double> seconds_;
};

/// Adds the time from its construction to its end to one stage.
class StageTimer {
 public:
  StageTimer(StageTimes& times, std::string stage) : times_(times), stage_(std::move(stage)) {}
  ~StageTimer() { times_.add(stage_, watch_.seconds()); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  StageTimes& times_;
  std::string stage_;
  Stopwatch watch_;
};

}  // namespace deeppcr
