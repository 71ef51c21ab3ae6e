#pragma once

#include <mpi.h>

#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Sums over ranks that go on while the caller computes: arrays are summed in place.
class PendingSums {
 public:
  /// The communicator must outlive the object.
  explicit PendingSums(const Communicator& comm) : comm_(comm) {}
  /// Waits, unless an exception unwinds: the other ranks may then be elsewhere.
  ~PendingSums();
  PendingSums(const PendingSums&) = delete;
  PendingSums& operator=(const PendingSums&) = delete;

  /// Starts the sum of values [count], which nobody may touch until wait(); lets earlier sums
  /// progress. All ranks start equal sizes in the same order. Returns at once on one rank.
  void start(double* values, Index count);
  void wait();

 private:
  const Communicator& comm_;
  std::vector<MPI_Request> requests_;
};

}  // namespace deeppcr::parallel
