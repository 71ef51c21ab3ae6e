#include "deeppcr/app/interrupts.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <utility>
#include <vector>

#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

std::atomic<int> stop_signal{0};
std::atomic<int> save_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "signal handlers set these");

void note_stop(int signal) { stop_signal = signal; }
void note_save(int) { save_signal = 1; }

struct Held {
  int signal;
  void (*handler)(int);
  void (*afterwards)(int);
};
const std::array<Held, 3> held_signals{
    {{SIGTERM, note_stop, SIG_DFL}, {SIGUSR1, note_stop, SIG_DFL}, {SIGUSR2, note_save, SIG_IGN}}};

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

Interrupts::Interrupts(const parallel::Communicator& comm, Limits limits)
    : comm_(comm), limits_(std::move(limits)) {
  stop_signal = 0;
  save_signal = 0;
  for (const Held& held : held_signals) set_handler(held.signal, held.handler);
}

Interrupts::~Interrupts() { release(); }

void Interrupts::release() {
  for (const Held& held : held_signals) set_handler(held.signal, held.afterwards);
}

Requests Interrupts::poll() {
  const std::filesystem::path stop_file = std::filesystem::path(limits_.folder) / "STOP";
  std::error_code ignored;
  const bool watches = comm_.is_root();
  const double hours = since_start_.seconds() / 3600;
  const double minutes = since_save_.seconds() / 60;
  // asked = [signal, stop file, time limit, save by signal, save by clock], largest over ranks
  std::vector<double> asked{
      static_cast<double>(stop_signal),
      watches && std::filesystem::exists(stop_file, ignored) ? 1.0 : 0.0,
      watches && limits_.max_hours > 0 && hours >= limits_.max_hours ? 1.0 : 0.0,
      static_cast<double>(save_signal.exchange(0)),
      watches && limits_.minutes_to_save > 0 && minutes >= limits_.minutes_to_save ? 1.0 : 0.0};
  comm_.max(asked);

  Requests requests;
  if (asked[0] != 0) requests.cause = fmt::format("signal {}", asked[0]);
  if (asked[1] != 0) requests.cause = fmt::format("the file {}", stop_file.string());
  if (asked[2] != 0) requests.cause = fmt::format("--max-hours {}", limits_.max_hours);
  requests.stop = !requests.cause.empty();
  requests.save = asked[3] != 0 || asked[4] != 0;
  if (requests.save) since_save_.restart();
  if (asked[1] != 0 && watches && !std::filesystem::remove(stop_file, ignored)) {
    log::warn("{} could not be removed; remove it before going on", stop_file.string());
  }
  return requests;
}

}  // namespace deeppcr::app
