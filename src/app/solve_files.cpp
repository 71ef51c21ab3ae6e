#include "app/solve_files.hpp"

#include <algorithm>
#include <cmath>

#include "app/files.hpp"
#include "app/same_run.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

/// Refuses a checkpoint that starts from other samples: its z_0 is not the run's.
void require_same_input(const std::string& path, const Buffer<Real>& expected, ConstState stored) {
  constexpr double kSame = 1e-12;
  double largest = 0, difference = 0;
  for (Index i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - stored.data()[i]));
  }
  if (difference <= kSame * largest) return;
  throw input_error(
      "--restart {}: it starts from another z_0; give the --seed, --data and --input "
      "of the run that wrote it",
      path);
}

}  // namespace

std::optional<Resumed> restart(const cli::Context& context, const RunConfig& config,
                               sequence::Trajectory& trajectory) {
  const auto path = config.files.restart_path(context.comm);
  if (!path) return std::nullopt;
  const io::Checkpoint checkpoint(context.comm, *path);
  checkpoint.require(config.chain.problem());
  const std::string stored = checkpoint.configuration();
  require_same_run(context.comm, *path, stored, context.configuration);
  const State z0 = trajectory.input();
  Buffer<Real> expected(z0.size());
  std::copy(z0.begin(), z0.end(), expected.begin());
  checkpoint.read_state(trajectory);
  trajectory.touched();
  require_same_input(*path, expected, z0);
  const io::Progress& progress = checkpoint.progress();
  log::info("going on from {}: iteration {}, residual {:.3e}", *path, progress.iteration,
            progress.residual);
  // What was exact enough may not be so now.
  const bool as_exact = same_option(stored, context.configuration, "tolerance");
  return Resumed{progress.iteration, progress.elapsed_seconds,
                 as_exact ? progress.frozen_prefix : 0};
}

SolveFiles::SolveFiles(const cli::Context& context, const RunConfig& config, const Resumed* before,
                       const sequence::Trajectory& trajectory)
    : trajectory_(trajectory),
      checkpoint_(config.files.checkpoint_path()),
      about_(provenance(context)),
      problem_(config.chain.problem()),
      before_(before != nullptr ? *before : Resumed{}),
      selection_(io::StateSelection::parse(config.files.trace_states)) {
  if (config.files.trace.empty()) return;
  io::TraceHeader header;
  header.provenance = about_;
  header.problem = problem_;
  header.layout = trajectory.layout();
  header.stages = config.solver.make()->stages();
  if (header.stages.empty()) header.stages = {"total"};
  header.states = selection_;
  if (before != nullptr) header.iterations_before = before->iterations;
  trace_.emplace(context.comm, config.files.trace, header);
}

void SolveFiles::save(const nonlinear::IterationRecord& record, const Real* local_states) {
  const parallel::Communicator& comm = trajectory_.comm();
  io::CheckpointContent content;
  content.problem = problem_;
  content.progress = {before_.iterations + record.iteration, record.residual,
                      before_.seconds + watch_.seconds(), record.frozen_prefix};
  content.arrays.push_back(
      io::state_array(comm, trajectory_.layout(), trajectory_.input(), local_states));
  io::save_checkpoint(comm, checkpoint_, about_, content);
}

void SolveFiles::finish(const nonlinear::SolveReport& report) {
  if (!trace_) return;
  trace_->outcome(report, parallel::Runtime::unused_petsc_options());
  if (selection_.kind != io::StateSelection::Kind::none) trace_->states(trajectory_);
  trace_->close();
}

}  // namespace deeppcr::app
