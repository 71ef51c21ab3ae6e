#pragma once

#include <functional>
#include <map>
#include <string>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What a backward pass took.
struct AdjointReport {
  /// linearise, linear, parameters, total; slowest rank. `parameters` is part of `linear` for
  /// solvers that substitute once.
  std::map<std::string, double> seconds;
  parallel::TrafficByLevel levels;  ///< all ranks together
  parallel::Traffic neighbours;
};

/// The backward pass of a chain, for all callers: gradients of a loss of its states by one
/// transposed linear solve, again and again. Keeps its work space between calls.
/// Source: DeepPCR, arXiv 2309.16318, sec. 3.1
class Adjoint {
 public:
  /// Hears of each range of local steps (global numbers) as soon as their rows are final: from the
  /// last to the first, each once.
  using Ready = std::function<void(StepRange)>;

  /// All must outlive the object. `linear` may be any solver of the contract. Collective.
  Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
          linear::LinearSolver& linear);

  /// At the states of the trajectory, from loss = d loss / d z_l, the explicit part, [L_local, B,
  /// n] or its last rows where those before are zero (a loss of the last state: one row on the last
  /// rank, none elsewhere): fills states(), input() and `parameters`, unless that is null. Rows of
  /// steps are of this rank; shared ones are summed over all steps, equal on all ranks.
  ///
  /// Collective. Cost: a linearisation, a transposed linear solve and a reduction for each shared
  /// group. Where the solver substitutes once and no group is shared, parameter gradients are
  /// computed on its way, with the step's data in the caches; else behind it.
  void solve(ConstStates loss, sequence::ParameterGradients* parameters = nullptr,
             const Ready& ready = {});

  /// g_l = d loss / d z_l in total, [L_local, B, n].
  ConstStates states() const { return {states_.data(), trajectory_.states().shape()}; }
  /// d loss / d z_0 through the chain, [B, n], on the rank that owns the first step; zero for a
  /// chain without steps.
  ConstState input() const { return {input_.data(), trajectory_.input().shape()}; }
  /// Gives input() to every rank. Collective.
  void share_input();

  /// Of the last solve() on this rank: linearise, linear, parameters, total.
  const StageTimes& stages() const { return stages_; }
  /// Of the last solve(). Collective.
  AdjointReport report() const;

 private:
  void sum_shared(sequence::ParameterGradients& parameters) const;

  const sequence::Sequence& sequence_;
  const sequence::Trajectory& trajectory_;
  linear::LinearSolver& linear_;
  blocks::BlockBidiagonal J_;
  Buffer<Real> states_;  ///< [L_local, B, n]
  Buffer<Real> input_;   ///< [B, n]
  StageTimes stages_;
};

}  // namespace deeppcr::nonlinear
