#pragma once

#include <string>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Keeps other runs from writing the same file: a lock on FILE.lock beside it, held by rank 0 and
/// removed at the end. The system frees it with the process, so a killed run is no hindrance; where
/// the file system has no locks there is none.
class RunLock {
 public:
  /// Collective. `file` may be empty: nothing to lock.
  /// @throws Error on all ranks, for --option, where another run holds it
  RunLock(const parallel::Communicator& comm, const std::string& option, const std::string& file);
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;

 private:
  std::string path_;     ///< of the lock file; empty where nothing is held here
  int descriptor_ = -1;  ///< on rank 0
};

}  // namespace deeppcr::app
