#pragma once

#include <memory>
#include <vector>

#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::sequence {

/// Evaluates r_l = f_l(z_{l-1}) - z_l for the local steps, with its linearisation, in one pass.
///
/// The states each step starts from are kept contiguous, [L_local, B, n]: the left neighbour's last
/// state, then the own states but the last. Used again for every evaluation. A rank
/// holds one range of steps: the layout is contiguous or replicated.
class ResidualEvaluator {
 public:
  ResidualEvaluator(const parallel::Communicator& comm, const Sequence& sequence,
                    const parallel::BlockLayout& layout, Index batch);

  /// z, r: [L_local, B, n]; z0 [B, n]. With `linearise` the derivative is kept as linearisation().
  /// Collective; one message of B n reals to the right, none where the layout is replicated.
  void evaluate(ConstState z0, ConstStates z, States r, bool linearise);

  /// Whether linearisation() belongs to these states. Collective.
  bool is_linearised_at(ConstStates z) const;
  const blocks::Linearisation& linearisation() const { return *linearisation_; }
  /// The same, kept alive beyond the next evaluation.
  std::shared_ptr<const blocks::Linearisation> share_linearisation() const {
    return linearisation_;
  }
  /// The states that the local steps started from in the last evaluation, [L_local, B, n].
  ConstStates starts() const;
  const parallel::Traffic& traffic() const { return traffic_; }

 private:
  /// Fills starts(). Collective.
  void gather_starts(ConstState z0, ConstStates z);

  const parallel::Communicator& comm_;
  const Sequence& sequence_;
  parallel::BlockLayout layout_;
  StepRange local_;
  Index batch_;
  Buffer<Real>
      starts_;  ///< [L_local + 1, B, n]: the left neighbour's last state, then all own ones
  std::shared_ptr<const blocks::Linearisation> linearisation_;
  parallel::Traffic traffic_;
};

/// max_l ||f_l(z_{l-1}) - z_l||_inf over all ranks, evaluated in pieces: O(B n) memory beyond the
/// trajectory. Any layout. NaN counts as infinity. Collective; the messages of
/// Trajectory::starts().
double largest_residual(const Sequence& sequence, const Trajectory& trajectory);

/// Largest |value| of each step: [m]. NaN anywhere in a step gives NaN or infinity, never a finite
/// number.
std::vector<double> step_norms(ConstStates r);

}  // namespace deeppcr::sequence
