#pragma once

#include <string>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// "x.h5" -> "x.h5.tmp": what a file is called until it is whole.
std::string temporary_name(const std::string& path);

/// Forces a file, or a folder's list of names, to the disk. @throws Error (this rank)
void sync_file(const std::string& path);
void sync_folder_of(const std::string& path);

/// Removes a file, if there is one; never fails.
void remove_quietly(const std::string& path);

/// "x.h5" -> "x.h5.1": what the file before is called that is kept.
std::string older_name(const std::string& path);
/// Gives the file `path`, if there is one, its older name as a second one, until a new one is
/// renamed to `path`. @throws Error (this rank)
void keep_older(const std::string& path);
/// Renames a file that cannot be used to path + ".damaged", and says so; never fails.
void set_damaged_aside(const std::string& path);

/// What becomes of the file that had the name before.
enum class Older { replaced, kept };

/// A file on a communicator that takes its name only when it is whole; what had that name before
/// stays until then. Of a symbolic link the file is replaced that it leads to.
class ReplacingFile {
 public:
  /// Collective. @throws Error (on all ranks) when the path cannot be written
  ReplacingFile(const parallel::Communicator& comm, const std::string& path);
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;
  /// Removes the temporary file where place() was not reached.
  ~ReplacingFile();

  hdf5::File& file() { return file_; }

  /// Runs body, which writes to file(); when it throws on all ranks the file is closed on all.
  template <typename Body>
  void guarded(Body&& body) {
    try {
      body();
    } catch (const Error& error) {
      if (error.seen() == Error::Seen::everywhere) file_.abandon();
      throw;
    }
  }
  /// Closes and forces to the disk, still under the temporary name. Collective.
  void finish();
  /// Renames the finished file. Collective.
  void place(Older older = Older::replaced);

 private:
  const parallel::Communicator& comm_;
  std::string path_;
  hdf5::File file_;
  bool placed_ = false;
};

/// The same for a file of this rank alone that is written on under its name, such as a trace: it
/// takes the name as soon as readers can make sense of it.
class StartedFile {
 public:
  explicit StartedFile(std::string path);  ///< @pre path is no symbolic link
  StartedFile(const StartedFile&) = delete;
  StartedFile& operator=(const StartedFile&) = delete;
  /// Removes the temporary file where place() was not reached.
  ~StartedFile();

  /// What it is called until place().
  std::string name() const { return temporary_name(path_); }
  /// An HDF5 file under that name. @throws Error
  hdf5::File create() const;
  /// Gives the file its name; an open HDF5 file goes on under it. @throws Error
  void place(hdf5::File* open = nullptr);

 private:
  std::string path_;
  bool placed_ = false;
};

}  // namespace deeppcr::io
