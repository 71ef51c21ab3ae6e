#pragma once

#include <string>

#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/nonlinear/tolerance.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What the end of every solve is made of.
struct Conclusion {
  bool interrupted = false;
  std::string why_not;  ///< why the states are not right; empty where they are
  Index exact = 0;      ///< leading states with the bits of sequential execution
  bool fallback = true;
  /// Where the states are not right, along what was found in the end.
  bool measures_growth = true;
};

/// "the chain expands .."; for states whose residual is small, but grows.
std::string why_growth(const SolveReport& report, double error);
/// "the states became infinite or NaN after ..".
std::string why_not_finite(const std::string& after);

/// Sets status and reason, and lets sequential execution decide behind the exact states where they
/// are not right and a fallback is allowed: it always ends, and is right wherever the numbers are
/// finite. Merely close states will not do as a start: what is behind them may expand. Collective.
/// Returns the messages that this rank has sent for it.
parallel::Traffic conclude(const Conclusion& conclusion, const Tolerance& tolerance,
                           const sequence::Sequence& chain, sequence::Trajectory& states,
                           SolveReport& report);

/// Largest value of z_0 and of this rank's states, looked at now and then; a NaN stays one to the
/// last state, and gives infinity.
double largest_state(const sequence::Trajectory& states);

/// Fills in what follows where all states come from sequential execution: tolerance, residual and
/// exact states. `largest`: of all ranks' states, by largest_state().
void take_sequential(double largest, Index num_steps, const Tolerance& tolerance,
                     SolveReport& report);
/// The same with status and reason, for a solve that chose sequential execution from the start.
void end_sequential(double largest, Index num_steps, const Tolerance& tolerance,
                    SolveReport& report);

}  // namespace deeppcr::nonlinear
