#pragma once

#include <optional>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::app {

/// Where an earlier run stopped.
struct Resumed {
  Index iterations = 0;
  double seconds = 0;
  Index frozen_prefix = 0;  ///< steps done with; 0 where --tolerance was another
};
/// Fills the states from the checkpoint of --restart; "auto" takes the newest intact one, and
/// nothing where there is none. Collective.
/// @throws Error when it belongs to another chain or to other samples
std::optional<Resumed> restart(const cli::Context& context, const RunConfig& config,
                               sequence::Trajectory& trajectory);

/// Trace and checkpoints of one solve, as the options and its monitors ask for them. All calls are
/// collective.
class SolveFiles final : public nonlinear::Monitor {
 public:
  SolveFiles(const cli::Context& context, const RunConfig& config, const Resumed* before,
             const sequence::Trajectory& trajectory);
  Action iteration(const nonlinear::IterationRecord& record, const Real*) override {
    if (trace_) trace_->append(record);
    return Action::go_on;
  }
  void save(const nonlinear::IterationRecord& record, const Real* local_states) override;
  /// Ends the trace with the outcome and the selected states.
  void finish(const nonlinear::SolveReport& report);

 private:
  const sequence::Trajectory& trajectory_;
  std::string checkpoint_;
  io::Provenance about_;
  io::Problem problem_;
  Resumed before_;
  io::StateSelection selection_;
  std::optional<io::Trace> trace_;
  Stopwatch watch_;
};

}  // namespace deeppcr::app
