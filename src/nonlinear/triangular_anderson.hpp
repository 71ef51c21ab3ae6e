#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/nonlinear/windowed.hpp"

namespace deeppcr::nonlinear {

/// Anderson acceleration of sweeps z <- z + d(z) over a window of states, in which no state is
/// changed by what later ones do. For state l of a sample, with the last m changes from sweep to
/// sweep, D of its corrections and Z of itself:
///
///     gamma_l = argmin over gamma of sum_{k <= l} |d_k - sum_j gamma_j D_kj|^2
///     d_l <- d_l - sum_j gamma_lj (Z_lj + D_lj)
///
/// A state that enters the window has no changes yet: it is corrected by d_l as it is. Every rank
/// does it for all of the window, with the same sums whatever the number of ranks.
/// Cost:    m (m + 7) flops a number of the window's states, m^3 / 3 a state; no messages
/// Source:  ParaTAA, arXiv 2402.09970, sec. 3
class TriangularAnderson {
 public:
  /// window: steps at most; history: m, from 1 to kMostHistory.
  TriangularAnderson(int history, Index window, Index batch, Index width);
  /// Numbers that it keeps for each of the window's.
  static int numbers(int history) { return 2 * (history + 1); }

  /// The states behind a window's steps and what the sweep's linear solve has found for them.
  /// Windows of one object begin and end no earlier than those before. Shapes: z, d [m, B, n]
  void observe(StepRange window, ConstStates z, ConstStates d);
  /// Changes corrections of the window observed, those of the steps from `first` on. Shape: d as it
  /// was observed.
  void accelerate(Index first, States d) const;

 private:
  Index slot(Index l) const { return l % capacity_; }
  const Real* changes(const Buffer<Real>& of, Index l, int j) const {
    return of.data() + (slot(l) * history_ + j) * row_;
  }
  Real* changes(Buffer<Real>& of, Index l, int j) const {
    return of.data() + (slot(l) * history_ + j) * row_;
  }

  int history_;
  Index capacity_, batch_, width_, row_;
  StepRange window_;                        ///< observed last
  int newest_ = 0;                          ///< column of the last change
  Buffer<Real> of_correction_, of_target_;  ///< D and Z + D [capacity, m, B, n], steps in turns
  Buffer<Real> correction_, target_;        ///< d and z + d, the last [capacity, B, n]
};

}  // namespace deeppcr::nonlinear
