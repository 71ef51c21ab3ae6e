#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/nonlinear/tolerance.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// How far states are from those of sequential execution, as their residuals tell with what these
/// grow to further on: the one rule of what is right.
struct Assessment {
  double residual = 0;    ///< max_l ||f_l(z_{l-1}) - z_l||_inf
  double error = 0;       ///< what the residuals add up and grow to, over the tolerance; estimated
  double tolerance = 0;   ///< atol + rtol max ||z||_inf
  double growth = 0;      ///< log of the most that a change of a state becomes further on
  double lyapunov = 0;    ///< average log growth a step
  Index identical = 0;    ///< leading steps without any residual: sequential execution's own bits
  bool hopeless = false;  ///< rounding alone grows beyond the tolerance

  /// Whether the states are within the tolerance. An estimate from one tangent a sample: with a
  /// margin.
  bool right() const;
  bool finite() const;
};

/// Measures growth along a trajectory: one random tangent a sample is pushed through the Jacobians
/// of each rank's steps, all ranks at once; the first steps of a rank are walked once more with the
/// tangent that its left neighbour ends with, which has turned into the direction that grows.
///
/// Cost: 2 B n^2 (L/P + 64) flops a rank in a row; two messages of at most B n reals to the right,
/// a reduction and a gather of some numbers a rank. Memory: two numbers a step and sample.
/// Source: the tangent is that of Benettin et al., Meccanica 15, 1980.
class GrowthProbe {
 public:
  /// The Jacobians of a range of local steps. Asked for ranges in order, then for the first once
  /// more.
  using Linearise = std::function<const blocks::Linearisation&(StepRange)>;

  explicit GrowthProbe(const sequence::Trajectory& states);

  /// `linearise` fills the residuals() of its range too, unless they are there already. Adds what
  /// this rank sends to `traffic`. Collective.
  Assessment assess(const Tolerance& tolerance, const Linearise& linearise,
                    parallel::Traffic& traffic);

  /// max |r| of the samples of the local steps, [m, B].
  std::vector<double>& residuals() { return residuals_; }

 private:
  void push(const blocks::Linearisation& A, StepRange range, Buffer<Real>& tangent);
  void start(Buffer<Real>& tangent, Index step) const;

  const sequence::Trajectory& states_;
  StepRange local_;
  Index batch_, width_;
  std::vector<double> residuals_, growth_;  ///< [m, B]; growth: log of |A t| / |t|
  Buffer<Real> scratch_;
};

/// Evaluates the chain at its states, all steps of a rank at once, and assesses them. Collective.
/// Cost: that of GrowthProbe and one linearised evaluation of L/P steps.
Assessment assess(const sequence::Sequence& chain, const sequence::Trajectory& states,
                  const Tolerance& tolerance, parallel::Traffic& traffic);

/// The same from what is known: r [L_local, B, n] and the Jacobians at these states.
Assessment assess(const sequence::Trajectory& states, ConstStates residual,
                  const blocks::Linearisation& A, const Tolerance& tolerance,
                  parallel::Traffic& traffic);

}  // namespace deeppcr::nonlinear
