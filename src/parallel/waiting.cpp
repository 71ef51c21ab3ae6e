#include "parallel/waiting.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

// Pauses between two looks, for about as long as it has waited at first, and after a while sleeps
// for a very small share of the time waited so far, by half of which it is late on average.
void wait_aside(MPI_Request request) {
  constexpr int kMostPauses = 32;  // some 40 ns each
  constexpr double kAwake = 0.03, kLongestSleep = 0.01, kSleepOfWaited = 1.0 / 300;
  const Stopwatch watch;
  int pauses = 1;
  for (int done = 0;;) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) return;
    const double waited = watch.seconds();
    if (waited >= kAwake) {
      std::this_thread::sleep_for(
          std::chrono::duration<double>(std::min(waited * kSleepOfWaited, kLongestSleep)));
      continue;
    }
#if defined(__x86_64__) || defined(__i386__)
    for (int i = 0; i < pauses; ++i) __builtin_ia32_pause();
#endif
    pauses = std::min(2 * pauses, kMostPauses);
  }
}

}  // namespace deeppcr::parallel
