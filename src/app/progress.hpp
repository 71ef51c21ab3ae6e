#pragma once

#include <string>

#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// What the line of a solve says after so many seconds. Where there are more iterations than
/// expected, nobody knows how many are left, and it does not say.
std::string progress_text(const nonlinear::IterationRecord& record, double seconds,
                          Index max_iterations);

/// The line of a solve.
class Progress final : public nonlinear::Monitor {
 public:
  Progress(bool speaks, Index max_iterations) : line_(speaks), max_iterations_(max_iterations) {}

  Action iteration(const nonlinear::IterationRecord& record, const Real*) override;

 private:
  cli::ProgressLine line_;
  Index max_iterations_;
  Stopwatch since_start_;
};

}  // namespace deeppcr::app
