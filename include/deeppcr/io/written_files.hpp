#pragma once

#include <functional>
#include <string>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// A file that a run is to write.
struct WrittenFile {
  std::string option;  ///< empty: it comes with another one, or is the default checkpoint
  std::string path;
  std::string format;  ///< one of core's file_format

  std::string named() const;  ///< "--output r.h5", for sentences
};
/// One that it reads.
struct ReadFile {
  std::string option;
  std::string path;
};

/// The rule of what a run may write: a file that is not there, or one of the same kind that this
/// program wrote, through symbolic links. Never what the run itself reads, nor a folder, a device
/// or a pipe, nor one file by two options; anything else with --force alone. Each folder is tried,
/// so that hours of work do not end at a missing one. This rank alone.
/// @throws Error with one sentence for the first that is not allowed
void check_written_files(const std::vector<WrittenFile>& files, const std::vector<ReadFile>& read,
                         bool force);

/// A file that rank 0 writes by `body` under the temporary name that it gets; it takes its own name
/// when it is whole. Collective. @throws Error (on all ranks)
void write_by_root(const parallel::Communicator& comm, const std::string& path,
                   const std::function<void(const std::string&)>& body);

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

}  // namespace deeppcr::io
