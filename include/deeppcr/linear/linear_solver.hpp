#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::linear {

/// What one solve costs, by formula. Tests hold the counts of messages and bytes against it.
struct Cost {
  parallel::TrafficByLevel levels;  ///< sent by all ranks together, for each reduction level
  parallel::Traffic neighbours;     ///< the rest: halos and pipelines, all ranks together
  double critical_flops = 0;        ///< on the longest path through the ranks, products weighted
  double sequential_flops = 0;      ///< 2 B n^2 L, for comparison
};

/// The size of one chain problem, as the cost formulas need it.
struct Problem {
  parallel::BlockLayout layout;
  Index batch = 1;
  int width = 1;
  Index frozen = 0;
  /// What a flop in a matrix product counts for in critical_flops, against one in a matrix-vector
  /// product.
  double product_weight = 1;
  /// Steps after which the chain has forgotten what entered, to rounding; nothing: never.
  std::optional<Index> forgetting_steps = {};
};

/// The longest chain of work that had to be done one after another, in steps: what bounds the time
/// on any number of ranks. Sequential execution: L evaluations.
struct CriticalPath {
  double evaluations = 0;  ///< work like one step for the batch, n^2 a sample: values, columns
  double products = 0;     ///< products with n columns a sample, n^3
};

/// Solves the linear system of a chain and its transpose.
///
///     forward    d_l = A_l d_{l-1} + r_l,        l = frozen..L-1,  d = 0 before
///     backward   g_l = A_{l+1}^T g_{l+1} + c_l,  l = L-1..0,       g = 0 behind
///
/// (l counts steps from 0; entry l of d and g belongs to the state after step l.) The backward
/// system is the transpose of the forward one: (I - N)^T g = c.
class LinearSolver {
 public:
  virtual ~LinearSolver() = default;

  /// The name on the command line.
  virtual const char* name() const = 0;

  /// Takes the operator; sets up what depends on layout, batch and width only, and keeps it while
  /// they stay. Collective on J.comm(). J must outlive the solves.
  virtual void setup(const blocks::BlockBidiagonal& J) = 0;

  /// Shapes: r, d, c, g [L_local, B, n]; the output may be the same array as the input. c may have
  /// fewer rows on a rank: those of its last steps, zero before. Collective.
  /// @pre setup()
  virtual void solve(ConstStates r, States d) = 0;
  virtual void solve_transpose(ConstStates c, States g) = 0;

  /// Whether solve_transpose() passes every step of a linearisation that is not repeatable() once
  /// through its substitute(), or through Tuned::substitute_first() and catch_up(), with the right
  /// carry: what else the backward pass needs of a step can then be computed there.
  virtual bool substitutes_once() const { return false; }

  /// Cost of one forward solve by formula. The backward one is its mirror image; what it sends on
  /// top is said with the solver.
  virtual Cost cost(const Problem& problem) const = 0;

  /// Whether its ranks work one after another, as sequential substitution does.
  virtual bool walks_in_a_row() const { return false; }
  /// Whether it sends block rows, B n (n + 1) reals at most each, in one message.
  virtual bool sends_rows(int num_ranks) const { return num_ranks > 1; }

  /// What this rank has sent in the last solve.
  const parallel::TrafficByLevel& level_traffic() const { return levels_; }
  const parallel::Traffic& neighbour_traffic() const { return neighbours_; }
  /// Seconds of this rank since construction, by stage: eliminate, reduce, substitute.
  const StageTimes& stages() const { return stages_; }

 protected:
  parallel::TrafficByLevel levels_;
  parallel::Traffic neighbours_;
  StageTimes stages_;
};

}  // namespace deeppcr::linear
