#pragma once

#include <memory>
#include <string>

#include "deeppcr/nonlinear/windowed.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

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
