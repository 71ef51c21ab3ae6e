#pragma once

#include <mpi.h>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Messages of `count` reals to one rank that never pile up: the next one has no room before that
/// rank has begun to take the last one, so that a slow receiver slows its senders down.
///
///     BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///     AFTER    rank 0 next  rank 1 [a]   rank 2 [b]   rank 3 [c]
class HandOver {
 public:
  /// The communicator must outlive the object.
  HandOver(const Communicator& comm, int to, Index count);
  /// Waits, unless an exception unwinds: the other ranks may then be elsewhere.
  ~HandOver();
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  /// Whether room() would not wait.
  bool has_room();
  /// Where the next message goes, [count]. Waits until the last one is being taken.
  Real* room();
  /// Sends what is there; the receiver takes it by Communicator::receive().
  void send();

 private:
  const Communicator& comm_;
  int to_;
  Buffer<Real> message_;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace deeppcr::parallel
