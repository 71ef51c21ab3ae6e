#include "deeppcr/app/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace deeppcr::app {
namespace {
constexpr double kSecondsBetweenLines = 30;
constexpr double kSecondsBetweenUpdates = 0.2;
}  // namespace

ProgressLine::ProgressLine(bool speaks) : speaks_(speaks), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (line_open_) fmt::print(stderr, "\n");
}

bool ProgressLine::is_due() const {
  const double interval = terminal_ ? kSecondsBetweenUpdates : kSecondsBetweenLines;
  return speaks_ && since_line_.seconds() >= interval;
}

void ProgressLine::show(const std::string& line) {
  since_line_.restart();
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
}

void Progress::show(const nonlinear::IterationRecord& record) {
  if (!line_.is_due()) return;
  const double each = since_start_.seconds() / (record.iteration + 1);
  line_.show(fmt::format(
      "iteration {}  residual {:.2e}  exact states {}  {:.3g} s an iteration  at most {:.0f} s "
      "left",
      record.iteration, record.residual, record.frozen_prefix, each,
      each * static_cast<double>(std::max<Index>(0, max_iterations_ - record.iteration))));
}

}  // namespace deeppcr::app
