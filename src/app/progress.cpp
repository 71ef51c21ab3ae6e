#include "app/progress.hpp"

#include <fmt/format.h>

namespace deeppcr::app {

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
