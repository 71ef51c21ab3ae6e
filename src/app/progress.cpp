#include "deeppcr/app/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace deeppcr::app {
namespace {
constexpr double kSecondsBetweenLines = 30;
constexpr double kSecondsBetweenUpdates = 0.2;
}  // namespace

Progress::Progress(bool speaks, int max_iterations)
    : speaks_(speaks), terminal_(isatty(STDERR_FILENO) != 0), max_iterations_(max_iterations) {}

Progress::~Progress() {
  if (line_open_) fmt::print(stderr, "\n");
}

void Progress::show(const nonlinear::IterationRecord& record) {
  const double interval = terminal_ ? kSecondsBetweenUpdates : kSecondsBetweenLines;
  if (!speaks_ || since_line_.seconds() < interval) return;
  since_line_.restart();
  const double each = since_start_.seconds() / (record.iteration + 1);
  const std::string line = fmt::format(
      "iteration {}  residual {:.2e}  exact states {}  {:.3g} s an iteration  at most {:.0f} s "
      "left",
      record.iteration, record.residual, record.frozen_prefix, each,
      each * (max_iterations_ - record.iteration));
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
}

}  // namespace deeppcr::app
