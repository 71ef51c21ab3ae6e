#pragma once

#include <string>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/linear/cost.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/log_event.hpp"

namespace deeppcr::linear {

/// What a solver may be told; each takes what concerns it.
struct Settings {
  double rtol = 1e-10;  ///< of the result, relative to its largest entry: for those that iterate
  Index chunks = 0;     ///< 0: one a rank
  /// May end as another method where that is predicted to be faster.
  bool may_choose = false;
};

/// How the last solve went.
struct SolveOutcome {
  std::string method;  ///< what ran: the solver's name, or more of it, such as "shooting+gmres"
  std::string reason;  ///< why another method finished; empty otherwise
  Index chunks = 0;
  int sweeps = 0;       ///< over all chunks, those of Krylov vectors included; 0 for direct solvers
  double residual = 0;  ///< largest mismatch that is left, over the largest entry
  CriticalPath path;
  /// Steps in a row and waits as long as steps that the choice of a method expected; 0: none made.
  double predicted_steps = 0;
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
  void setup(const blocks::BlockBidiagonal& J) {
    J_ = &J;
    prepare();
  }

  /// Shapes: r, d, c, g [L_local, B, n]; the output may be the same array as the input. c may have
  /// fewer rows on a rank: those of its last steps, zero before. Collective.
  /// @pre setup()
  void solve(ConstStates r, States d) { solve(Direction::forward, r, d); }
  void solve_transpose(ConstStates c, States g) { solve(Direction::backward, c, g); }
  void solve(Direction direction, ConstStates rhs, States result) {
    const petsc::LogEvent event(std::string("linear.") + name());
    neighbours_ = {};
    levels_.clear();
    run(direction, rhs, result);
  }

  /// Whether solve_transpose() passes every step once through substitute(), or through
  /// substitute_first() and catch_up(), with the right carry: a blocks::SideWork is then done
  /// there.
  virtual bool substitutes_once() const { return false; }
  /// Whether at least its last pass through each step is such a one: what else was computed on the
  /// way is then right in the end, and not before.
  virtual bool substitutes_right_last() const { return substitutes_once(); }

  /// Cost of one forward solve by formula. The backward one is its mirror image; what it sends on
  /// top is said with the solver.
  virtual Cost cost(const Problem& problem) const = 0;
  /// Work in a row of one solve, as cost() has it; asked for behind each solve, so that solvers of
  /// many ranks say it in O(log P).
  virtual CriticalPath path(const parallel::BlockLayout& layout) const {
    return cost({layout}).path;
  }
  /// Of the result, relative to its largest entry; 0: to rounding.
  virtual double tolerance() const { return 0; }

  /// How the last solve went, on this layout. Default: all by this method.
  virtual SolveOutcome report(const parallel::BlockLayout& layout) const {
    return {name(), "", 0, 0, 0, path(layout)};
  }

  /// Whether its ranks work one after another, as sequential substitution does.
  virtual bool walks_in_a_row() const { return false; }

  /// What this rank has sent in the last solve; as many levels on all ranks.
  const parallel::TrafficByLevel& level_traffic() const { return levels_; }
  const parallel::Traffic& neighbour_traffic() const { return neighbours_; }
  /// Seconds of this rank since construction, by stage: eliminate, reduce, substitute.
  const StageTimes& stages() const { return stages_; }

 protected:
  /// What setup() does with J_.
  virtual void prepare() {}
  virtual void run(Direction direction, ConstStates rhs, States result) = 0;

  /// What there is to solve for on this rank, and which ranks have something.
  struct Part {
    StepRange range;
    ConstStates rhs;
    States result;
    int first_rank = 0, last_rank = -1;
    int position = 0;  ///< of this rank among them, along the direction
    int count() const { return last_rank - first_rank + 1; }
  };
  /// The steps of a direction; forward those that are not frozen: the others' results become zero.
  Part active_part(Direction direction, ConstStates rhs, States result) const;

  const blocks::BlockBidiagonal* J_ = nullptr;
  parallel::TrafficByLevel levels_;
  parallel::Traffic neighbours_;
  StageTimes stages_;
};

}  // namespace deeppcr::linear
