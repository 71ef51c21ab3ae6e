#pragma once

#include <algorithm>

#include "deeppcr/core/view.hpp"

namespace deeppcr::blocks {

/// What is known of a Jacobian's zeros, from the least to the most. paired_diagonals: numbers i and
/// i + n / 2 of a state depend on each other alone, 2 x 2 blocks of diagonals.
enum class Structure { dense, paired_diagonals, diagonal, scaled_identity };

class SideWork;

/// The derivative of a range of steps at given states: the Jacobians A_l, [n x n] for each step and
/// sample, never stored unless blocks() asks for them. product() is all that a model must write.
///
/// Forward is A_l, along the chain; backward is A_l^T, from the chain's end. Const, touches only
/// its arguments and never communicates. Covers the steps that this rank owns; l is a global index.
class Linearisation {
 public:
  virtual ~Linearisation() = default;

  /// W = A_l V, backward A_l^T V, k columns a sample at once. Shapes: V, W [B, k, n]; V and W do
  /// not overlap.
  virtual void product(Index l, Direction direction, ConstPanel V, Panel W) const = 0;
  /// product() of each step of a range by itself: W[i] = A_{range.first + i} V[i]. Shapes: V, W [m,
  /// B, k, n]. Default: step by step; where steps share weights it is one product for all.
  virtual void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                            View<Real, 4> W) const;
  /// The diagonals of the blocks, D [m, B, n]. Default: from blocks(), some steps at a time, and
  /// at its cost; where structure() tells more, one product with a column of ones, or two.
  virtual void diagonals(StepRange range, States D) const;
  /// The 2 x 2 blocks of numbers i and i + n / 2, by columns [m, B, 2, n]: what the first half of a
  /// state, and then what the second, contributes to both. False, and nothing is done, where states
  /// have no such halves. Default: by one product where structure() says that there is nothing
  /// else.
  virtual bool paired_diagonals(StepRange range, View<Real, 4> columns) const;

  /// Substitution through the steps of a range:
  ///
  ///     forward    d_l = A_l d_{l-1} + r_l, the carry is d before the range, then d at its end
  ///     backward   g_l = carry + c_l, then carry = A_l^T g_l, from the last step to the first
  ///
  /// Shapes: rhs and result [m, B, n], which may be the same array; carry [B, n]. Backward, rhs may
  /// have fewer than m rows: those of the last steps, zero before (see row_at()). Default:
  /// product() step by step; where a step is short, a tight loop of its own is worth having.
  virtual void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                          State carry) const;

  /// Pushes affine maps through the steps of a range, in the order of the direction:
  ///
  ///     forward    [V | v] <- [A_l V | A_l v + r_l]
  ///     backward   [V | v] <- A_l^T [V | v + c_l]
  ///
  /// Shapes: map and scratch [B, n + 1, n], map is replaced; rhs [m, B, n], backward perhaps with
  /// fewer rows. Default: product() step by step. Cost: 2 B n^2 (n + 1) m flops.
  virtual void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                         Panel scratch) const;

  /// The blocks themselves: A [range.size(), B, n, n], each column-major. Default: product_each()
  /// on the identity. Cost: 2 B n^3 flops a step.
  virtual void blocks(StepRange range, Blocks A) const;

  virtual Structure structure() const { return Structure::dense; }

  /// What else it computes while it is substituted through backward; null: nothing.
  virtual const SideWork* side_work() const { return nullptr; }
};

/// What a linearisation computes besides, step by step, while Linearisation::substitute() passes
/// backward through it: such as parameter gradients. substitute() through a step once more computes
/// it once more.
class SideWork {
 public:
  virtual ~SideWork() = default;

  /// Linearisation::substitute() backward without it, for a rank whose carry another one waits for;
  /// what that left undone, by the result.
  virtual void substitute_first(StepRange range, ConstStates rhs, States result,
                                State carry) const = 0;
  virtual void catch_up(StepRange range, ConstStates result) const = 0;
  /// Where right-hand side and carry are zero: result [m, B, n] is zero, and no step is walked.
  virtual void skip(StepRange range, States result) const = 0;
};

/// Steps first.. of another linearisation, counted from 0; a base for those that change some of its
/// calls. Its side work is not passed on.
class Shifted : public Linearisation {
 public:
  explicit Shifted(const Linearisation& all, Index first = 0) : all_(all), first_(first) {}

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    all_.product(l + first_, direction, V, W);
  }
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    all_.product_each(shift(range), direction, V, W);
  }
  void diagonals(StepRange range, States D) const override { all_.diagonals(shift(range), D); }
  bool paired_diagonals(StepRange range, View<Real, 4> columns) const override {
    return all_.paired_diagonals(shift(range), columns);
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    all_.substitute(shift(range), direction, rhs, result, carry);
  }
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    all_.eliminate(shift(range), direction, rhs, map, scratch);
  }
  void blocks(StepRange range, Blocks A) const override { all_.blocks(shift(range), A); }
  Structure structure() const override { return all_.structure(); }

 protected:
  const Linearisation& all() const { return all_; }

 private:
  StepRange shift(StepRange range) const { return {range.first + first_, range.last + first_}; }

  const Linearisation& all_;
  Index first_;
};

/// SideWork's calls for any linearisation and direction.
void substitute_first(const Linearisation& A, StepRange range, Direction direction, ConstStates rhs,
                      States result, State carry);
void catch_up(const Linearisation& A, StepRange range, Direction direction, ConstStates result);
void skip(const Linearisation& A, StepRange range, Direction direction, States result);

/// Row i of m when rhs [k, B, n] holds the last k of them; null for the rows before, which are
/// zero. A loss of a chain's last state alone is one row: no pass over an array of zeros.
inline const Real* row_at(ConstStates rhs, Index m, Index i) {
  const Index row = i - (m - rhs.extent(0));
  return row < 0 ? nullptr : rhs.data() + row * rhs.extent(1) * rhs.extent(2);
}

/// Rows [from, to) of m, again the last of them, when rhs holds the last ones.
inline ConstStates rows_at(ConstStates rhs, Index m, Index from, Index to) {
  const Index silent = m - rhs.extent(0);
  return rhs.slice(std::max(from, silent) - silent, std::max(to, silent) - silent);
}

}  // namespace deeppcr::blocks
