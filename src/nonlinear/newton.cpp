#include "deeppcr/nonlinear/newton.hpp"

#include <algorithm>

#include "deeppcr/nonlinear/windowed.hpp"
#include "newton_snes.hpp"

namespace deeppcr::nonlinear {

namespace {

Index longest_range(const parallel::BlockLayout& layout) {
  Index longest = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) longest = std::max(longest, layout.range(p).size());
  return longest;
}

WindowedOptions windowed_options(const NewtonOptions& newton) {
  WindowedOptions options;
  options.jacobian = newton.jacobian;
  options.rtol = newton.rtol;
  options.atol = newton.atol;
  options.max_iterations = newton.max_iterations;
  options.fallback = newton.fallback;
  return options;
}

}  // namespace

CriticalPath linear_path(const std::string& linear, const parallel::BlockLayout& layout) {
  const auto m = static_cast<double>(longest_range(layout));
  if (linear == "pcr") return {0, m * parallel::ceil_log2(layout.num_steps())};
  if (linear == "hybrid") return {m, m + parallel::ceil_log2(layout.num_active_ranks())};
  return {static_cast<double>(layout.num_steps()), 0};
}

CriticalPath newton_path(const std::string& linear, const parallel::BlockLayout& layout,
                         int iterations) {
  const CriticalPath solve = linear_path(linear, layout);
  const double k = iterations, m = static_cast<double>(longest_range(layout));
  return {(k + 1) * m + k * solve.evaluations, k * solve.products};
}

Newton::Newton(const parallel::Communicator& comm, const sequence::Sequence& sequence,
               NewtonOptions options) {
  if (options.jacobian == Jacobian::dense) {
    snes_ = std::make_unique<NewtonSnes>(comm, sequence, std::move(options));
  } else {
    windowed_ = std::make_unique<Windowed>(comm, sequence, windowed_options(options));
  }
}

Newton::~Newton() = default;

SolveReport Newton::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  if (snes_) return snes_->solve(trajectory, monitor);
  SolveReport report = windowed_->solve(trajectory, monitor);
  // The scans of diagonals cost n a step.
  report.path.evaluations =
      (report.iterations + 1) * static_cast<double>(longest_range(trajectory.layout()));
  return report;
}

}  // namespace deeppcr::nonlinear
