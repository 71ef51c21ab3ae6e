#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::nonlinear {

enum class Status { converged, fell_back, failed, interrupted };
const char* to_string(Status status);

/// One iteration as all ranks see it together.
struct IterationRecord {
  int iteration = 0;
  double residual = 0;      ///< max_l ||r_l||_inf before the step of this iteration
  double step_norm = 0;     ///< max ||d||_inf of the step that led here; 0 for iteration 0
  Index frozen_prefix = 0;  ///< leading states that are exact
  int ksp_iterations = 0;
  std::map<std::string, double> seconds = {};      ///< by stage since the last one, slowest rank
  std::map<std::string, double> seconds_min = {};  ///< the same, minimum
  parallel::TrafficByLevel levels = {};            ///< of the linear solve, all ranks together
};

using linear::CriticalPath;

/// How ranks shared a pass as a pipeline, and how long they waited in it.
struct PipelineReport {
  std::string layout;       ///< "contiguous", "interleaved", "samples"; or "wavefront"
  Index micro_batches = 1;  ///< of samples
  Index block_steps = 0;    ///< of the longest block, or chunk
  double idle = 0;          ///< share of all ranks' ticks without work; counted
  double idle_by_formula = 0;
  Index chunks = 0;  ///< of time, that follow each other through layers; else 0
};

/// How a nonlinear solve ended. `converged`: the states are within the tolerance of sequential
/// execution. `fell_back`: they are sequential execution's own. `failed`: sequential execution
/// fails too, or the chain determines no trajectory in this precision and it was not asked.
struct SolveReport {
  Status status = Status::failed;
  std::string method;  ///< the solver that found the states, by its name in the catalogue
  /// What stands behind it: the linear solver that ran (ours by name, or PETSc's as "ksp+pc"), or
  /// the coupling of the chunks.
  std::string linear;
  /// A sentence: what was chosen and why; empty where nothing was to choose. On the root only.
  std::string choice;
  /// Steps in a row and waits as long as steps that the choice expected; 0: none was made.
  double predicted_steps = 0;
  Index chunks = 0;  ///< of shooting; else 0
  CriticalPath path;
  int iterations = 0;
  /// Along the whole trajectory, at what errors grow to: a linearised evaluation and a product of
  /// all steps each, which `path` leaves out.
  int looks = 0;
  double residual = 0;  ///< max_l ||f_l(z_{l-1}) - z_l||_inf of the returned states
  double tolerance =
      0;  ///< atol + rtol max ||z||_inf; each step is held against the states up to it
  Index frozen_prefix = 0;           ///< leading states that nothing is left to correct in
  Index exact_states = 0;            ///< leading states with the very bits of sequential execution
  Index evaluations = 0;             ///< of steps, each for all samples, all ranks together
  Index sequential_evaluations = 0;  ///< those that waited for each other
  /// Average log growth a step of a random vector through the Jacobians; estimated, 0 where no
  /// tangent was pushed.
  double lyapunov = 0;
  /// log of the most that a change of a state becomes further on, along the returned trajectory;
  /// estimated, 0 where nothing had to be.
  double growth = 0;
  std::string reason;  ///< a sentence: why it fell back or failed; empty when converged
  std::map<std::string, double>
      seconds;  ///< by stage, maximum over ranks; "total" is the wall time, each rank's own
  parallel::TrafficByLevel levels;         ///< of all linear solves together, all ranks
  parallel::Traffic neighbours;            ///< halos and pipelines, all ranks
  std::optional<PipelineReport> pipeline;  ///< of a solve that was one
};

/// Hears of each iteration while the solve runs, each a safe point. Called on every rank with the
/// same record, and answers alike on all of them. May write files collectively.
class Monitor {
 public:
  /// What is asked for at a safe point: keep these states and go on, or keep them and end the solve
  /// as `interrupted`. The strongest answer of all monitors counts.
  enum class Action { go_on, save, stop };
  virtual ~Monitor() = default;
  virtual Action iteration(const IterationRecord& record, const Real* local_states) = 0;
  /// After the last iteration, before what nobody hears of (the fallback).
  virtual Action iterations_end() { return Action::go_on; }
  /// One of all monitors has asked to keep these states, of which `record` is the last.
  virtual void save(const IterationRecord& /*record*/, const Real* /*local_states*/) {}
};
/// Those of one solve. They must outlive it.
using Monitors = std::vector<Monitor*>;

}  // namespace deeppcr::nonlinear
