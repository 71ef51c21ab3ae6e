#pragma once

#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// What has been asked for since the last poll.
struct Requests {
  bool stop = false;  ///< end at this safe point with a checkpoint
  bool save = false;  ///< write a checkpoint and go on
  std::string cause;  ///< what asked to stop, in words
};

/// Requests from outside a running solve, agreed on by all ranks:
///   SIGTERM, SIGUSR1 on any rank, a file named STOP in `folder`, --max-hours     -> stop
///   SIGUSR2 on any rank, --checkpoint-every                                     -> save
/// Holds the signals until release(). One object at a time.
class Interrupts {
 public:
  struct Limits {
    std::string folder;          ///< where a file named STOP is looked for
    double max_hours = 0;        ///< 0: none
    double minutes_to_save = 0;  ///< 0: no regular checkpoints
  };
  Interrupts(const parallel::Communicator& comm, Limits limits);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Collective: one reduction of five numbers. A STOP file that was seen is removed, so that the
  /// run can go on later.
  Requests poll();

  /// From here on SIGTERM and SIGUSR1 end the process at once; SIGUSR2 is ignored, since there is
  /// nothing to save. What came before is still told by the next poll().
  void release();

 private:
  const parallel::Communicator& comm_;
  Limits limits_;
  Stopwatch since_start_;
  Stopwatch since_save_;
};

}  // namespace deeppcr::app
