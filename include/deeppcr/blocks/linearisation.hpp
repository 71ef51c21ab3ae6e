#pragma once

#include "deeppcr/core/view.hpp"

namespace deeppcr::blocks {

/// What is known of a Jacobian's zeros.
enum class Structure { dense, diagonal, scaled_identity };

/// A range of steps to substitute through: what substitute() takes.
struct Strand {
  StepRange range;
  ConstStates rhs;
  States result;
  State carry;
};

/// The derivative of a range of steps at given states: the Jacobians A_l, [n x n] for each step and
/// sample, never stored unless blocks() asks for them.
///
/// Const, touches only its arguments and never communicates. Covers the steps that this rank owns;
/// l is a global index.
class Linearisation {
 public:
  virtual ~Linearisation() = default;

  /// W = A_l V, k columns a sample at once. Shapes: V, W [B, k, n]; V and W do not overlap.
  virtual void jvp(Index l, ConstPanel V, Panel W) const = 0;
  /// W = A_l^T V. Shapes as in jvp().
  virtual void vjp(Index l, ConstPanel V, Panel W) const = 0;

  /// jvp() of each step of a range by itself: W[i] = A_{range.first + i} V[i]. Shapes: V, W [m, B,
  /// k, n]. Default: step by step; where steps share weights it is one product for all.
  virtual void jvp_each(StepRange range, View<const Real, 4> V, View<Real, 4> W) const;
  /// The diagonals of the blocks, D [m, B, n]. Default: jvp_each() on the identity, some steps at a
  /// time. Cost: as blocks().
  virtual void diagonals(StepRange range, States D) const;

  /// Substitution through the steps of a range, in order: d_l = A_l d_{l-1} + r_l. Shapes: rhs and
  /// result [m, B, n], which may be the same array; carry [B, n] is d before the range and becomes
  /// that at its end. Default: jvp() step by step; where a step is short, a tight loop of its own
  /// is worth having.
  virtual void substitute(StepRange range, ConstStates rhs, States result, State carry) const;
  /// The same from the other end: g_l = c_l + carry, then carry = A_l^T g_l. rhs may have fewer
  /// than m rows: those of the last steps, zero before (see row_at()). Default: vjp() step by step.
  virtual void substitute_transposed(StepRange range, ConstStates rhs, States result,
                                     State carry) const;

  /// substitute_transposed() for a rank whose carry another one waits for: what else it computes on
  /// its way, if anything, is left to catch_up() on the same range and result. Default:
  /// substitute_transposed(), and nothing left.
  virtual void substitute_transposed_first(StepRange range, ConstStates rhs, States result,
                                           State carry) const {
    substitute_transposed(range, rhs, result, carry);
  }
  virtual void catch_up(StepRange, ConstStates /*result*/) const {}

  /// substitute_transposed() where right-hand side and carry are zero: result [m, B, n] is zero,
  /// and no step is walked.
  virtual void skip_transposed(StepRange range, States result) const;

  /// substitute() through two ranges of which neither needs the other's result, all rows of rhs
  /// given. Default: one after the other; a short step is mostly waiting for the one before, and
  /// both ranges in turns take hardly longer than one.
  virtual void substitute_both(const Strand& one, const Strand& other) const;
  virtual void substitute_both_transposed(const Strand& one, const Strand& other) const;
  /// Whether these two take clearly less time than one range after the other.
  virtual bool overlaps() const { return false; }

  /// Whether substituting through a step once more does nothing but give its result once more. Not
  /// where substitution computes something else on its way.
  virtual bool repeatable() const { return true; }

  /// Asks for what substitution through these steps reads first, in this direction, to be brought
  /// into this core's cache: at most so many bytes. For a rank that would be idle. Default:
  /// nothing.
  virtual void prefetch(StepRange, Direction, Index /*bytes*/) const {}

  /// Pushes affine maps through the steps of a range, in order: [V | v] <- [A_l V | A_l v + r_l].
  /// Shapes: map and scratch [B, n + 1, n], map is replaced; rhs [m, B, n]. Default: jvp() step by
  /// step. Cost: 2 B n^2 (n + 1) m flops.
  virtual void eliminate(StepRange range, ConstStates rhs, Panel map, Panel scratch) const;
  /// The same from the other end: [V | v] <- A_l^T [V | v + c_l]. rhs may have fewer than m rows.
  virtual void eliminate_transposed(StepRange range, ConstStates rhs, Panel map,
                                    Panel scratch) const;

  virtual Structure structure() const { return Structure::dense; }

  /// The blocks themselves: A [range.size(), B, n, n], each column-major. Default: jvp() on the
  /// identity. Cost: 2 B n^3 flops a step.
  virtual void blocks(StepRange range, Blocks A) const;
};

/// Row i of m when rhs [k, B, n] holds the last k of them; null for the rows before, which are
/// zero. A loss of a chain's last state alone is one row: no pass over an array of zeros.
inline const Real* row_at(ConstStates rhs, Index m, Index i) {
  const Index row = i - (m - rhs.extent(0));
  return row < 0 ? nullptr : rhs.data() + row * rhs.extent(1) * rhs.extent(2);
}

/// The `count` steps of a range that a walk in this direction meets first.
inline StepRange met_first(StepRange range, Direction direction, Index count) {
  if (count >= range.size()) return range;
  if (direction == Direction::forward) return {range.first, range.first + count};
  return {range.last - count, range.last};
}

/// Either of jvp() and vjp(), by the direction in which the chain is walked.
inline void push(const Linearisation& J, Direction direction, Index l, ConstPanel V, Panel W) {
  if (direction == Direction::forward) {
    J.jvp(l, V, W);
  } else {
    J.vjp(l, V, W);
  }
}

}  // namespace deeppcr::blocks
