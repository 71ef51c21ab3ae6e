#include "deeppcr/nonlinear/newton.hpp"

#include <algorithm>

#include "newton_snes.hpp"

namespace deeppcr::nonlinear {

CriticalPath newton_path(const std::string& linear, const parallel::BlockLayout& layout,
                         int iterations) {
  Index longest = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) longest = std::max(longest, layout.range(p).size());
  const auto m = static_cast<double>(longest), L = static_cast<double>(layout.num_steps());
  const double k = iterations;
  CriticalPath path{(k + 1) * m, 0};
  if (linear == "pcr") {
    path.products = k * m * parallel::ceil_log2(layout.num_steps());
  } else if (linear == "hybrid") {
    path.evaluations += k * m;
    path.products = k * (m + parallel::ceil_log2(layout.num_active_ranks()));
  } else {
    path.evaluations += k * L;
  }
  return path;
}

Newton::Newton(const parallel::Communicator& comm, const sequence::Sequence& sequence,
               NewtonOptions options)
    : snes_(std::make_unique<NewtonSnes>(comm, sequence, std::move(options))) {}

Newton::~Newton() = default;

SolveReport Newton::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  return snes_->solve(trajectory, monitor);
}

}  // namespace deeppcr::nonlinear
