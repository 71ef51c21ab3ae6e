#include "deeppcr/nonlinear/newton.hpp"

#include "newton_snes.hpp"

namespace deeppcr::nonlinear {

Newton::Newton(const parallel::Communicator& comm, const sequence::Sequence& sequence,
               NewtonOptions options)
    : snes_(std::make_unique<NewtonSnes>(comm, sequence, std::move(options))) {}

Newton::~Newton() = default;

SolveReport Newton::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  return snes_->solve(trajectory, monitor);
}

}  // namespace deeppcr::nonlinear
