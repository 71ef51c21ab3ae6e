#include "nonlinear/automatic.hpp"

#include <fmt/format.h>

#include "deeppcr/nonlinear/recording.hpp"

namespace deeppcr::nonlinear {

SolveReport Automatic::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                             const Monitors& monitors) {
  const Problem problem = problem_of(states, static_cast<int>(chain.layers().size()));
  if (!promises_pipeline(problem))
    return (promises_wavefront(problem) ? stacked_ : shooting_).solve(chain, states, monitors);
  // A safe point, the only one.
  Recording recording(states.comm(), monitors, {});
  recording.end(states.states().data());
  if (recording.stopped()) {
    SolveReport stopped;
    stopped.method = "pipeline";
    conclude({true, "", 0, false}, {}, chain, states, stopped);
    return stopped;
  }
  SolveReport report = pipeline_.solve(chain, states, monitors);
  if (states.comm().is_root())
    report.choice = fmt::format(
        "{} samples on {} ranks: a pipeline is exact for any chain, and takes {:.2f} of one rank's "
        "time by formula",
        problem.batch, problem.ranks, PipelinePlan(states.layout(), problem.batch, 0).time_share());
  return report;
}

}  // namespace deeppcr::nonlinear
