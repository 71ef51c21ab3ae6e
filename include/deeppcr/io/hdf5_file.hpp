#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/io/hdf5_types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io::hdf5 {

/// One HDF5 file, of this rank alone or of a communicator.
///
/// On a communicator every call below is collective: a failure on any rank is thrown on all, with
/// HDF5's text. T is double, float, Index, int or unsigned char; the file's type is little-endian
/// and converted on reading.
class File {
 public:
  /// finish: modify a file that this run has written for live readers, whose locks do not matter.
  enum class Access { read, modify, finish };

  /// Replaces what has that name; a file of this rank alone where there is no communicator.
  /// @throws Error that names the path and the system's reason
  static File create(const std::string& path, const parallel::Communicator* comm = nullptr);
  /// @throws Error in one sentence for a missing, foreign (no HDF5) or truncated file
  static File open(const std::string& path, Access access,
                   const parallel::Communicator* comm = nullptr);
  /// An empty file in the memory of this rank, gone when it is closed; `path` is for messages.
  static File in_memory(const std::string& path);
  File(File&&) noexcept = default;
  File& operator=(File&&) noexcept = default;
  ~File();

  /// Flushes and closes; the destructor does it without a word when this was not called. @throws
  /// Error
  void close();
  /// For clearing up after an error that all ranks have seen. Collective.
  void close_quietly() noexcept;
  /// The same where writing has failed; on a communicator the file is empty afterwards. Collective.
  void abandon() noexcept;
  void flush();
  /// From here on other processes may read while this one appends; no new objects after it. One
  /// rank's file only.
  void start_single_writer();

  const std::string& path() const { return path_; }
  /// The file has another name on the disk now; for messages.
  void renamed(const std::string& path) { path_ = path; }
  hid_t id() const { return file_.get(); }

  /// Creates the group and those above it.
  void create_group(const std::string& name);
  bool has(const std::string& name) const;
  bool is_dataset(const std::string& name) const;
  std::vector<std::string> children(const std::string& group) const;
  /// `name` shows what `file` (relative to this file's folder) has at `object`; an external link of
  /// that name is replaced.
  void link_external(const std::string& name, const std::string& file, const std::string& object);
  /// The file that an external link names; empty for anything else.
  std::string linked_file(const std::string& name) const;

  /// A dataset whose entries stay where they are: reading it reads that file. @pre in_memory()
  void show(const std::string& name, const Numbers& numbers);

  /// Attributes of a group or dataset ("/" is the root). Setting an existing one replaces it. On a
  /// communicator rank 0's value is written.
  void set(const std::string& object, const std::string& name, const Value& value);
  void set_all(const std::string& object, const Attributes& values) {
    for (const auto& [name, value] : values) set(object, name, value);
  }
  bool has_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::string> attributes(const std::string& object) const;
  std::string text(const std::string& object, const std::string& name) const;
  /// The value of a text or a single number as text; nothing for anything else.
  std::optional<std::string> as_text(const std::string& object, const std::string& name) const;
  std::vector<std::string> texts(const std::string& object, const std::string& name) const;
  double number(const std::string& object, const std::string& name) const;
  Index integer(const std::string& object, const std::string& name) const;

  /// Sizes of a dataset; empty for a scalar.
  Shape shape(const std::string& name) const;
  /// What its entries are: numbers that fit into a double, whole numbers (truth values among them)
  /// or texts.
  enum class Kind { real, whole, text, other };
  Kind kind(const std::string& name) const;

  /// A whole dataset. On a communicator rank 0's values are written.
  template <typename T>
  void write(const std::string& name, const Shape& shape, const T* data, const Description& about);
  /// A dataset of which each rank writes its own rows, in pieces under MPI-IO's 2 GiB limit.
  template <typename T>
  void write_rows(const std::string& name, const Shape& shape,
                  const std::vector<Rows<const T>>& pieces, const Description& about);
  /// The same, of rows that are made piece by piece.
  template <typename T>
  void write_rows(const std::string& name, const Shape& shape, const MadeRows<T>& made,
                  const Description& about);
  /// Every rank gets the whole dataset.
  template <typename T>
  std::vector<T> read(const std::string& name) const;
  /// Each rank gets its own rows.
  template <typename T>
  void read_rows(const std::string& name, const std::vector<Rows<T>>& pieces) const;
  /// A dataset [0, row...] of reals or whole numbers that grows along the first axis and, where a
  /// row has a size 0, along that one too.
  void create_extendible(const std::string& name, Kind kind, const Shape& row,
                         const Description& about);
  /// Appends rows of `row` entries; the other axes grow to `row`. @pre they are not larger
  void append(const std::string& name, Index count, const Shape& row, const double* data);

 private:
  File(std::string path, const parallel::Communicator* comm);
  /// Whether this rank does what one rank does for all.
  bool is_first() const { return comm_ == nullptr || comm_->is_root(); }
  /// Runs body; on a communicator an error of any rank is thrown on all.
  void together(const std::function<void()>& body) const;
  /// Writes from Rows<const T>, reads into Rows<T>.
  template <typename T>
  void transfer(hid_t dataset, const std::string& name, const std::vector<Rows<T>>& pieces) const;
  /// With chunks it grows along the axes of size 0.
  Id create_dataset(const std::string& name, hid_t type, const Shape& shape, const Shape& chunk);
  void describe(const std::string& name, const Description& about);

  Id file_;
  std::string path_;
  const parallel::Communicator* comm_ = nullptr;
  int exceptions_ = 0;  ///< in flight when the file was opened
};

}  // namespace deeppcr::io::hdf5
