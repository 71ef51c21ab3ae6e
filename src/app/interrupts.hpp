#pragma once

#include <string>

#include "app/config.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// From here on SIGUSR2 ends nothing. Where `stops`, SIGTERM and SIGUSR1 are held too, for the
/// first safe point. For the start of main: a signal may come before MPI is up.
void hold_signals(bool stops);

/// Before the first step and the first file: ends the run where a stop was asked for by a signal.
/// Collective.
/// @throws Error with exit code 85 on all ranks. `written`: what is on disk by now, if anything
void stop_before_start(const parallel::Communicator& comm, const std::string& written = "");

/// From here on SIGTERM and SIGUSR1 end the process at once: for work without safe points.
void release_signals();

/// Holds SIGTERM and SIGUSR1 while results are written, which is the end of a run: they change
/// nothing then. Afterwards they end the process at once.
class UndisturbedWriting {
 public:
  UndisturbedWriting() { hold_signals(true); }
  ~UndisturbedWriting() { release_signals(); }
  UndisturbedWriting(const UndisturbedWriting&) = delete;
  UndisturbedWriting& operator=(const UndisturbedWriting&) = delete;
};

/// Requests from outside a running solve, agreed on by all ranks:
///   SIGTERM, SIGUSR1 on any rank, a file named STOP in the run's folder, --max-hours -> stop
///   SIGUSR2 on any rank, --checkpoint-every                                     -> save
/// Signals that came before the object was made count. Holds them until the iterations of a solve
/// that it monitors end, or to the end of the program. One at a time.
///
/// For the tests of the program only: with DEEPPCR_TEST_THROW_ON_RANK=p in the environment rank p
/// throws in iteration 1.
class Interrupts final : public nonlinear::Monitor {
 public:
  Interrupts(const parallel::Communicator& comm, const FilesConfig& asked);
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// What is asked for at this safe point. A STOP file that was seen is removed, so that the run
  /// can go on later. Collective: one reduction of four numbers.
  Action poll();
  /// A poll() for each iteration of a solve.
  Action iteration(const nonlinear::IterationRecord& record, const Real*) override;
  /// From here on SIGTERM and SIGUSR1 end the process at once; SIGUSR2 is ignored, since there is
  /// nothing to save. What came before still counts.
  Action iterations_end() override;
  /// What asked to stop; empty where nothing has.
  const std::string& stopped_by() const { return stopped_by_; }

 private:
  bool is_save_due() const;

  const parallel::Communicator& comm_;
  FilesConfig asked_;
  std::string stopped_by_;
  Stopwatch since_start_;
  Stopwatch since_save_;
  bool saved_ = false;
};

}  // namespace deeppcr::app
