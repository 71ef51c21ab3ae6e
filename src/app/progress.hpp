#pragma once

#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// One line on stderr that follows the work: rewritten in place on a terminal, else a plain line
/// now and then.
class ProgressLine {
 public:
  /// speaks: on rank 0 of a run that is not quiet.
  explicit ProgressLine(bool speaks);
  /// Ends the line on a terminal.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Whether it is time for another show().
  bool is_due() const;
  void show(const std::string& line);

 private:
  bool speaks_;
  bool terminal_;
  bool line_open_ = false;
  Stopwatch since_line_;
};

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
  ProgressLine line_;
  Index max_iterations_;
  Stopwatch since_start_;
};

}  // namespace deeppcr::app
