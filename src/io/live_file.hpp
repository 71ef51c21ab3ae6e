#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

/// A dataset of a table: one number a row, or a row of numbers along an axis of its own.
struct LiveColumn {
  std::string name;
  std::string long_name;
  bool whole = false;      ///< stored as whole numbers
  std::string axis = {};   ///< of the numbers of a row; empty where it is one
  Index width = 1;         ///< numbers of a row; from 0 on it grows with the widest
  std::string units = {};  ///< empty: none
};

/// Datasets of one group that grow together, by rows along `axis`.
struct LiveTable {
  std::string group;
  std::string axis;
  std::vector<LiveColumn> columns;
};

/// The history of a run in a file of this rank alone, readable by others (h5py with swmr=True)
/// while it grows. Rows are kept for at most `flush_seconds` before they reach the file.
class LiveFile {
 public:
  /// The numbers of each column.
  using Row = std::vector<std::vector<double>>;

  /// Writes what is known before the first row, under a temporary name: provenance, /problem,
  /// /layout and the tables. @throws Error
  LiveFile(const std::string& path, const Provenance& provenance, const Problem& problem,
           const parallel::BlockLayout& layout, std::vector<LiveTable> tables,
           double flush_seconds);

  const std::string& path() const { return path_; }
  hdf5::File& file() { return file_; }
  /// From here on rows may be appended and others may read; no new objects after it.
  void start() { file_.start_single_writer(); }
  /// Gives the file its name.
  void place() { started_.place(&file_); }
  void append(std::size_t table, Row row);
  /// Makes everything so far visible to readers.
  void flush();
  /// Ends the reading: a file with live readers takes no attributes, so it is opened anew as an
  /// ordinary one.
  hdf5::File& end();

 private:
  void write(std::size_t table);

  std::string path_;
  std::vector<LiveTable> tables_;
  double flush_seconds_;
  StartedFile started_;
  hdf5::File file_;
  std::vector<std::vector<Row>> waiting_;  ///< of each table
  Stopwatch since_flush_;
};

}  // namespace deeppcr::io
