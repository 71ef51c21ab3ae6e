#pragma once

#include <optional>
#include <string>

#include "deeppcr/plan/chunks.hpp"
#include "nonlinear/shooting_work.hpp"

namespace deeppcr::nonlinear {

/// A look at the first steps of all chunks, and the method that follows from it.
///
/// The chain's first chunk has no tangent to push: its rank sweeps on while the others do, since
/// those states are right whatever is chosen.
class ShootingProbe {
 public:
  /// Steps of each chunk that are looked at.
  static constexpr Index kSteps = 128;

  ShootingProbe(ShootingWork& work, const ShootingOptions& options)
      : work_(work), options_(options) {}

  /// Collective.
  plan::ChunkPlan::Method choose();
  /// A block more of the chain's first chunk; for the time in which others are waited for. False
  /// at the end of what may be done.
  bool sweep_on();
  /// Leading steps of the chain that are right already, on the rank that has them; where others
  /// only ask whether something is left for them, the least that they can be.
  Index right_steps() const;
  /// The choice in a sentence; on the root only, and once it is made. Takes as long as many short
  /// steps: for a rank that waits.
  const std::string& sentence();

 private:
  ShootingWork& work_;
  const ShootingOptions& options_;
  plan::ChunkProblem problem_;
  std::optional<plan::ChunkPlan> plan_;
  std::string sentence_;
};

}  // namespace deeppcr::nonlinear
