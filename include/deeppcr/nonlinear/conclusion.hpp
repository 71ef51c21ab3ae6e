#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/view.hpp"
#include "deeppcr/linear/chunk_facts.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What every method holds its states against: each state may be as far from sequential
/// execution's as this allows for the largest state up to it. A tail that has blown up must not
/// excuse wrong states before it.
struct Tolerance {
  double rtol = 1e-10;  ///< relative to the largest state so far
  double atol = 0;
  double limit(double largest) const { return atol + rtol * largest; }
};

/// The limits of the local states by themselves: [m], from the first local step to the last.
/// Infinite or NaN states give an infinite limit from there on. `input` is z_0. Collective.
std::vector<double> limits(const parallel::Communicator& comm, const Tolerance& tolerance,
                           ConstState input, ConstStates states);

/// How far states are from those of sequential execution, as their residuals tell with what these
/// grow to further on: the one rule of what is right.
struct Assessment : linear::Judgement {
  double lyapunov = 0;  ///< average log growth a step
  Index identical = 0;  ///< leading steps without any residual: sequential execution's own bits

  /// Whether the states are within the tolerance. An estimate from one tangent a sample: with a
  /// margin.
  bool right() const;
};

/// Evaluates the chain at its states, all steps of a rank at once, and assesses them: a random
/// tangent a sample is pushed through the Jacobians to measure growth. Adds what this rank sends to
/// `traffic`. Collective.
/// Cost: one linearised evaluation of L/P steps, 2 B n^2 (L/P + 64) flops a rank in a row, three
/// messages of at most B n reals to the right, two scans of some numbers over ranks and a
/// reduction.
Assessment assess(const sequence::Sequence& chain, const sequence::Trajectory& states,
                  const Tolerance& tolerance, parallel::Traffic& traffic);

/// The same from what is known: r [L_local, B, n] and the Jacobians at these states.
Assessment assess(const sequence::Trajectory& states, ConstStates residual,
                  const blocks::Linearisation& A, const Tolerance& tolerance,
                  parallel::Traffic& traffic);

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
