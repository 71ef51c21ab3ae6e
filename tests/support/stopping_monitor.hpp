#pragma once

#include <vector>

#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::test {

/// Remembers the records and asks to stop at one iteration.
class StoppingMonitor : public nonlinear::Monitor {
 public:
  explicit StoppingMonitor(int stop_at) : stop_at_(stop_at) {}
  Action iteration(const nonlinear::IterationRecord& record, const Real*) override {
    records.push_back(record);
    return record.iteration == stop_at_ ? Action::stop : Action::go_on;
  }
  std::vector<nonlinear::IterationRecord> records;

 private:
  int stop_at_;
};

}  // namespace deeppcr::test
