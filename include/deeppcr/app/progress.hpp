#pragma once

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// One line on stderr that follows the iterations: rewritten in place on a terminal, else a plain
/// line now and then.
class Progress {
 public:
  /// speaks: on rank 0 of a run that is not quiet.
  Progress(bool speaks, int max_iterations);
  /// Ends the line on a terminal.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const nonlinear::IterationRecord& record);

 private:
  bool speaks_;
  bool terminal_;
  bool line_open_ = false;
  int max_iterations_;
  Stopwatch since_start_;
  Stopwatch since_line_;
};

}  // namespace deeppcr::app
