#pragma once

#include <string>

#include "app/interrupts.hpp"
#include "app/progress.hpp"
#include "app/storage.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// Each iteration of a solve is a safe point: shows progress, asks for requests, lets the recorder
/// write, and stops the solve when that was asked for.
///
/// For the tests of the program only: with DEEPPCR_TEST_THROW_ON_RANK=p in the environment rank p
/// throws in iteration 1.
class RunMonitor final : public nonlinear::Monitor {
 public:
  RunMonitor(const parallel::Communicator& comm, Interrupts& interrupts, Progress& progress);

  /// May be missing; must outlive the solve.
  void set_recorder(storage::Recorder* recorder) { recorder_ = recorder; }
  /// Of a run that goes on: what a checkpoint before its first iteration says.
  void begin_behind(Index frozen_prefix) { last_.frozen_prefix = frozen_prefix; }
  /// What the recorder is asked to do at this safe point.
  storage::Wish wish() const;
  Action iteration(const nonlinear::IterationRecord& record, const Real* local_states) override;
  /// Lets go of the signals; what came before is still obeyed.
  Action iterations_end(const Real* local_states) override;

  const std::string& stopped_by() const { return requests_.cause; }

 private:
  const parallel::Communicator& comm_;
  Interrupts& interrupts_;
  Progress& progress_;
  storage::Recorder* recorder_ = nullptr;
  Requests requests_;
  nonlinear::IterationRecord last_;
};

}  // namespace deeppcr::app
