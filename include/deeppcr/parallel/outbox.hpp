#pragma once

#include <memory>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/node_memory.hpp"

namespace deeppcr::parallel {

/// A place in the memory of a node where every rank lays down numbers for others to read, again and
/// again. Only empty messages travel:
///
///     owner    claim()  writes  announce(readers) ........................ claim(), once all
///     readers                   await(owners)  read  release(owners)       have released it
class Outbox {
 public:
  /// At `offset` of each rank's part; `name` tells the outboxes of a communicator apart.
  Outbox(const Communicator& comm, std::shared_ptr<const NodeMemory> memory, Index offset,
         int name);
  /// Waits until all have released what was announced.
  ~Outbox();
  Outbox(Outbox&&) noexcept = default;
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  /// This rank's place, once nobody reads any more what was there.
  Real* claim();
  void announce(const std::vector<int>& readers);
  /// Waits for what the owners announce.
  void await(const std::vector<int>& owners) const;
  const Real* of(int owner) const { return memory_->part(owner) + offset_; }
  void release(const std::vector<int>& owners) const;

 private:
  MPI_Comm comm_;
  int rank_;
  std::shared_ptr<const NodeMemory> memory_;
  Index offset_;
  int announced_, released_;           ///< tags
  std::vector<MPI_Request> releases_;  ///< that are still to come
};

}  // namespace deeppcr::parallel
