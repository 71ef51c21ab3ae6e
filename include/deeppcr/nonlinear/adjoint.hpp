#pragma once

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// Gradients of a loss of the states, by one transposed linear solve.
struct AdjointReport {
  /// linearise, linear, parameters, total; slowest rank. `parameters` is part of `linear` for
  /// solvers that substitute once.
  std::map<std::string, double> seconds;
  parallel::TrafficByLevel levels;  ///< all ranks together
  parallel::Traffic neighbours;
};

/// From loss_gradient = d loss / d z_l (explicit part, [L_local, B, n], or its last rows where
/// those before are zero: a loss of the last state is one row on the last rank, none elsewhere)
/// computes
///   g_l = d loss / d z_l in total, into state_gradient [L_local, B, n]
///   input_gradient = d loss / d z_0, [B, n], on every rank
///   parameter_gradient [L_local, parameters], when the sequence is parametric and the view is not
///   empty.
/// `linear` may be any solver of the contract; where it substitutes through every step once, the
/// parameter gradients are computed on that way, with the step's data in the caches. Collective.
/// Source: DeepPCR, arXiv 2309.16318, sec. 3.1
AdjointReport adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
                      linear::LinearSolver& linear, ConstStates loss_gradient,
                      States state_gradient, State input_gradient,
                      View<Real, 2> parameter_gradient);

}  // namespace deeppcr::nonlinear
