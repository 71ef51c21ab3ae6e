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

/// A signal to stop, agreed on by all ranks: [signal, rank + 1, ranks - rank] where there is one,
/// else zeros; the largest of each.
std::vector<double> stop_numbers(const parallel::Communicator& comm) {
  const int signal = stop_signal;
  if (signal == 0) return {0, 0, 0};
  return {static_cast<double>(signal), comm.rank() + 1.0, double{1} * comm.size() - comm.rank()};
}

/// "signal 15 (SIGTERM) on rank 1"; a signal to mpirun comes on all ranks.
std::string signal_in_words(const parallel::Communicator& comm, const double* numbers) {
  const int signal = static_cast<int>(numbers[0]);
  const int last = static_cast<int>(numbers[1]) - 1;
  const int first = comm.size() - static_cast<int>(numbers[2]);
  const char* name = signal == SIGTERM ? "SIGTERM" : "SIGUSR1";
  const std::string where =
      first == last ? fmt::format("rank {}", first) : fmt::format("ranks {} to {}", first, last);
  return fmt::format("signal {} ({}) on {}", signal, name, where);
}

/// mpirun does not wait for a checkpoint: whoever sent it SIGTERM must know before the file is
/// written.
void warn_of_mpirun(int signal) {
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
  std::vector<double> asked = stop_numbers(comm);
  comm.max(asked);
  if (asked[0] == 0) return;
  throw Error(ExitCode::interrupted, Error::Seen::everywhere,
              fmt::format("stopped by {}: nothing done yet, {}; run the same command again",
                          signal_in_words(comm, asked.data()),
                          written.empty() ? "no file" : "no file but " + written));
}

Interrupts::Action Interrupts::answer() {
  requests_ = poll();
  if (requests_.stop) return Action::stop;
  return requests_.save ? Action::save : Action::go_on;
}

Interrupts::Action Interrupts::iteration(const nonlinear::IterationRecord& record, const Real*) {
  throw_for_tests(comm_, record.iteration);
  return answer();
}

Interrupts::Action Interrupts::iterations_end() {
  release_signals();
  return answer();
}

Interrupts::Interrupts(const parallel::Communicator& comm, Limits limits)
    : comm_(comm), limits_(std::move(limits)) {
  hold_signals(true);
}

bool Interrupts::is_save_due() const {
  if (limits_.minutes_to_save <= 0) return false;
  const double regular = 60 * limits_.minutes_to_save;
  if (saved_) return since_save_.seconds() >= regular;
  return since_program_start.seconds() >= std::min(kFirstSave, regular);
}

Requests Interrupts::poll() {
  const std::filesystem::path stop_file = std::filesystem::path(limits_.folder) / "STOP";
  std::error_code ignored;
  const bool watches = comm_.is_root();
  const double hours = since_start_.seconds() / 3600;
  // asked = [signal and its ranks, stop file, time limit, save by signal, save by clock], largest
  // over ranks
  std::vector<double> asked = stop_numbers(comm_);
  const double more[]{watches && std::filesystem::exists(stop_file, ignored) ? 1.0 : 0.0,
                      watches && limits_.max_hours > 0 && hours >= limits_.max_hours ? 1.0 : 0.0,
                      static_cast<double>(save_signal.exchange(0)),
                      watches && is_save_due() ? 1.0 : 0.0};
  asked.insert(asked.end(), std::begin(more), std::end(more));
  comm_.max(asked);

  Requests requests;
  if (asked[0] != 0) requests.cause = signal_in_words(comm_, asked.data());
  if (asked[3] != 0) requests.cause = fmt::format("the file {}", stop_file.string());
  if (asked[4] != 0) requests.cause = fmt::format("--max-hours {}", limits_.max_hours);
  requests.stop = !requests.cause.empty();
  requests.save = asked[5] != 0 || asked[6] != 0;
  if (requests.save) {
    since_save_.restart();
    saved_ = true;
  }
  if (asked[0] != 0) warn_of_mpirun(static_cast<int>(asked[0]));
  if (asked[3] != 0 && watches && !std::filesystem::remove(stop_file, ignored)) {
    log::warn("{} could not be removed; remove it before going on", stop_file.string());
  }
  return requests;
}

}  // namespace deeppcr::app
