#pragma once

#include <optional>
#include <string>

#include "deeppcr/cli/command.hpp"
#include "deeppcr/io/trace.hpp"

namespace deeppcr::app {

/// The trace of a stream: one table, which the last rank writes. Where it has no name, nothing is
/// written.
class LastRankTrace {
 public:
  /// Of `header` the problem, the layout and the table are the caller's. Collective; the
  /// communicator must outlive the object. @throws Error where the file cannot be written
  LastRankTrace(const cli::Context& context, const std::string& path, io::TraceHeader header);

  /// Whether this rank writes it.
  bool writes() const { return file_.has_value(); }
  /// Since the start of the stream.
  double seconds() const { return watch_.seconds(); }
  /// @pre writes()
  void append(io::TraceRow row) { file_->append(0, std::move(row)); }
  /// Makes all rows so far visible to readers. Not collective.
  void flush();
  /// How the stream ended: attributes of /outcome, beside its seconds. Collective.
  void finish(io::hdf5::Attributes outcome);

 private:
  const parallel::Communicator& world_;
  const parallel::Communicator alone_;  ///< the last rank, in which the file's writer is the first
  std::optional<io::Trace> file_;
  Stopwatch watch_;
};

}  // namespace deeppcr::app
