#pragma once

#include <mpi.h>

#include <memory>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Memory that the ranks of a node share: each writes its own part, and all read the others' where
/// it lies, without a copy. An MPI-3 shared window.
///
/// Who reads must know that the writing is over: a message from the writer, with sync() before it
/// there and after it here.
class NodeMemory {
 public:
  /// A part of so many reals for this rank, or nullptr on every rank where some are on another
  /// node, where a part would be larger than kMostBytes, or all parts larger than a quarter of the
  /// shared memory that is free: containers have 64 MB by default. Collective.
  static std::unique_ptr<NodeMemory> make(const Communicator& comm, Index count);
  static constexpr Index kMostBytes = Index{16} << 20;

  /// Collective.
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// The part of a rank; only that rank may write to it.
  Real* part(int rank) const { return parts_[static_cast<std::size_t>(rank)]; }
  void sync() const;

 private:
  NodeMemory(MPI_Win window, int ranks);

  MPI_Win window_;
  std::vector<Real*> parts_;
};

}  // namespace deeppcr::parallel
