#pragma once

#include <memory>
#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

/// Which matrices M_l stand for the Jacobians in the correction d_l = M_l d_{l-1} + r_l. The
/// residual is exact, so all end in the sequential trajectory; the choice changes the number of
/// sweeps.
///
///     dense        the Jacobians themselves: Newton
///     diagonal     their diagonals, from n products each
///     probe        the same estimated from one random column: v .* (A v)
///     linear_part  what the model says is linear in its steps, no evaluation (Picard's iteration)
///     gaussian     what the Jacobians of a denoiser would be for Gaussian data, no evaluation
enum class Jacobian { dense, diagonal, probe, linear_part, gaussian };
/// "linear-part" and so on, as the command line has it.
const char* name(Jacobian jacobian);
/// @throws Error that lists the known names
Jacobian jacobian_from(const std::string& name);

/// The steps that are corrected together, consecutive ones on consecutive ranks.
struct Section {
  StepRange window;  ///< of all ranks
  StepRange mine;    ///< of this rank
  /// The ranks that have any; all of them between have some.
  int first = 0;
  int last = -1;
};

/// The linear model of a section by which its states are corrected.
class ApproximateJacobian {
 public:
  virtual ~ApproximateJacobian() = default;

  /// out = values of this rank's steps at `in`, and what solve() needs. Shapes: [mine.size(), B,
  /// n].
  virtual void evaluate(const Section& section, ConstStates in, States out) = 0;
  /// Turns r into d in place. Collective over the section's ranks.
  virtual void solve(const Section& section, States d) = 0;
  /// Sent by this rank in the last solve, by level.
  virtual const parallel::TrafficByLevel& level_traffic() const = 0;
};

/// linear: the solver for `dense`, a name from linear::catalogue(). The sequence and the
/// communicator must outlive the result. @throws Error where the model does not know the diagonals
/// asked for
std::unique_ptr<ApproximateJacobian> make_jacobian(Jacobian jacobian, const std::string& linear,
                                                   std::uint64_t seed,
                                                   const parallel::Communicator& comm,
                                                   const sequence::Sequence& sequence);

}  // namespace deeppcr::nonlinear
