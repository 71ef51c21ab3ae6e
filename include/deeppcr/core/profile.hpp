#pragma once

#include <chrono>
#include <map>
#include <string>

namespace deeppcr {

/// Seconds since construction or the last restart().
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void restart() { start_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
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
