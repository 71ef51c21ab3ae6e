#include "deeppcr/io/solve_recorder.hpp"

namespace deeppcr::io {

SolveRecorder::SolveRecorder(const sequence::Trajectory& trajectory, Trace* trace,
                             CheckpointPlan plan, std::function<Request()> poll)
    : trajectory_(trajectory), trace_(trace), plan_(std::move(plan)), poll_(std::move(poll)) {}

nonlinear::Monitor::Action SolveRecorder::iteration(const nonlinear::IterationRecord& record,
                                                    const Real* local_states) {
  if (trace_ != nullptr) trace_->append(record);
  if (on_iteration) on_iteration(record);
  const Request mine = poll_ ? poll_() : Request::go_on;
  const auto strongest = static_cast<Request>(trajectory_.comm().max(static_cast<Index>(mine)));
  if (strongest == Request::go_on) return Action::go_on;
  if (!plan_.path.empty()) save(record, local_states);
  return strongest == Request::checkpoint_and_stop ? Action::stop : Action::go_on;
}

void SolveRecorder::save(const nonlinear::IterationRecord& record, const Real* local_states) {
  CheckpointContent content;
  content.problem = plan_.problem;
  content.progress = {plan_.iterations_before + record.iteration, record.residual,
                      plan_.seconds_before + watch_.seconds(), record.frozen_prefix};
  content.arrays.push_back(
      state_array(trajectory_.comm(), trajectory_.layout(), trajectory_.input(), local_states));
  save_checkpoint(trajectory_.comm(), plan_.path, plan_.keep, plan_.provenance, content);
  ++checkpoints_written_;
}

}  // namespace deeppcr::io
