#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::io {

/// One named array of a checkpoint. `pieces` are the rows that THIS rank holds; together the ranks
/// hold each row once. A replicated array has pieces on rank 0 only.
struct CheckpointArray {
  std::string name;  ///< "/state/z", "/parameters/weight", "/optimiser/momentum"
  hdf5::Shape shape;
  std::vector<hdf5::Rows<const Real>> pieces;
  hdf5::Description about;
};

/// Where the run stands: attributes of /progress.
struct Progress {
  Index iteration = 0;
  double residual = 0;
  double elapsed_seconds = 0;  ///< of all runs so far
  Index frozen_prefix = 0;     ///< steps that the solver had done with
};

/// What a checkpoint holds.
struct CheckpointContent {
  Problem problem;
  Progress progress;
  std::vector<CheckpointArray> arrays;
};

/// /state/z [L+1, B, n] with z_0 first, the same in any layout: rank 0 writes z_0, each rank its
/// own states [L_local, B, n], where all hold all rank 0.
CheckpointArray state_array(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
                            ConstState input, const Real* local_states);

/// CRC-32 of numbers, as for each array of a checkpoint.
std::uint32_t checksum(const Real* data, Index entries);
/// CRC-32 of a file's bytes, which rank 0 reads; the same on all ranks. Collective.
/// @throws Error that names the file, if it cannot be read
std::uint32_t file_checksum(const parallel::Communicator& comm, const std::string& path);

/// Writes path + ".tmp", flushes it to the disk, reads it back, and only then puts it in place,
/// where path is `name` or, of a symbolic link, the file that it leads to; the one before becomes
/// path.1. A run killed at any instant leaves an intact one. Collective.
/// @throws Error on all ranks; the older files are then untouched and the new one is removed
void save_checkpoint(const parallel::Communicator& comm, const std::string& name,
                     const Provenance& provenance, const CheckpointContent& content);

/// An open checkpoint, verified as a whole on opening. Written by any number of ranks, read by any.
class Checkpoint {
 public:
  /// Collective. @throws Error (on all ranks) in one sentence: missing, no HDF5, truncated,
  /// foreign, another format version, or damaged, with the dataset's name
  Checkpoint(const parallel::Communicator& comm, const std::string& path);

  /// Its arrays are read with hdf5::File's own calls.
  const hdf5::File& file() const { return file_; }
  const Problem& problem() const { return problem_; }
  const Progress& progress() const { return progress_; }
  /// Of the run that wrote it, as the text that --config reads.
  std::string configuration() const { return file_.text("/", "configuration"); }

  /// @throws Error that names the first difference to `run`
  void require(const Problem& run) const { require_same_problem(file_.path(), problem_, run); }
  /// z_0 and the local states from /state/z. Collective. @pre require() has passed
  void read_state(sequence::Trajectory& trajectory) const;

 private:
  hdf5::File file_;
  Problem problem_;
  Progress progress_;
};

/// The newest intact checkpoint of that name (path or path.1); a newer one that is damaged is named
/// in the log and renamed to NAME.damaged. Nothing when there is none. Collective.
/// @throws Error where there are some, but all are damaged
std::optional<std::string> find_newest_intact(const parallel::Communicator& comm,
                                              const std::string& name);

}  // namespace deeppcr::io
