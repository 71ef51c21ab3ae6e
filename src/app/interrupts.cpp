#include "app/interrupts.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

/// Seconds from the start of the program, set-up included, to the first regular checkpoint: a run
/// that dies early has one too.
constexpr double kFirstSave = 1;
const Stopwatch since_program_start;

std::atomic<int> stop_signal{0};
std::atomic<int> save_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "signal handlers set these");

void note_stop(int signal) { stop_signal = signal; }
void note_save(int) { save_signal = 1; }

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

void throw_for_tests(const parallel::Communicator& comm, int iteration) {
  const char* rank = std::getenv("DEEPPCR_TEST_THROW_ON_RANK");
  if (rank != nullptr && iteration == 1 && std::atoi(rank) == comm.rank())
    throw internal_error("asked to fail by DEEPPCR_TEST_THROW_ON_RANK");
}

std::string in_words(Index signal) {
  return fmt::format("signal {} ({})", signal, signal == SIGTERM ? "SIGTERM" : "SIGUSR1");
}

/// mpirun does not wait for a checkpoint: whoever sent it SIGTERM must know before the file is
/// written.
void warn_of_mpirun(Index signal) {
  const bool by_mpirun = std::getenv("OMPI_UNIVERSE_SIZE") != nullptr;
  const bool patient = std::getenv("OMPI_MCA_odls_base_sigkill_timeout") != nullptr;
  if (signal != SIGTERM || !by_mpirun || patient) return;
  log::warn(
      "SIGTERM: writing a checkpoint. An mpirun that was sent it kills its ranks within seconds; "
      "the checkpoint before stays then. SIGUSR1 to mpirun gives all the time that it takes");
}

}  // namespace

void hold_signals(bool stops) {
  set_handler(SIGUSR2, note_save);
  if (!stops) return;
  set_handler(SIGTERM, note_stop);
  set_handler(SIGUSR1, note_stop);
}

void release_signals() {
  set_handler(SIGTERM, SIG_DFL);
  set_handler(SIGUSR1, SIG_DFL);
}

void stop_before_start(const parallel::Communicator& comm, const std::string& written) {
  const Index signal = comm.max(Index{stop_signal});
  if (signal == 0) return;
  throw Error(
      ExitCode::interrupted, Error::Seen::everywhere,
      fmt::format("stopped by {}: nothing done yet, {}; run the same command again",
                  in_words(signal), written.empty() ? "no file" : "no file but " + written));
}

Interrupts::Interrupts(const parallel::Communicator& comm, const FilesConfig& asked)
    : comm_(comm), asked_(asked) {
  hold_signals(true);
}

bool Interrupts::is_save_due() const {
  if (asked_.minutes_to_save <= 0) return false;
  const double regular = 60 * asked_.minutes_to_save;
  if (saved_) return since_save_.seconds() >= regular;
  return since_program_start.seconds() >= std::min(kFirstSave, regular);
}

Interrupts::Action Interrupts::poll() {
  const std::filesystem::path stop_file = std::filesystem::path(asked_.folder()) / "STOP";
  std::error_code ignored;
  const bool watches = comm_.is_root();
  const bool stop_by_file = watches && std::filesystem::exists(stop_file, ignored);
  const bool stop_by_clock =
      watches && asked_.max_hours > 0 && since_start_.seconds() / 3600 >= asked_.max_hours;
  const bool save = save_signal.exchange(0) != 0 || (watches && is_save_due());
  // asked = [signal, stop file, time limit, save], largest over ranks
  std::vector<double> asked{static_cast<double>(stop_signal), stop_by_file ? 1. : 0.,
                            stop_by_clock ? 1. : 0., save ? 1. : 0.};
  comm_.max(asked);
  const auto signal = static_cast<Index>(asked[0]);
  if (signal != 0) stopped_by_ = in_words(signal);
  if (asked[1] != 0) stopped_by_ = fmt::format("the file {}", stop_file.string());
  if (asked[2] != 0) stopped_by_ = fmt::format("--max-hours {}", asked_.max_hours);
  warn_of_mpirun(signal);
  if (stop_by_file && !std::filesystem::remove(stop_file, ignored))
    log::warn("{} could not be removed; remove it before going on", stop_file.string());
  if (asked[3] != 0) {
    since_save_.restart();
    saved_ = true;
  }
  if (!stopped_by_.empty()) return Action::stop;
  return asked[3] != 0 ? Action::save : Action::go_on;
}

Interrupts::Action Interrupts::iteration(const nonlinear::IterationRecord& record, const Real*) {
  throw_for_tests(comm_, record.iteration);
  return poll();
}

Interrupts::Action Interrupts::iterations_end() {
  release_signals();
  return poll();
}

}  // namespace deeppcr::app
