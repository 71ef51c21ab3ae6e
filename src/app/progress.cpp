#include "app/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "app/output.hpp"

namespace deeppcr::app {
namespace {
constexpr double kSecondsBetweenLines = 30;
constexpr double kSecondsBetweenUpdates = 0.2;
}  // namespace

ProgressLine::ProgressLine(bool speaks) : speaks_(speaks), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (line_open_) print_error("\n");
}

bool ProgressLine::is_due() const {
  const double interval = terminal_ ? kSecondsBetweenUpdates : kSecondsBetweenLines;
  return speaks_ && since_line_.seconds() >= interval;
}

void ProgressLine::show(const std::string& line) {
  since_line_.restart();
  print_error(terminal_ ? "\r\033[K" + line : line + "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
}

std::string progress_text(const nonlinear::IterationRecord& record, double seconds,
                          Index max_iterations) {
  const double each = seconds / (record.iteration + 1);
  const std::string text =
      fmt::format("iteration {}  residual {:.2e}  exact states {}  {:.3g} s an iteration",
                  record.iteration, record.residual, record.frozen_prefix, each);
  const Index left = max_iterations - record.iteration;
  return left < 0
             ? text
             : fmt::format("{}  at most {:.0f} s left", text, each * static_cast<double>(left));
}

Progress::Action Progress::iteration(const nonlinear::IterationRecord& record, const Real*) {
  if (line_.is_due()) line_.show(progress_text(record, since_start_.seconds(), max_iterations_));
  return Action::go_on;
}

}  // namespace deeppcr::app
