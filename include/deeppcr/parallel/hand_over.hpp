#pragma once

#include <mpi.h>

#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Messages of `count` reals to one rank, of which at most `most` wait for it: the next one has no
/// room before that rank has taken the oldest of them and said so, so that a slow receiver slows
/// its senders down. With most = 1, where all ranks take and send on:
///
///     BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///     AFTER    rank 0 next  rank 1 [a]   rank 2 [b]   rank 3 [c]
///
/// Cost: a message there, and an empty one back. (A synchronous send says it, too, in 0.6 us where
/// these take 0.3.)
class HandOver {
 public:
  /// The communicator must outlive the object. @pre most >= 1; no other one from this rank to that
  HandOver(const Communicator& comm, int to, Index count, int most = 1);
  /// Waits, unless an exception unwinds: the other ranks may then be elsewhere.
  ~HandOver();
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  /// Whether no message waits.
  bool is_idle();
  /// Where the next message goes, [count]. Waits until there is room.
  Real* room();
  /// Sends what is there.
  void send();
  /// On the other rank: waits for the next message of a HandOver, [count].
  static void take(const Communicator& comm, Real* data, Index count, int from);

 private:
  struct Message {
    Buffer<Real> numbers;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  void await_one();
  void expect_next();

  const Communicator& comm_;
  int to_;
  std::vector<Message> messages_;  ///< in turns
  std::size_t next_ = 0;
  std::size_t waiting_ = 0;               ///< messages that the other rank has not taken
  MPI_Request taken_ = MPI_REQUEST_NULL;  ///< that it has taken the oldest of them
};

}  // namespace deeppcr::parallel
