#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What a backward pass reads and writes on one rank.
struct BackwardTask {
  const sequence::Sequence& chain;
  const sequence::Trajectory& at;
  ConstStates loss;  ///< explicit gradient by the local states, or by the last of them, [k, B, n]
  States gradient;   ///< the whole gradient by them, [L_local, B, n]
  State input;       ///< by z_0, [B, n], on the rank of the first step
  sequence::ParameterGradients* parameters = nullptr;  ///< null: not wanted
  /// Hears of each range of local steps whose rows are final, from the last to the first.
  std::function<void(StepRange)> ready;

  bool wants_parameters() const { return parameters != nullptr && !parameters->empty(); }
};

/// One way through the backward pass of a chain.
class Backward {
 public:
  virtual ~Backward() = default;

  /// Fills gradient, input and the gradients of parameters: rows of steps are assigned, shared ones
  /// added to, this rank's part. Adds the seconds of linearise, linear and parameters. Collective.
  virtual void run(const BackwardTask& task, StageTimes& stages) = 0;
  /// Whether it can work with such a layout. Default: one range of steps a rank.
  virtual bool takes(const parallel::BlockLayout& layout) const { return layout.is_contiguous(); }
  /// Flops on the longest way through the ranks, and bytes, as of a linear solve.
  virtual linear::Cost cost(const linear::Problem& problem) const = 0;
  /// Whether its ranks work one after another.
  virtual bool walks_in_a_row() const { return false; }

  /// How the last pass went, and what this rank has sent in it.
  virtual linear::SolveOutcome outcome(const parallel::BlockLayout& layout) const = 0;
  virtual std::optional<PipelineReport> pipeline() const { return std::nullopt; }
  virtual parallel::TrafficByLevel levels() const { return {}; }
  virtual parallel::Traffic neighbours() const = 0;
};

struct BackwardSettings {
  linear::Settings linear;
  Index micro_batches = 0;  ///< of a pipeline; 0: by formula
  Index chunk_steps = 0;    ///< of a wavefront; 0: by formula
};
/// By its name, one of backward_names(). @throws Error that lists the known ones
std::unique_ptr<Backward> make_backward(const std::string& name,
                                        const BackwardSettings& settings = {});
/// Those of linear::catalogue(), "pipeline", "wavefront", and "auto": what is predicted to be
/// fastest.
std::vector<std::string> backward_names();
/// @throws Error where it cannot work with this layout of the forward pass
void require_layout(const Backward& backward, const parallel::BlockLayout& layout);

/// What a backward pass took.
struct AdjointReport {
  /// linearise, linear, parameters, total; slowest rank. `parameters` is part of `linear` for
  /// solvers that substitute once, and so are both in a pipeline.
  std::map<std::string, double> seconds;
  parallel::TrafficByLevel levels;  ///< all ranks together
  parallel::Traffic neighbours;
  linear::SolveOutcome outcome;
  std::optional<PipelineReport> pipeline;
};

/// The gradients of a loss of a chain's states, for all callers, again and again. Keeps its work
/// space between calls. Source: DeepPCR, arXiv 2309.16318, sec. 3.1
class Adjoint {
 public:
  /// Hears of each range of local steps (global numbers) as soon as their rows are final: from the
  /// last to the first, each once.
  using Ready = std::function<void(StepRange)>;

  /// Sequence and trajectory must outlive the object. Collective.
  /// @throws Error where the pass cannot work with the trajectory's layout
  Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
          std::unique_ptr<Backward> backward);
  /// By a linear solver of the contract, which must outlive the object.
  Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
          linear::LinearSolver& linear);

  /// At the states of the trajectory, from loss = d loss / d z_l, the explicit part, [L_local, B,
  /// n] or its last rows where those before are zero (a loss of the last state: one row on the last
  /// rank, none elsewhere): fills states(), input() and `parameters`, unless that is null. Rows of
  /// steps are of this rank; shared ones are summed over all steps, equal on all ranks.
  ///
  /// Collective. Cost: that of the backward pass, and a reduction for each shared group.
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
  const sequence::Sequence& sequence_;
  const sequence::Trajectory& trajectory_;
  std::unique_ptr<Backward> backward_;
  Buffer<Real> states_;  ///< [L_local, B, n]
  Buffer<Real> input_;   ///< [B, n]
  StageTimes stages_;
};

}  // namespace deeppcr::nonlinear
