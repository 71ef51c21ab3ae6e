#include "deeppcr/nonlinear/newton.hpp"

#include "deeppcr/nonlinear/windowed.hpp"
#include "newton_snes.hpp"

namespace deeppcr::nonlinear {

namespace {

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
  return snes_ ? snes_->solve(trajectory, monitor) : windowed_->solve(trajectory, monitor);
}

}  // namespace deeppcr::nonlinear
