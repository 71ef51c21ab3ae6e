#pragma once

#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"

namespace deeppcr::linear {

/// What a rank does that would wait for its carry: it substitutes through its part from zero. A
/// chain that forgets leaves only the first states to be done again with the real carry: until
/// they are what they were, to rounding: within epsilon of the largest entry of each sample, or of
/// each entry where the Jacobians are diagonal. From there on both would differ by no more than one
/// rounding does, however much later steps enlarge it.
///
/// Whether it is worth it is guessed from one vector pushed through the first steps; a wrong guess
/// costs time, never accuracy.
class Speculation {
 public:
  Speculation(Index batch, int width);

  /// Whether to speculate on `steps` of a chain that forgets within so many, while the rank before
  /// substitutes through `ahead`. Not where the carry would be there sooner than the guess.
  static bool pays(double forgetting_steps, Index steps, Index ahead);

  /// Substitutes through a part from a zero carry, if that pays by what the chain seems to be.
  /// Returns whether it did. `part.carry` is only written to. Right-hand side and result may be the
  /// same array: then a copy of the former is kept, B n reals a step.
  /// Cost: 2 B n^2 m flops.
  bool guess(const blocks::Linearisation& A, Direction direction, const blocks::Strand& part,
             Index ahead);

  /// Substitutes again with the real `part.carry`, as far as that changes anything. Returns the
  /// number of steps. @pre guess() returned true for the same part.
  Index correct(const blocks::Linearisation& A, Direction direction, const blocks::Strand& part);

 private:
  /// Steps after which a unit vector is below rounding, by its decay over the first ones.
  double forgetting_steps(const blocks::Linearisation& A, Direction direction, StepRange range,
                          State carry);
  ConstStates kept(const blocks::Strand& part) const;

  Index batch_;
  int width_;
  Buffer<Real> start_;    ///< the vector pushed along, [B, n]
  Buffer<Real> rows_;     ///< its way, [kProbe, B, n]
  Buffer<Real> guessed_;  ///< the last state of a piece as guessed, [B, n]
  Buffer<Real> kept_;     ///< a right-hand side that was overwritten, [m, B, n]
};

}  // namespace deeppcr::linear
