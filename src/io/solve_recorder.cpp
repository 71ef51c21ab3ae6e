#include "deeppcr/io/solve_recorder.hpp"

namespace deeppcr::io {

SolveRecorder::SolveRecorder(const sequence::Trajectory& trajectory, Trace* trace,
                             CheckpointPlan plan)
    : trajectory_(trajectory), trace_(trace), plan_(std::move(plan)) {}

nonlinear::Monitor::Action SolveRecorder::iteration(const nonlinear::IterationRecord& record,
                                                    const Real*) {
  if (trace_ != nullptr) trace_->append(record);
  return Action::go_on;
}

void SolveRecorder::save(const nonlinear::IterationRecord& record, const Real* local_states) {
  if (plan_.path.empty()) return;
  CheckpointContent content;
  content.problem = plan_.problem;
  content.progress = {plan_.iterations_before + record.iteration, record.residual,
                      plan_.seconds_before + watch_.seconds(), record.frozen_prefix};
  content.arrays.push_back(
      state_array(trajectory_.comm(), trajectory_.layout(), trajectory_.input(), local_states));
  save_checkpoint(trajectory_.comm(), plan_.path, plan_.provenance, content);
}

}  // namespace deeppcr::io
