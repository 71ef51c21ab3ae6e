#include "app/run_solver.hpp"

#include <optional>

#include "app/interrupts.hpp"
#include "app/progress.hpp"
#include "app/solve_files.hpp"

namespace deeppcr::app {
SolverRun run_solver(const cli::Context& context, const RunConfig& config,
                     sequence::Trajectory& trajectory, const Method& method) {
  const FilesConfig& asked = config.files;
  SolverRun run;
  std::optional<Resumed> resumed;
  if (method.iterates) {
    resumed = restart(context, config, trajectory);
    if (!resumed) method.guess();
  }
  const Resumed before = resumed.value_or(Resumed{});
  run.iterations_before = before.iterations;
  SolveFiles files(context, config, resumed ? &*resumed : nullptr, trajectory);
  Interrupts interrupts(context.comm, asked);
  Progress progress(context.comm.is_root() && !context.quiet, method.most_iterations);
  if (!method.iterates) release_signals();
  context.comm.barrier();
  run.report = method.solve(before.frozen_prefix, {&interrupts, &progress, &files});
  const UndisturbedWriting undisturbed;
  files.finish(run.report);
  if (run.report.status == nonlinear::Status::interrupted) {
    run.stopped_by = interrupts.stopped_by();
    run.checkpoint = asked.checkpoint_path();
  }
  return run;
}

}  // namespace deeppcr::app
