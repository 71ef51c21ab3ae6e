#pragma once

#include <memory>
#include <string>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::nonlinear {

/// The steps that are corrected together, consecutive ones on consecutive ranks.
struct Section {
  StepRange window;              ///< of all ranks
  parallel::BlockLayout layout;  ///< of the window's steps, counted from its first
  StepRange mine;                ///< this rank's, as steps of the chain
};

/// The linear model of a section by which its states are corrected: the Jacobians themselves, or
/// diagonals from one of four sources, which a scan reduces: of 2 x 2 blocks where these are asked
/// for, or where the model knows such ones.
class ApproximateJacobian {
 public:
  /// The sequence and the communicator must outlive the object. @throws Error where the model does
  /// not know the diagonals asked for
  ApproximateJacobian(const WindowedOptions& options, const parallel::Communicator& comm,
                      const sequence::Sequence& sequence);

  /// out = values of this rank's steps at `in`, and what solve() needs. Shapes: [mine.size(), B,
  /// n].
  void evaluate(const Section& section, ConstStates in, States out);
  /// Turns r into d in place. Collective.
  void solve(const Section& section, States d);
  /// Sent by this rank in the last solve, by level.
  const parallel::TrafficByLevel& level_traffic() const { return solver_->level_traffic(); }

 private:
  bool is_known() const;
  void set_pairs(StepRange range, ConstStates in);
  void known(StepRange range, States D);
  void probe_pairs(const blocks::Linearisation& J, StepRange range, View<Real, 4> columns);
  void probe(const blocks::Linearisation& J, StepRange range, States D);

  Jacobian jacobian_;
  Damping damping_;
  std::uint64_t seed_;
  const parallel::Communicator& comm_;
  const sequence::Sequence& sequence_;
  bool pairs_;  ///< 2 x 2 blocks in place of diagonals
  std::unique_ptr<linear::LinearSolver> solver_;
  Index sweep_ = 0;
  std::unique_ptr<blocks::Linearisation> J_;  ///< of the last evaluation
  Buffer<Real> diagonals_, known_, probe_;
};

}  // namespace deeppcr::nonlinear
