#include "app/interrupts.hpp"
#include "app/run_commands.hpp"
#include "app/run_report.hpp"
#include "app/run_setup.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::app {
namespace {

Verification verify(const Chain& chain) {
  const SequentialRun sequential = run_sequential(chain);
  const ConstStates ours = chain.trajectory.states();
  const double error = relative_difference(chain.trajectory.comm(), ours.size(), ours.data(),
                                           sequential.trajectory.states().data());
  return {sequential.seconds, {{"states", error}}};
}

}  // namespace

int run_solve(const boost::program_options::variables_map& options, const Context& context) {
  Setup setup = set_up(options, linear::Passes::forward, context);
  RunReport report;
  report.command = "solve";
  report.config = setup.config;
  report.ranks = context.comm.size();
  report.forward = run_forward(setup.chain, setup.config, context);
  const nonlinear::Status status = report.forward.report.status;
  const bool solved =
      status == nonlinear::Status::converged || status == nonlinear::Status::fell_back;
  if (solved && !setup.config.files.output.empty()) {
    const UndisturbedWriting undisturbed;
    storage::Results results;
    results.trajectory = &setup.chain.trajectory;
    storage::save_results(context, setup.config.files.output, results);
  }
  if (solved && setup.config.solver.verify) report.verification = verify(setup.chain);
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

}  // namespace deeppcr::app
